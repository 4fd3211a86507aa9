"""Cards of environments: with the names of their documentation where it gives any, numbered ones elsewhere."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.dqn_agent.cards import Card, Feature
from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.environments.register import ATARI, INVENTORY, MAINTENANCE
from pipelines.dqn_agent.environments.simulator import SimulatedVectorEnv
from pipelines.dqn_agent.make import Stepper, make_one, make_vector


@dataclass(frozen=True, slots=True)
class _Words:
    """features: name and unit of each."""

    features: tuple[tuple[str, str], ...]
    actions: tuple[str, ...]


_CARTPOLE = _Words(
    (
        ("cart_position", "m"),
        ("cart_velocity", "m/s"),
        ("pole_angle", "rad"),
        ("pole_angular_velocity", "rad/s"),
    ),
    ("push left", "push right"),
)
_KNOWN = {
    "CartPole-v0": _CARTPOLE,
    "CartPole-v1": _CARTPOLE,
    "LunarLander-v3": _Words(
        (
            ("horizontal_position", "1"),
            ("height", "1"),
            ("horizontal_velocity", "1"),
            ("vertical_velocity", "1"),
            ("angle", "rad"),
            ("angular_velocity", "1"),
            ("left_leg_contact", "1"),
            ("right_leg_contact", "1"),
        ),
        ("do nothing", "fire left engine", "fire main engine", "fire right engine"),
    ),
    "Acrobot-v1": _Words(
        (
            ("cos_first_angle", "1"),
            ("sin_first_angle", "1"),
            ("cos_second_angle", "1"),
            ("sin_second_angle", "1"),
            ("first_angular_velocity", "rad/s"),
            ("second_angular_velocity", "rad/s"),
        ),
        ("torque -1", "no torque", "torque +1"),
    ),
    "MountainCar-v0": _Words(
        (("position", "1"), ("velocity", "1")), ("push left", "do not push", "push right")
    ),
}
# A discount at which the decisions of these horizons still matter, and the size of a usual reward.
_DISCOUNTS = {INVENTORY: 0.97, MAINTENANCE: 0.99}
# Errors of values are to be below 1, where the Huber loss learns means: beyond, it learns medians, which rare failures
# do not move.
_REWARD_SCALES = {INVENTORY: 10.0, MAINTENANCE: 10.0, "CartPole-v1": 20.0}


def card_of(env_id: str, config: EnvironmentConfig) -> Card:
    """The card of a registered environment, made from what it says of itself and what its documentation names.

    Raises RequestError as `make_vector` does.
    """
    env = make_vector(env_id, 1, config)
    try:
        stepper = Stepper(env)
        spec = env.spec
        assert spec is not None, "environments are made from a specification"
        own = env.simulator if isinstance(env, SimulatedVectorEnv) else None
        return Card(
            id=env_id,
            observation=() if len(stepper.shape) == 3 else (own.features if own else _features(env_id, env)),
            image=stepper.shape if len(stepper.shape) == 3 else None,
            actions=own.actions if own else _actions(env_id, stepper.num_actions, config),
            reward_unit=own.reward_unit if own else "points" if env_id.startswith(ATARI) else "1",
            horizon=stepper.horizon,
            success_threshold=spec.reward_threshold,
            discount=_DISCOUNTS.get(env_id, 0.99),
            reward_scale=_REWARD_SCALES.get(env_id, 1.0),
            cost_terms=own.cost_terms if own else (),
        )
    finally:
        env.close()


def _features(env_id: str, env: Any) -> tuple[Feature, ...]:
    space = env.single_observation_space
    words = _KNOWN.get(env_id)
    named = words.features if words else tuple((f"feature_{number}", "1") for number in range(space.shape[0]))
    return tuple(
        Feature(name=name, unit=unit, low=_limit(low), high=_limit(high))
        for (name, unit), low, high in zip(named, space.low, space.high, strict=True)
    )


def _limit(value: float) -> float | None:
    """None for infinity and for the largest float, by which some environments mean it."""
    return float(value) if abs(value) < np.finfo(np.float32).max else None


def _actions(env_id: str, num_actions: int, config: EnvironmentConfig) -> tuple[str, ...]:
    if env_id.startswith(ATARI):
        env = make_one(env_id, config)
        meanings: list[str] = env.get_wrapper_attr("get_action_meanings")()
        env.close()
        return tuple(meaning.lower() for meaning in meanings)
    words = _KNOWN.get(env_id)
    return words.actions if words else tuple(f"action_{number}" for number in range(num_actions))
