"""Windows are views of the signal around the peak; RR intervals look back only and know about holes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ecg_anomaly.beats import BeatWindows, Intervals, beat_windows, samples_before
from pipelines.ecg_anomaly.config import BeatConfig
from shared.errors import RequestError

RATE = 360
ramp = torch.arange(5000, dtype=torch.float32)


def intervals(r_sample: list[int], lost: slice = slice(0, 0), num_local: int = 5) -> Intervals:
    is_usable = np.ones(20_000, dtype=bool)
    is_usable[lost] = False
    return Intervals.of(np.array(r_sample, dtype=np.int64), is_usable, RATE, num_local)


def test_a_window_holds_the_samples_around_its_peak():
    windows = beat_windows(ramp, torch.tensor([1000, 3000]), BeatConfig(), RATE)
    beats = windows.gather(torch.tensor([1, 0]))
    assert beats.shape == (2, 256)
    assert beats[:, 0].tolist() == [2910, 910]
    assert beats[:, 90].tolist() == [3000, 1000]


def test_a_peak_outside_its_window_is_refused():
    with pytest.raises(RequestError, match=r"before_ms below the length of a beat \(711 ms\)"):
        samples_before(BeatConfig(before_ms=800), RATE)


def test_windows_move_to_a_device_with_all_they_hold():
    windows = BeatWindows(ramp, torch.tensor([10]), 4).to(torch.device("cpu"))
    assert windows.gather(torch.tensor([0])).tolist() == [[10, 11, 12, 13]]


def test_an_early_beat_has_a_short_interval_before_and_a_long_one_after():
    found = intervals([360, 720, 1080, 1260, 1800, 2160])
    assert found.before[3:5].tolist() == [0.5, 1.5]
    assert found.after[3] == 1.5
    assert found.ratio[3] == 0.5
    assert found.local.tolist() == [1.0] * 6
    assert found.spread.tolist() == [0.0] * 6


def test_the_interval_across_a_hole_is_not_known():
    found = intervals([360, 720, 1080, 3600, 3960], lost=slice(1200, 3400))
    assert found.before.tolist() == [1.0] * 5
    assert found.after.tolist() == [1.0] * 5


def test_a_hole_too_short_for_a_beat_hides_none():
    assert intervals([360, 720, 1260], lost=slice(800, 850)).before[2] == 1.5


@pytest.mark.parametrize("r_sample", [[], [500], [500, 500]], ids=["no beat", "one beat", "one beat twice"])
def test_few_beats_have_finite_intervals(r_sample):
    found = intervals(r_sample)
    assert len(found.before) == len(r_sample)
    for values in (found.before, found.after, found.ratio, found.spread):
        assert np.isfinite(values).all()


@given(st.lists(st.integers(60, 800), min_size=2, max_size=60), st.integers(1, 59))
def test_what_is_known_of_a_beat_does_not_change_with_later_ones(gaps, num):
    peaks = np.cumsum(gaps).tolist()
    num = min(num, len(peaks) - 1)
    whole, part = intervals(peaks, num_local=7), intervals(peaks[: num + 1], num_local=7)
    assert np.array_equal(whole.before[1:num], part.before[1:num])
    assert np.array_equal(whole.local[1:num], part.local[1:num])
    assert np.array_equal(whole.spread[1:num], part.spread[1:num])
    assert np.array_equal(whole.after[:num], part.after[:num])
