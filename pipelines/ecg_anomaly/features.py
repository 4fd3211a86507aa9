"""What networks are given of a beat beside its shape, on one scale; fitted on the training part alone."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch

from pipelines.ecg_anomaly.beats import BeatWindows, Intervals
from pipelines.ecg_anomaly.labels import NORMAL
from pipelines.ecg_anomaly.recordings import Recordings
from shared.errors import RequestError

RHYTHM_NAMES = ("log_ratio_before", "log_ratio_after", "log_local")
_BEATS_AT_A_TIME = 8192
_SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True)
class Preparation:
    """Scales of the training part's normal beats: of their windows, in the unit of the windows, and of their rhythm.

    amplitude: root mean square of a window's samples. rhythm_mean, rhythm_spread: one value for each of RHYTHM_NAMES.
    """

    amplitude: float
    rhythm_mean: tuple[float, ...]
    rhythm_spread: tuple[float, ...]

    @classmethod
    def fit(
        cls, recordings: Recordings, windows: BeatWindows, records: np.ndarray, min_quality: float
    ) -> Self:
        """From the normal beats of some recordings, of at least this quality.

        windows: of all beats (`Recordings.windows`). Raises RequestError where there is no such beat.
        """
        chosen = normal_beats(recordings, records, min_quality)
        if not len(chosen):
            raise RequestError(
                "Expected normal beats to train on. Received none: are the beats annotated, and the signals clean?"
            )
        rhythm = rhythm_features(recordings.beats.intervals)[chosen].astype(np.float64)
        return cls(
            amplitude=_root_mean_square(windows, chosen),
            rhythm_mean=tuple(rhythm.mean(axis=0).tolist()),
            rhythm_spread=tuple(np.maximum(rhythm.std(axis=0), _SMALLEST_SPREAD).tolist()),
        )

    def rhythm(self, intervals: Intervals) -> np.ndarray:
        """Rhythm of beats on the scale of training, float32 of shape (beats, 3)."""
        centred = rhythm_features(intervals) - np.array(self.rhythm_mean, dtype=np.float32)
        scaled: np.ndarray = centred / np.array(self.rhythm_spread, dtype=np.float32)
        return scaled

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            float(document["amplitude"]),
            tuple(map(float, document["rhythm_mean"])),
            tuple(map(float, document["rhythm_spread"])),
        )


def normal_beats(recordings: Recordings, records: np.ndarray, min_quality: float) -> np.ndarray:
    """Positions of the normal beats of some recordings with a quality of at least this, ascending int64."""
    beats = recordings.beats_of(records)
    is_normal = recordings.beats.beat_class[beats] == NORMAL
    return beats[is_normal & (recordings.beats.quality[beats] >= min_quality)]


def rhythm_features(intervals: Intervals) -> np.ndarray:
    """The intervals before and after against the local one, and the local one in s, as logarithms.

    Float32 of shape (beats, 3), see RHYTHM_NAMES: logarithms make half and double the interval equally far.
    """
    before, after, local = intervals.before, intervals.after, intervals.local
    return np.log(np.stack([before / local, after / local, local], axis=1))


def _root_mean_square(windows: BeatWindows, chosen: np.ndarray) -> float:
    device = windows.starts.device
    total = sum(
        float(windows.gather(part).double().square().sum())
        for part in torch.from_numpy(chosen).to(device).split(_BEATS_AT_A_TIME)
    )
    return max(float(np.sqrt(total / (len(chosen) * windows.length))), _SMALLEST_SPREAD)
