"""Predictive maintenance: which machine fails within its next hours, how sure that is, and when to service it."""
