"""Missing values, flat lines and saturation are found where they are, and nowhere else."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.ecg_anomaly.gaps import _run_lengths, _widened, find_gaps, unusable

RATE = 360
SAME = Fraction(1)


def noise(seconds: int = 10) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, seconds * RATE).astype(np.float32)


def test_a_living_signal_has_no_gaps():
    gaps = find_gaps(noise(), RATE)
    assert not gaps.is_off.any()
    assert not unusable(gaps, noise(), RATE, SAME).any()


def test_missing_samples_repeat_the_last_value_and_count_as_gap():
    raw = noise()
    raw[:5], raw[100:103] = np.nan, [np.inf, np.nan, -np.inf]
    gaps = find_gaps(raw, RATE)
    assert (gaps.filled[:5] == raw[5]).all()
    assert (gaps.filled[100:103] == raw[99]).all()
    assert np.flatnonzero(gaps.is_off).tolist() == [0, 1, 2, 3, 4, 100, 101, 102]


def test_a_signal_that_is_missing_altogether_is_one_gap():
    gaps = find_gaps(np.full(RATE, np.nan, dtype=np.float32), RATE)
    assert gaps.is_off.all()
    assert (gaps.filled == 0).all()


def test_half_a_second_of_one_value_is_a_gap_and_a_shorter_stretch_is_not():
    raw = noise()
    raw[1000:1200], raw[2000:2100] = 0.3, 0.3
    is_off = find_gaps(raw, RATE).is_off
    assert is_off[1001:1200].all()
    assert is_off.sum() == 199


def test_a_stretch_at_the_limit_of_the_recorder_is_unusable_and_one_at_the_baseline_is_not():
    raw = noise()
    raw[1000:1050], raw[2000:2050] = 5.0, 0.0
    lost = unusable(find_gaps(raw, RATE), raw, 0, SAME)
    assert lost[1001:1050].all()
    assert lost.sum() == 49


def test_a_gap_spreads_as_far_as_the_filter_smears_it_at_the_common_rate():
    raw = noise(20)
    raw[10 * RATE : 12 * RATE] = np.nan
    lost = unusable(find_gaps(raw, RATE), np.zeros(20 * 250, dtype=np.float32), 250, Fraction(250, RATE))
    assert np.flatnonzero(lost)[[0, -1]].tolist() == [9 * 250, 13 * 250 - 1]


@given(arrays(bool, st.integers(0, 60)))
def test_run_lengths_are_those_of_counting(flags):
    counted = np.zeros(len(flags), dtype=int)
    for place in np.flatnonzero(flags):
        start, end = place, place
        while start > 0 and flags[start - 1]:
            start -= 1
        while end + 1 < len(flags) and flags[end + 1]:
            end += 1
        counted[place] = end - start + 1
    assert _run_lengths(flags).tolist() == counted.tolist()


@given(arrays(bool, st.integers(1, 60)), st.integers(0, 70))
def test_widening_reaches_exactly_that_far(flags, reach):
    near = [flags[max(place - reach, 0) : place + reach + 1].any() for place in range(len(flags))]
    assert _widened(flags, reach).tolist() == near
