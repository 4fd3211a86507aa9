"""ECG anomaly detection: which beats of a recording look abnormal, where, and at which promised false-alarm rate."""
