"""How early a beat came is measured by how steady this heart usually is."""

import numpy as np
import pytest

from pipelines.ecg_anomaly.beats import Intervals
from pipelines.ecg_anomaly.labels import NORMAL
from pipelines.ecg_anomaly.rhythm import RHYTHM_NAMES, earliness, normal_beats, rhythm_features
from shared.errors import RequestError

RATE = 360


def intervals(rr_s: np.ndarray) -> Intervals:
    r_sample = np.round(np.concatenate([[1.0], 1.0 + np.cumsum(rr_s)]) * RATE).astype(np.int64)
    return Intervals.of(r_sample, np.ones(r_sample[-1] + RATE, dtype=bool), RATE, 20)


def with_early_beat(spread_s: float) -> np.ndarray:
    rr = 0.8 + np.random.default_rng(0).normal(0, spread_s, 40)
    rr[30] = 0.6
    return rr


def test_the_early_beat_stands_out_and_its_pause_does_not():
    early = earliness(intervals(with_early_beat(0.01)))
    assert early.argmax() == 31
    assert early[31] > 3
    assert early[32] < 1


def test_the_same_interval_is_less_early_in_an_irregular_heart():
    steady, irregular = (earliness(intervals(with_early_beat(spread)))[31] for spread in (0.005, 0.12))
    assert 0 < irregular < steady / 2


def test_a_late_beat_is_not_early():
    rr = np.full(40, 0.8)
    rr[30] = 1.6
    assert earliness(intervals(rr))[31] < 0
    assert (earliness(intervals(rr))[1:] <= 1e-6).all()


def test_features_for_a_classifier_are_finite_and_double_and_half_are_equally_far():
    rr = np.full(40, 0.8)
    rr[20], rr[30] = 0.4, 1.6
    features = rhythm_features(intervals(rr))
    assert features.shape == (41, len(RHYTHM_NAMES))
    assert np.isfinite(features).all()
    assert features[21, 0] == pytest.approx(-features[31, 0], abs=1e-4)


def test_only_normal_beats_of_good_signal_are_learnt_from(recordings):
    chosen = normal_beats(recordings, np.arange(3), 0.9)
    beats = recordings.beats
    assert (beats.beat_class[chosen] == NORMAL).all()
    assert (beats.quality[chosen] >= 0.9).all()
    assert set(beats.record[chosen]) <= {0, 1, 2}
    assert len(chosen) < len(normal_beats(recordings, np.arange(3), 0.0))


def test_recordings_without_normal_beats_are_refused(recordings):
    with pytest.raises(RequestError, match="annotated"):
        normal_beats(recordings, np.array([], dtype=np.int64), 0.5)
