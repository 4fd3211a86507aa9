"""Memory: rings that forget the oldest, returns of n steps, ends that are told apart, draws in proportion."""

import numpy as np
import pytest
import torch

from pipelines.dqn_agent.replay import Drawn, Moment, Replay

GAMMA = 0.9


def _filled(capacity: int, num: int, *, priority_power: float = 0.0) -> Replay:
    replay = Replay(2, capacity, (1,), discount=GAMMA, priority_power=priority_power)
    for number in range(num):
        value = np.full((2, 1, 1), float(number), dtype=np.float32)
        valid = np.array([[True], [number % 2 == 0]])
        ones = np.ones((2, 1), dtype=np.float32)
        replay.add(value, np.full((2, 1), number), ones, value + 1, ones, valid)
    return replay


def _uniform(num: int) -> np.ndarray:
    return np.random.default_rng(0).random((2, num), dtype=np.float32)


def _everything(replay: Replay) -> Drawn:
    """All that one seed remembers, once."""
    (size,) = replay.sizes
    return replay.draw(((np.arange(size) + 0.5) / size)[None].astype(np.float32))


def test_each_seed_forgets_its_oldest_transitions() -> None:
    replay = _filled(4, 10)
    assert replay.sizes.tolist() == [4, 4]
    drawn = replay.draw(np.array([[0.1, 0.3, 0.6, 0.9]] * 2, dtype=np.float32))
    assert sorted(drawn.action[0].tolist()) == [6, 7, 8, 9]
    assert sorted(drawn.action[1].tolist()) == [2, 4, 6, 8]


def test_draws_reach_all_that_is_there_and_nothing_else() -> None:
    replay = _filled(8, 3)
    drawn = replay.draw(np.array([[0.0, 0.4, 0.999999], [0.0, 0.5, 0.999999]], dtype=np.float32))
    assert drawn.action.tolist() == [[0, 1, 2], [0, 2, 2]]
    assert torch.equal(drawn.next_observation, drawn.observation + 1)
    assert drawn.weight is None


def test_what_surprised_is_drawn_more_often_and_weighs_less() -> None:
    replay = _filled(4, 4, priority_power=1.0)
    every = replay.draw(_uniform(64))
    replay.learnt(every, torch.where(every.action == 2, 10.0, 1.0))
    drawn = replay.draw(_uniform(4000), weight_power=1.0)
    share = (drawn.action[0] == 2).float().mean()
    assert float(share) == pytest.approx(10 / 13, abs=0.03)
    assert drawn.weight is not None
    ratio = drawn.weight[0][drawn.action[0] != 2].max() / drawn.weight[0][drawn.action[0] == 2].max()
    assert float(ratio) == pytest.approx(10, rel=0.01)


def _lived(rewards: list[float], num_steps: int, end: int | None, *, terminated: bool) -> Replay:
    """One environment of one seed, whose observations count its steps; `end`: the step that ends the episode."""
    replay = Replay(1, 50, (1,), num_steps=num_steps, discount=GAMMA)
    for number, reward in enumerate(rewards):
        replay.push(_moment(number, reward, ends=number == end, terminated=terminated))
    return replay


def _moment(number: int, reward: float, *, ends: bool, terminated: bool, valid: bool = True) -> Moment:
    return Moment(
        observation=np.full((1, 1, 1), number, dtype=np.float32),
        action=np.full((1, 1), number),
        reward=np.full((1, 1), reward, dtype=np.float32),
        final=np.full((1, 1, 1), number + 1, dtype=np.float32),
        terminated=np.array([[ends and terminated]]),
        truncated=np.array([[ends and not terminated]]),
        valid=np.array([[valid]]),
        begins=np.array([[False]]),
    )


@pytest.mark.parametrize("num_steps", [1, 2, 3])
@pytest.mark.parametrize("terminated", [True, False], ids=["terminated", "truncated"])
def test_returns_are_those_counted_by_hand(num_steps: int, terminated: bool) -> None:
    rewards, end = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0], 3
    drawn = _everything(_lived(rewards, num_steps, end, terminated=terminated))
    found = {int(action): place for place, action in enumerate(drawn.action[0])}
    for first, place in found.items():
        last = min(first + num_steps - 1, end if first <= end else len(rewards))
        expected = sum(GAMMA ** (step - first) * rewards[step] for step in range(first, last + 1))
        assert float(drawn.reward[0, place]) == pytest.approx(expected)
        assert float(drawn.next_observation[0, place, 0]) == last + 1
        follows = 0.0 if terminated and last == end else GAMMA ** (last - first + 1)
        assert float(drawn.discount[0, place]) == pytest.approx(follows)
    assert sorted(found) == list(range(len(rewards) - num_steps + 1))


def test_dummy_steps_leave_no_trace() -> None:
    replay = Replay(1, 50, (1,), num_steps=2, discount=GAMMA)
    for number, valid in enumerate([True, False, True, True]):
        replay.push(_moment(number, 1.0, ends=number == 0, terminated=True, valid=valid))
    drawn = _everything(replay)
    assert drawn.action[0].tolist() == [0, 2]
    assert float(drawn.reward[0, 1]) == pytest.approx(1 + GAMMA)


def test_content_and_open_steps_can_be_put_back() -> None:
    replay, again = (Replay(1, 50, (1,), num_steps=3, discount=GAMMA, priority_power=0.6) for _ in range(2))
    moments = [_moment(number, number, ends=False, terminated=False) for number in range(8)]
    for moment in moments[:5]:
        replay.push(moment)
    again.restore(replay.state())
    for memory in (replay, again):
        for moment in moments[5:]:
            memory.push(moment)
    first, other = (memory.draw(_uniform(16)[:1]) for memory in (replay, again))
    assert torch.equal(first.action, other.action)
    assert torch.equal(first.reward, other.reward)
