"""What is watched for drift says what a recording is like, in units that people know."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.ecg_anomaly.watched import watched


def test_every_recording_has_one_row_of_plausible_facts(judged):
    frame, scores = watched(judged.recordings, judged.table)
    assert frame.height == len(scores) == judged.table["record"].n_unique()
    assert frame["heart_rate"].is_between(40, 120).all()
    assert frame["amplitude_mv"].is_between(0.3, 3).all()
    assert frame["quality"].is_between(0.5, 1).all()
    assert np.isfinite(scores).all()


def test_facts_are_of_the_recording_that_its_beats_name(judged):
    """Tables of folds come in another order than the recordings."""
    frame, scores = watched(judged.recordings, judged.table)
    last = judged.table.filter(record=judged.table["record"][-1])
    alone, score = watched(judged.recordings, last)
    assert alone.row(0) == frame.row(-1)
    assert score[0] == scores[-1]


def test_another_gain_shows_in_the_amplitude_alone(judged):
    louder = replace(judged.recordings, signal=3 * judged.recordings.signal)
    frame, _ = watched(louder, judged.table)
    expected, _ = watched(judged.recordings, judged.table)
    assert frame.drop("amplitude_mv").equals(expected.drop("amplitude_mv"))
    assert (frame["amplitude_mv"] / expected["amplitude_mv"]).to_numpy() == pytest.approx(3, rel=1e-5)
