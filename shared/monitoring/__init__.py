"""Watching a published model: a reference profile stored with the bundle, and batches compared with it.

The alarm thresholds are calibrated to a stated family-wise false-alarm rate for the size of each batch.
"""
