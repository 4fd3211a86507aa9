"""The canonical form of recordings in memory: clean signals, beats, classes, RR intervals, quality.

Grows by 4 bytes a sample and about 32 a beat: an hour of one lead at 360 Hz takes 5.2 MB, the 44 records of DS1 and
DS2 115 MB, a day 125 MB. Windows of beats are views. Raw signals are held one recording at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from pipelines.ecg_anomaly.beats import BeatWindows, Intervals, beat_windows
from pipelines.ecg_anomaly.config import BeatConfig, SignalConfig
from pipelines.ecg_anomaly.prepare import PreparedRecord, prepare_record
from pipelines.ecg_anomaly.schema import Record
from shared.contracts.refused import Refused
from shared.errors import RequestError

_NUM_REASONS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Beats:
    """Beats of all recordings, in the order of recordings and time: arrays of shape (beats,).

    record: int64, position in `Recordings.names`. r_sample: int64, R peak since the recording began, at the common
    rate. beat_class: int8, see `labels.CLASSES`, -1 where it is not known. quality: float32, 0 to 1, see `quality`.
    """

    record: np.ndarray
    r_sample: np.ndarray
    beat_class: np.ndarray
    intervals: Intervals
    quality: np.ndarray

    def __len__(self) -> int:
        return len(self.record)


@dataclass(frozen=True, slots=True, eq=False)
class Recordings:
    """Recordings that can be used, and their beats.

    signal: float32 of shape (samples,), mV at rate_hz: the recordings one after another, each between `margin`
    zeros, so that windows at its ends stay inside. offsets: int64 of shape (recordings,), the first sample of each.
    lengths: int64 of shape (recordings,), samples. names, patients, leads, parts: one entry for each recording; part
    is train, test or None. notes: in words, what a reader of results should know. refused: what could not be used.
    """

    names: tuple[str, ...]
    patients: tuple[str, ...]
    leads: tuple[str, ...]
    parts: tuple[str | None, ...]
    rate_hz: int
    signal: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    beats: Beats
    notes: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()

    @classmethod
    def of(cls, records: Iterable[Record | Refused], signal: SignalConfig, beats: BeatConfig) -> Self:
        """Condition recordings one by one, and cut their beats; those that cannot be used are in `refused`."""
        kept: list[PreparedRecord] = []
        refused: list[Refused] = []
        for record in records:
            outcome = record if isinstance(record, Refused) else prepare_record(record, signal, beats)
            (refused if isinstance(outcome, Refused) else kept).append(outcome)  # type: ignore[arg-type]
        together, offsets = _laid_out([one.signal for one in kept], beats.num_samples)
        return cls(
            names=tuple(one.name for one in kept),
            patients=tuple(one.patient for one in kept),
            leads=tuple(one.lead for one in kept),
            parts=tuple(one.part for one in kept),
            rate_hz=signal.rate_hz,
            signal=together,
            offsets=offsets,
            lengths=np.array([len(one.signal) for one in kept], dtype=np.int64),
            beats=_joined(kept),
            notes=tuple(note for one in kept for note in one.notes),
            refused=tuple(refused),
        )

    def require(self) -> Self:
        """These recordings. Raises RequestError with the first reasons where none can be used."""
        if not self.names:
            reasons = map(str, self.refused[:_NUM_REASONS])
            raise RequestError("\n".join(["Expected recordings that can be used. Received none.", *reasons]))
        return self

    @property
    def num_records(self) -> int:
        return len(self.names)

    @property
    def patient_of_record(self) -> np.ndarray:
        """Number of the patient of each recording, int64 of shape (recordings,), in the order of their names."""
        return np.unique(np.array(self.patients), return_inverse=True)[1].astype(np.int64)

    def beats_of(self, records: np.ndarray) -> np.ndarray:
        """Positions in `beats` of all beats of some recordings, ascending int64."""
        return np.flatnonzero(np.isin(self.beats.record, records))

    def signal_of(self, record: int) -> np.ndarray:
        """The clean signal of one recording, float32 of shape (its samples,), mV; a view."""
        start = self.offsets[record]
        return self.signal[start : start + self.lengths[record]]

    def windows(self, config: BeatConfig) -> BeatWindows:
        """The beats as networks see them, in the order of `beats`."""
        places = self.offsets[self.beats.record] + self.beats.r_sample
        return beat_windows(torch.from_numpy(self.signal), torch.from_numpy(places), config, self.rate_hz)


def _laid_out(signals: list[np.ndarray], margin: int) -> tuple[np.ndarray, np.ndarray]:
    """All signals in one array with `margin` zeros around each, and where each begins."""
    lengths = np.array([len(signal) for signal in signals], dtype=np.int64)
    offsets = margin + np.concatenate([[0], np.cumsum(lengths + margin)])[:-1].astype(np.int64)
    together = np.zeros(int(lengths.sum()) + margin * (len(signals) + 1), dtype=np.float32)
    for signal, offset in zip(signals, offsets, strict=True):
        together[offset : offset + len(signal)] = signal
    return together, offsets


def _joined(kept: list[PreparedRecord]) -> Beats:
    num_beats = [len(one.r_sample) for one in kept]
    intervals = (
        _joined_array([getattr(one.intervals, name) for one in kept], np.float32)
        for name in ("before", "after", "local", "spread")
    )
    return Beats(
        record=np.repeat(np.arange(len(kept)), num_beats),
        r_sample=_joined_array([one.r_sample for one in kept], np.int64),
        beat_class=_joined_array([one.beat_class for one in kept], np.int8),
        intervals=Intervals(*intervals),
        quality=_joined_array([one.quality.index for one in kept], np.float32),
    )


def _joined_array(parts: list[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype=dtype), *parts]).astype(dtype, copy=False)
