"""Recommender: what to show each user next, and whether a neural model is worth it here."""
