"""The rivals are fitted to the normal beats of the training recordings, and see what their names say."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.ecg_anomaly.baselines import INTERVAL, NEIGHBOURS, PCA, TITLES, score_baselines
from pipelines.ecg_anomaly.inputs import BeatInputs
from pipelines.ecg_anomaly.labels import NORMAL, VENTRICULAR

TRAIN, TEST = np.arange(6), np.arange(6, 8)


@pytest.fixture(scope="module")
def scores(recordings, inputs, config):
    return score_baselines(recordings, inputs, TRAIN, recordings.beats_of(TEST), config)


def test_every_baseline_scores_every_beat(scores, recordings):
    assert scores.keys() == TITLES.keys()
    for values in scores.values():
        assert values.shape == (len(recordings.beats_of(TEST)),)
        assert np.isfinite(values).all()


def test_baselines_are_fitted_to_normal_beats_of_the_training_recordings_alone(recordings, config, scores):
    """Neither other test beats nor abnormal training beats change a score."""
    first = recordings.beats_of(TEST[:1])
    beat_class = recordings.beats.beat_class.copy()
    beat_class[(beat_class != NORMAL)] = VENTRICULAR
    signal = recordings.signal.copy()
    signal[recordings.offsets[7] :] = 9.0
    other = replace(recordings, signal=signal, beats=replace(recordings.beats, beat_class=beat_class))
    again = score_baselines(other, BeatInputs.of(other, config.beats), TRAIN, first, config)
    for name, values in again.items():
        np.testing.assert_allclose(values, scores[name][: len(first)], rtol=1e-5, err_msg=name)


def test_the_interval_rule_sees_the_rhythm_alone_and_the_others_the_shape(recordings, inputs, config, scores):
    beats = recordings.beats_of(TEST)
    ratio = recordings.beats.intervals.ratio[beats]
    assert np.array_equal(
        np.argsort(scores[INTERVAL], kind="stable"), np.argsort(-np.log(ratio), kind="stable")
    )
    intervals = recordings.beats.intervals
    steady = replace(intervals, before=intervals.local)
    other = replace(recordings, beats=replace(recordings.beats, intervals=steady))
    again = score_baselines(other, inputs, TRAIN, beats, config)
    for name in (PCA, NEIGHBOURS):
        assert np.array_equal(again[name], scores[name])
    assert np.ptp(again[INTERVAL]) == 0


def test_a_learnt_beat_is_its_own_neighbour(recordings, inputs, config):
    beats = recordings.beats_of(TRAIN)
    normal = beats[recordings.beats.beat_class[beats] == NORMAL]
    alone = config.model_copy(
        update={"evaluation": config.evaluation.model_copy(update={"num_neighbours": 1})}
    )
    found = score_baselines(recordings, inputs, TRAIN, normal, alone)[NEIGHBOURS]
    assert np.median(found) < 0.05
