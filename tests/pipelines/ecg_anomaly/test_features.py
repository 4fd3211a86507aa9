"""Scales come from clean normal beats of the training part, and travel as JSON."""

import json

import numpy as np
import pytest

from pipelines.ecg_anomaly.beats import Intervals
from pipelines.ecg_anomaly.config import BeatConfig
from pipelines.ecg_anomaly.features import Preparation, normal_beats, rhythm_features
from pipelines.ecg_anomaly.labels import NORMAL
from shared.errors import RequestError

TRAIN = np.array([0, 1, 4])


@pytest.fixture(scope="module")
def preparation(recordings) -> Preparation:
    return Preparation.fit(recordings, recordings.windows(BeatConfig()), TRAIN, 0.5)


def test_training_beats_are_normal_clean_and_of_the_recordings_asked_for(recordings):
    chosen, beats = normal_beats(recordings, TRAIN, 0.8), recordings.beats
    assert set(beats.record[chosen].tolist()) == set(TRAIN.tolist())
    assert (beats.beat_class[chosen] == NORMAL).all()
    assert (beats.quality[chosen] >= 0.8).all()


def test_the_rhythm_of_training_beats_has_mean_0_and_deviation_1(recordings, preparation):
    rhythm = preparation.rhythm(recordings.beats.intervals)[normal_beats(recordings, TRAIN, 0.5)]
    assert rhythm.mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-4)
    assert rhythm.std(axis=0) == pytest.approx([1, 1, 1], abs=1e-4)


def test_half_and_double_the_interval_are_equally_far():
    times = np.array([0.5, 2.0], dtype=np.float32)
    features = rhythm_features(Intervals(times, times, np.ones(2, dtype=np.float32)))
    assert features[0, 0] == pytest.approx(-features[1, 0])
    assert features[:, 2].tolist() == [0, 0]


def test_a_preparation_comes_back_from_json_as_it_was(preparation):
    assert Preparation.from_json(json.loads(json.dumps(preparation.to_json()))) == preparation


def test_without_normal_beats_there_is_nothing_to_fit(recordings):
    with pytest.raises(RequestError, match="Expected normal beats"):
        Preparation.fit(recordings, recordings.windows(BeatConfig()), TRAIN, 1.1)
