"""Deployments of the pipelines: what runs when, on this machine or on several."""
