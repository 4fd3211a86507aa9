"""Fraud detection: which of a day's transactions analysts should look at, and why."""
