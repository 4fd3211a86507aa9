"""A recording as read, before anything is done to its signal, and the contract that it has to keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from pipelines.ecg_anomaly.labels import UNKNOWN, class_codes

CONTRACT = "ecg_records"
OUTPUT_CONTRACT = "ecg_alerts"
# Columns of the manifest.
COLUMNS = ("record", "patient", "file", "sampling_rate", "lead", "unit", "annotation", "part")


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """Beats that somebody marked. sample: int64 of shape (beats,), ascending, at the recording's own rate.

    beat_class: int8 of shape (beats,), see `labels.CLASSES`.
    """

    sample: np.ndarray
    beat_class: np.ndarray

    @classmethod
    def of(cls, sample: np.ndarray, symbols: Sequence[str]) -> Self:
        """The beats among marks of all kinds: rhythm changes, noise and waves of flutter are no beats."""
        codes = class_codes(symbols)
        is_beat = codes != UNKNOWN
        order = np.argsort(sample[is_beat], kind="stable")
        return cls(sample[is_beat][order].astype(np.int64), codes[is_beat][order])


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One lead of one recording.

    signal: float32 of shape (samples,), mV, NaN where the recorder gave nothing. annotation: None where nobody marked
    the beats. part: train or test, where the division is given.
    """

    name: str
    patient: str
    lead: str
    rate_hz: float
    signal: np.ndarray
    annotation: Annotation | None = None
    part: str | None = None
