"""Memory: rings that forget the oldest, returns of n steps, ends that are told apart, draws in proportion."""

import numpy as np
import pytest
import torch

from pipelines.dqn_agent.replay import Replay, Steps

GAMMA = 0.9


def _filled(capacity: int, num: int, *, priority_power: float = 0.0) -> Replay:
    replay = Replay(2, capacity, (1,), torch.float32, priority_power=priority_power)
    for number in range(num):
        value = torch.full((2, 1, 1), float(number))
        valid = torch.tensor([[True], [number % 2 == 0]])
        replay.add(value, torch.full((2, 1), number), torch.ones(2, 1), value + 1, torch.ones(2, 1), valid)
    return replay


def test_each_seed_forgets_its_oldest_transitions() -> None:
    replay = _filled(4, 10)
    assert replay.sizes.tolist() == [4, 4]
    assert sorted(replay.action[0].tolist()) == [6, 7, 8, 9]
    assert sorted(replay.action[1].tolist()) == [2, 4, 6, 8]


def test_draws_reach_all_that_is_there_and_nothing_else() -> None:
    replay = _filled(8, 3)
    drawn = replay.draw(torch.tensor([[0.0, 0.4, 0.999999], [0.0, 0.5, 0.999999]]))
    assert drawn.action.tolist() == [[0, 1, 2], [0, 2, 2]]
    assert torch.equal(drawn.next_observation, drawn.observation + 1)
    assert drawn.weight.eq(1).all()


def test_what_surprised_is_drawn_more_often_and_weighs_less() -> None:
    replay = _filled(4, 4, priority_power=1.0)
    every = replay.draw(torch.rand(2, 64))
    replay.learnt(every, torch.where(every.action == 2, 10.0, 1.0))
    drawn = replay.draw(torch.rand(2, 4000), weight_power=1.0)
    share = (drawn.action[0] == 2).float().mean()
    assert float(share) == pytest.approx(10 / 13, abs=0.03)
    ratio = drawn.weight[0][drawn.action[0] != 2].max() / drawn.weight[0][drawn.action[0] == 2].max()
    assert float(ratio) == pytest.approx(10, rel=0.01)


def _lived(rewards: list[float], num_steps: int, end: int | None, *, terminated: bool) -> Replay:
    """One environment of one seed, whose observations count its steps; `end`: the step that ends the episode."""
    replay, steps = Replay(1, 50, (1,), torch.float32), Steps(num_steps, GAMMA)
    for number, reward in enumerate(rewards):
        ends = torch.tensor([[number == end]])
        steps.push(
            replay,
            torch.full((1, 1, 1), float(number)),
            torch.full((1, 1), number),
            torch.full((1, 1), reward),
            torch.full((1, 1, 1), number + 1.0),
            ends & terminated,
            ends & (not terminated),
            torch.ones(1, 1, dtype=torch.bool),
        )
    return replay


@pytest.mark.parametrize("num_steps", [1, 2, 3])
@pytest.mark.parametrize("terminated", [True, False], ids=["terminated", "truncated"])
def test_returns_are_those_counted_by_hand(num_steps: int, terminated: bool) -> None:
    rewards, end = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0], 3
    replay = _lived(rewards, num_steps, end, terminated=terminated)
    found = {int(replay.action[0, place]): place for place in range(int(replay.sizes[0]))}
    for first, place in found.items():
        last = min(first + num_steps - 1, end if first <= end else len(rewards))
        expected = sum(GAMMA ** (step - first) * rewards[step] for step in range(first, last + 1))
        assert float(replay.reward[0, place]) == pytest.approx(expected)
        assert float(replay.next_observation[0, place, 0]) == last + 1
        follows = 0.0 if terminated and last == end else GAMMA ** (last - first + 1)
        assert float(replay.discount[0, place]) == pytest.approx(follows)
    assert sorted(found) == list(range(len(rewards) - num_steps + 1))


def test_dummy_steps_leave_no_trace() -> None:
    replay, steps = Replay(1, 50, (1,), torch.float32), Steps(2, GAMMA)
    no = torch.zeros(1, 1, dtype=torch.bool)
    for number, valid in enumerate([True, False, True, True]):
        value = torch.full((1, 1, 1), float(number))
        ends = torch.tensor([[number == 0]])
        steps.push(
            replay,
            value,
            torch.full((1, 1), number),
            torch.ones(1, 1),
            value,
            ends,
            no,
            torch.tensor([[valid]]),
        )
    assert replay.action[0, : int(replay.sizes[0])].tolist() == [0, 2]
    assert np.isclose(replay.reward[0, 1], 1 + GAMMA)


def test_content_can_be_put_back() -> None:
    replay = _filled(4, 6, priority_power=0.6)
    again = Replay(2, 4, (1,), torch.float32, priority_power=0.6)
    again.restore(replay.state())
    uniform = torch.rand(2, 16)
    assert torch.equal(again.draw(uniform).action, replay.draw(uniform).action)
