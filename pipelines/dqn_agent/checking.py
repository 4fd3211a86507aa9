"""The card against the environment, before anything is learnt: a wrong name would be in every explanation."""

import numpy as np
from gymnasium.spaces import Box

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.make import Stepper
from shared.errors import RequestError

_NUM_STEPS = 200
_TOLERANCE = 1e-4


def check(card: Card, stepper: Stepper, seed: int = 0) -> None:
    """Steps the environment at random, and raises RequestError with the field of the card that does not fit it.

    stepper: made for `card.cost_terms`. It is to be reset afterwards.
    """
    _require_shapes(card, stepper)
    if card.horizon != stepper.horizon:
        raise _wrong(card, "horizon", _or_none(stepper.horizon), _or_none(card.horizon))
    low, high = _limits(card, stepper)
    first = stepper.reset(seed)
    _require_within(card, first, low, high)
    if not np.array_equal(first, stepper.reset(seed)):
        raise RequestError(
            f"{card.id}: Expected the same first observation from the same seed. Received another: call "
            "super().reset(seed=seed) and draw from self.np_random alone."
        )
    generator = np.random.default_rng(seed)
    for _ in range(_NUM_STEPS):
        step = stepper.step(generator.integers(stepper.num_actions, size=stepper.num_envs))
        _require_within(card, step.final_observation, low, high)
        for what, values in (("rewards", step.reward), ("cost terms", step.costs)):
            if not np.isfinite(values).all():
                raise RequestError(f"{card.id}: Expected finite {what}. Received {values.ravel()[:5]}.")
    missing = sorted(set(card.cost_terms) - stepper.seen_terms)
    if missing:
        raise _wrong(card, "cost_terms", "names in the info of a step", ", ".join(missing))


def _require_shapes(card: Card, stepper: Stepper) -> None:
    if len(stepper.shape) == 3:
        if card.image != stepper.shape:
            raise _wrong(card, "image", list(stepper.shape), card.image and list(card.image))
    elif len(card.observation) != stepper.shape[0]:
        received = f"{len(card.observation)}" if card.observation else "an image"
        raise _wrong(card, "observation", f"{stepper.shape[0]} features", received)
    if len(card.actions) != stepper.num_actions:
        raise _wrong(card, "actions", f"{stepper.num_actions} names", len(card.actions))


def _limits(card: Card, stepper: Stepper) -> tuple[np.ndarray, np.ndarray]:
    """The narrower of what card and environment promise of each feature; of a frame, of all its bytes."""
    space = stepper.env.single_observation_space
    assert isinstance(space, Box), "spaces were checked"
    if card.image is not None:
        return np.array(0), np.array(255)
    for number, feature in enumerate(card.observation):
        held = space.low[number], space.high[number]
        if feature.low is not None and feature.low < held[0] - _TOLERANCE:
            raise _wrong(card, f"observation.{number}.low", f"{held[0]:g} or more", feature.low)
        if feature.high is not None and feature.high > held[1] + _TOLERANCE:
            raise _wrong(card, f"observation.{number}.high", f"{held[1]:g} or less", feature.high)
    low = [
        held if one.low is None else one.low for one, held in zip(card.observation, space.low, strict=True)
    ]
    high = [
        held if one.high is None else one.high for one, held in zip(card.observation, space.high, strict=True)
    ]
    return np.array(low), np.array(high)


def _require_within(card: Card, observations: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    inside = (observations >= low - _TOLERANCE) & (observations <= high + _TOLERANCE)
    if inside.all():
        return
    row, number = np.argwhere(~inside)[0][:2]
    expected = f"{low[number]:g} to {high[number]:g} for {card.observation[number].name}"
    raise _wrong(card, f"observation.{number}", expected, f"{observations[row, number]:g}")


def _or_none(steps: int | None) -> str:
    return "none" if steps is None else f"{steps} steps"


def _wrong(card: Card, field: str, expected: object, received: object) -> RequestError:
    return RequestError(
        f"{card.id}: {field}: Expected {expected}. Received {received}. Correct the card, or the environment."
    )
