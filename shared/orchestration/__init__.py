"""Prefect flows whose steps pass references, cache by content across runs, and need no server to be running."""
