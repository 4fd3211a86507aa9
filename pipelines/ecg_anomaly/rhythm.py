"""When a beat came: what its RR intervals say."""

import numpy as np

from pipelines.ecg_anomaly.beats import Intervals
from pipelines.ecg_anomaly.labels import NORMAL
from pipelines.ecg_anomaly.recordings import Recordings
from shared.errors import RequestError

RHYTHM_NAMES = ("log_ratio_before", "log_ratio_after", "log_local", "log_spread", "earliness")
# A steady heart still varies by this share of an interval; without it each small change would count as early.
_STEADIEST = 0.05


def earliness(intervals: Intervals) -> np.ndarray:
    """How early each beat came, in usual deviations of this patient's last beats; float32 of shape (beats,).

    Negative for late ones. One-sided, because a late beat is a pause or follows an early one.
    """
    early: np.ndarray = -np.log(intervals.ratio) / (intervals.spread + _STEADIEST)
    return early


def rhythm_features(intervals: Intervals) -> np.ndarray:
    """What a classifier is given of the rhythm, float32 of shape (beats, 5), see RHYTHM_NAMES; local in s.

    Logarithms make half and double the interval equally far.
    """
    before, after, local = intervals.before, intervals.after, intervals.local
    logs = np.log(np.stack([before / local, after / local, local, intervals.spread + _STEADIEST], axis=1))
    return np.concatenate([logs, earliness(intervals)[:, None]], axis=1)


def normal_beats(recordings: Recordings, records: np.ndarray, min_quality: float) -> np.ndarray:
    """Positions of the normal beats of some recordings with a quality of at least this, ascending int64.

    Raises RequestError where there is no such beat.
    """
    beats = recordings.beats_of(records)
    is_normal = recordings.beats.beat_class[beats] == NORMAL
    chosen = beats[is_normal & (recordings.beats.quality[beats] >= min_quality)]
    if not len(chosen):
        raise RequestError(
            "Expected normal beats to learn from. Received none: are the beats annotated, and the signals clean?"
        )
    return chosen
