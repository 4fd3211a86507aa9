"""Environments that can be put back where they were, so that learning goes on exactly; others begin new episodes."""

from typing import Any

import numpy as np
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

from pipelines.dqn_agent.environments.simulator import SimulatedVectorEnv
from pipelines.dqn_agent.make import Stepper

_CARTPOLE = ("state", "steps", "prev_done")


def snapshot(stepper: Stepper) -> dict[str, Any] | None:
    """Everything that the next steps depend on, as tensors and plain values; None where nobody can tell."""
    env = stepper.env
    if isinstance(env, SimulatedVectorEnv):
        found = env.snapshot()
        arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
        random = found["random"]
    elif isinstance(env, CartPoleVectorEnv):
        arrays = {name: np.array(getattr(env, name)) for name in _CARTPOLE}
        random = env.np_random.bit_generator.state
    else:
        return None
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    return {"arrays": tensors, "random": random, "ended": torch.from_numpy(stepper.ended)}


def going_on(stepper: Stepper, found: dict[str, Any] | None) -> bool:
    """Put an environment back to a snapshot; False where there is none."""
    if found is None:
        return False
    arrays = {name: value.numpy().copy() for name, value in found["arrays"].items()}
    env = stepper.env
    if isinstance(env, SimulatedVectorEnv):
        env.restore({**arrays, "random": found["random"]})
    else:
        env.reset(seed=0)
        for name, value in arrays.items():
            setattr(env, name, value)
        env.np_random.bit_generator.state = found["random"]
    stepper.ended = found["ended"].numpy().copy()
    return True
