"""Frames: stacks begin with an episode's first frame, and the memory puts the same stacks together again."""

import numpy as np
import torch

from pipelines.dqn_agent.frames import FrameReplay, FrameStack
from pipelines.dqn_agent.replay import Moment

GAMMA = 0.5
SHAPE = (1, 2, 2)


def _life(num: int, ends: dict[int, str]) -> list[Moment]:
    """One environment of one seed, whose frames count the steps; ends: step -> terminated or truncated."""
    return [
        Moment(
            observation=np.full((1, 1, *SHAPE), number, dtype=np.uint8),
            action=np.full((1, 1), number),
            reward=np.full((1, 1), float(number), dtype=np.float32),
            final=np.zeros((1, 1, *SHAPE), dtype=np.uint8),
            terminated=np.array([[ends.get(number) == "terminated"]]),
            truncated=np.array([[ends.get(number) == "truncated"]]),
            valid=np.array([[True]]),
            begins=np.array([[number == 0 or number - 1 in ends]]),
        )
        for number in range(num)
    ]


def _memory(capacity: int, num_steps: int = 1, priority_power: float = 0.0) -> FrameReplay:
    return FrameReplay(
        1,
        1,
        capacity,
        SHAPE,
        frame_stack=3,
        num_steps=num_steps,
        discount=GAMMA,
        priority_power=priority_power,
    )


def _drawn(memory: FrameReplay, num: int = 400) -> dict[int, dict[str, list[float]]]:
    drawn = memory.draw(np.random.default_rng(0).random((1, num), dtype=np.float32))
    assert drawn.weight is not None
    return {
        int(action): {
            "stack": drawn.observation[0, place, :, 0, 0].tolist(),
            "next": drawn.next_observation[0, place, :, 0, 0].tolist(),
            "reward": [float(drawn.reward[0, place])],
            "discount": [float(drawn.discount[0, place])],
            "weight": [float(drawn.weight[0, place])],
        }
        for place, action in enumerate(drawn.action[0])
    }


def test_a_stack_is_the_latest_frames_of_one_episode() -> None:
    memory = _memory(50)
    stack = FrameStack(3)
    moments = _life(12, {4: "terminated"})
    shown = {}
    for number, moment in enumerate(moments):
        if number == 0:
            stack.begin(moment.observation)
        else:
            stack.push(moment.observation, moment.begins)
        shown[number] = stack.shown[0, 0, :, 0, 0].tolist()
        memory.push(moment)
    found = _drawn(memory)
    assert shown[0] == [0, 0, 0]
    assert shown[5] == [5, 5, 5]
    assert shown[6] == [5, 5, 6]
    assert {number: one["stack"] for number, one in found.items()} == {
        number: shown[number] for number in found
    }
    assert all(found[number]["next"] == shown[number + 1] for number in found if number != 4)


def test_returns_stop_at_ends_and_truncated_ones_are_not_learnt_from() -> None:
    memory = _memory(50, num_steps=2)
    for moment in _life(12, {4: "terminated", 8: "truncated"}):
        memory.push(moment)
    found = _drawn(memory)
    assert found[1]["reward"] == [1 + GAMMA * 2]
    assert found[1]["discount"] == [GAMMA**2]
    assert found[3]["reward"] == [3 + GAMMA * 4]
    assert found[3]["discount"] == found[4]["discount"] == [0.0]
    assert found[4]["reward"] == [4.0]
    assert {number for number, one in found.items() if one["weight"] == [0.0]} == {7, 8}


def test_a_full_ring_forgets_and_never_mixes_old_and_new_frames() -> None:
    for power in (0.0, 0.6):
        memory = _memory(10, priority_power=power)
        for moment in _life(37, {}):
            memory.push(moment)
        found = _drawn(memory)
        assert set(found) == set(range(29, 36)), power
        assert all(one["stack"] == [number - 2, number - 1, number] for number, one in found.items())


def test_content_can_be_put_back() -> None:
    memory, again = _memory(20, priority_power=0.6), _memory(20, priority_power=0.6)
    for moment in _life(15, {4: "terminated"}):
        memory.push(moment)
    again.restore(memory.state())
    uniform = np.random.default_rng(1).random((1, 32), dtype=np.float32)
    first, other = memory.draw(uniform), again.draw(uniform)
    assert torch.equal(first.observation, other.observation)
    assert torch.equal(first.action, other.action)
