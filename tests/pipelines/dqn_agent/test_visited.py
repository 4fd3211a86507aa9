"""Where a policy has been is known exactly, however few of its states are kept."""

import numpy as np
import pytest

from pipelines.dqn_agent.cards import Card, Feature
from pipelines.dqn_agent.visited import Recorder, Visited


def card(image: tuple[int, int, int] | None = None) -> Card:
    features = () if image else (Feature(name="wear", unit="1"), Feature(name="load", unit="1"))
    return Card(id="Own-v0", observation=features, image=image, actions=("run", "stop"))


def test_limits_are_those_of_all_states_and_kept_states_are_spread_over_time():
    recorder = Recorder(card())
    for moment in range(9_000):
        recorder.see(np.array([[moment, -moment]], dtype=np.float32))
    visited = recorder.visited()
    assert visited.low.tolist() == [0, -8_999]
    assert visited.high.tolist() == [8_999, 0]
    assert len(visited.states) == 2_000
    assert np.diff(visited.states[:, 0]).max() < 20
    assert visited.states[-1, 0] > 8_990


def test_what_is_kept_stays_as_it_was_seen():
    recorder = Recorder(card())
    observations = np.ones((3, 2), dtype=np.float32)
    recorder.see(observations)
    observations[:] = 7
    assert (recorder.visited().states == 1).all()


def test_frames_are_kept_few_and_have_no_limits():
    recorder = Recorder(card((1, 40, 40)))
    for shade in range(250):
        recorder.see(np.full((2, 1, 40, 40), shade, dtype=np.uint8))
    visited = recorder.visited()
    assert visited.states.shape == (200, 1, 40, 40)
    assert visited.states.dtype == np.uint8
    assert not visited.outside(visited.states).any()


@pytest.mark.parametrize(
    ("state", "outside"),
    [
        ([0.5, 10], False),
        ([1, 20], False),
        ([1.1, 10], True),
        ([0.5, -0.1], True),
        ([1.000001, 20.0001], False),
    ],
    ids=["inside", "at-the-limit", "above", "below", "rounded"],
)
def test_a_state_is_outside_when_one_feature_is_beyond_all_that_was_visited(state, outside):
    visited = Visited.of(np.array([[0, 0], [1, 20]], dtype=np.float32))
    assert visited.outside(np.array([state])).tolist() == [outside]


def test_joined_limits_hold_what_either_came_to():
    one, other = (Visited.of(np.array([[low, 0], [low + 1, 1]], dtype=np.float32)) for low in (0, 5))
    joined = one.joined(other)
    assert (joined.low[0], joined.high[0]) == (0, 6)
    assert np.array_equal(joined.states, one.states)
