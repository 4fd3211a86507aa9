"""Training: `fit` and what it stands on (batches, schedules, precision and speed tiers, checkpoints,
stopping).

Imports torch, numpy and pydantic only, so that it runs on a bare GPU machine.
"""
