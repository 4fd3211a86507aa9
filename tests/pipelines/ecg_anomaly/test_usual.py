"""The usual beat comes from the past alone, and a few strange beats do not move it."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.ecg_anomaly.beats import BeatWindows
from pipelines.ecg_anomaly.config import BeatConfig
from pipelines.ecg_anomaly.usual import UsualBeats, past, usual_beat

CONFIG = BeatConfig(num_usual_beats=20, usual_every=5)
LENGTH = 64


def windows(beats: torch.Tensor) -> BeatWindows:
    """Beats that lie one after the other."""
    return BeatWindows(beats.flatten(), torch.arange(len(beats)) * beats.shape[1], beats.shape[1])


def usual(beats: torch.Tensor, record: np.ndarray | None = None) -> UsualBeats:
    record = np.zeros(len(beats), dtype=np.int64) if record is None else record
    return UsualBeats.of(windows(beats), record, CONFIG)


@settings(max_examples=20, deadline=None)
@given(st.integers(5, 70), st.integers(0, 1000))
def test_changing_later_beats_changes_no_usual_beat_before(place, seed):
    beats = torch.from_numpy(np.random.default_rng(seed).normal(0, 1, (75, LENGTH))).float()
    changed = beats.clone()
    changed[place:] += 100
    before, after = usual(beats), usual(changed)
    # the block in which the change lies is still compared with what came before it
    known = before.block[: place // 5 * 5 + 5]
    assert torch.equal(before.median[known], after.median[known])
    assert torch.equal(before.spread[known], after.spread[known])


def test_the_first_beats_are_compared_with_the_median_of_each_other():
    beats = torch.randn(12, LENGTH, generator=torch.Generator().manual_seed(0))
    median, spread = usual_beat(beats[:5])
    found = usual(beats)
    assert torch.equal(found.median[0], median)
    assert torch.equal(found.spread[0], spread)
    assert found.block.tolist() == [0] * 5 + [1] * 5 + [2] * 2


def test_a_block_looks_back_on_as_many_beats_as_configured():
    assert past(40, 100, CONFIG) == slice(20, 40)
    assert past(10, 100, CONFIG) == slice(0, 10)
    assert past(0, 3, CONFIG) == slice(0, 3)


def test_a_third_of_strange_beats_does_not_move_the_usual_beat():
    normal = torch.sin(torch.linspace(0, 6, LENGTH)).expand(20, -1).clone()
    strange = normal.clone()
    strange[::3] *= -5
    assert torch.equal(usual_beat(strange)[0], usual_beat(normal)[0])


def test_recordings_have_usual_beats_of_their_own():
    beats = torch.cat([torch.zeros(7, LENGTH), torch.ones(8, LENGTH)])
    found = usual(beats, np.repeat([0, 1], [7, 8]))
    assert torch.equal(found.median[found.block[:7]], torch.zeros(7, LENGTH))
    assert torch.equal(found.median[found.block[7:]], torch.ones(8, LENGTH))
    assert torch.equal(found.block, torch.tensor([0] * 5 + [1] * 2 + [2] * 5 + [3] * 3))


def test_no_beats_have_no_usual_beat():
    found = usual(torch.zeros(0, LENGTH))
    assert found.median.shape == (0, LENGTH)
    assert found.block.shape == (0,)
