"""Beats are found where they are, paired with marked ones as EC57 says, and not found where there are none."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ecg_anomaly.config import SignalConfig
from pipelines.ecg_anomaly.peaks import align_peaks, detect_peaks, match_peaks
from pipelines.ecg_anomaly.signal import condition

RATE = 360
positions = st.lists(st.integers(0, 3000), unique=True, max_size=40).map(sorted)


def clean(record, **settings) -> torch.Tensor:
    return condition(torch.from_numpy(record.signal), record.rate_hz, SignalConfig(**settings)).signal


def test_nearly_all_generated_beats_are_found_and_nearly_nothing_else(generated):
    for record in generated.records:
        matches = match_peaks(detect_peaks(clean(record), RATE), record.annotation.sample, RATE)
        assert matches.sensitivity > 0.97
        assert matches.precision > 0.93


@pytest.mark.parametrize("factor", [-1.0, 0.3, 3.0], ids=["inverted", "small", "large"])
def test_the_detector_does_not_mind_polarity_and_size(generated, factor):
    signal = clean(generated.records[0])
    assert np.array_equal(detect_peaks(signal * factor, RATE), detect_peaks(signal, RATE))


@pytest.mark.parametrize("rate", [250, 500])
def test_the_detector_works_at_other_common_rates(generated, rate):
    record = generated.records[1]
    marked = record.annotation.sample * rate // RATE
    assert match_peaks(detect_peaks(clean(record, rate_hz=rate), rate), marked, rate).sensitivity > 0.97


@pytest.mark.parametrize("level", [0.0, 0.0005], ids=["flat", "rounding noise"])
def test_nothing_is_found_in_a_signal_without_beats(level):
    signal = level * torch.randn(20 * RATE, generator=torch.Generator().manual_seed(0))
    assert len(detect_peaks(signal, RATE)) == 0


def test_a_stream_finds_the_peaks_of_the_batch(generated):
    """Once it has waited for the 8 s window of the level and the reach of the filter."""
    signal = clean(generated.records[0])
    whole = detect_peaks(signal, RATE)
    start, end, reach = 20 * RATE, 60 * RATE, 6 * RATE
    part = detect_peaks(signal[start - reach : end + reach], RATE) + start - reach
    inside = [peaks[(peaks >= start) & (peaks < end)] for peaks in (whole, part)]
    assert np.array_equal(*inside)


def test_peaks_move_to_the_largest_deflection_of_either_sign_but_not_beyond_the_reach():
    signal = torch.zeros(1000)
    signal[[105, 295, 520]] = torch.tensor([1.0, -2.0, 3.0])
    assert align_peaks(signal, np.array([100, 300, 500]), 10).tolist()[:2] == [105, 295]
    assert align_peaks(signal, np.array([500]), 20).tolist() == [520]
    assert align_peaks(signal, np.array([105]), 0).tolist() == [105]
    assert align_peaks(signal, np.array([3, 998]), 10).max() < 1000


def test_a_pair_may_be_150_ms_apart_and_no_more():
    marked = np.array([1000, 2000])
    assert match_peaks(np.array([1054, 2055]), marked, RATE).marked.tolist() == [0, -1]


def test_of_two_detections_of_one_beat_the_nearer_counts():
    matches = match_peaks(np.array([980, 1005, 1040]), np.array([1000]), RATE)
    assert matches.marked.tolist() == [-1, 0, -1]
    assert (matches.sensitivity, matches.precision) == (1.0, pytest.approx(1 / 3))


@given(positions, positions)
def test_each_beat_is_paired_at_most_once_and_within_the_tolerance(detected, marked):
    found, truth = np.array(detected, dtype=np.int64), np.array(marked, dtype=np.int64)
    matches = match_peaks(found, truth, RATE)
    paired = matches.marked >= 0
    assert len(np.unique(matches.marked[paired])) == paired.sum() == matches.num_found
    assert (np.abs(found[paired] - truth[matches.marked[paired]]) <= 54).all()
    for place in np.flatnonzero(~paired):
        near = np.flatnonzero(np.abs(truth - found[place]) <= 54)
        neighbours = np.searchsorted(truth, found[place]) + np.array([-1, 0])
        assert set(near) & set(neighbours) <= set(matches.marked[paired].tolist())


def test_without_beats_there_is_nothing_to_judge():
    matches = match_peaks(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), RATE)
    assert np.isnan([matches.sensitivity, matches.precision]).all()
