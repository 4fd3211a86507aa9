"""Honest numbers: metrics with intervals, comparisons with baselines, calibration, thresholds, group audits.

Everything here is NumPy on arrays of scores and labels. It knows no model and no domain: a pipeline calls it
with what its network and its baselines predicted for the same rows.
"""
