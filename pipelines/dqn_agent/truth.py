"""Explanations against our own two simulators, where what an action really leads to can be tried out.

A world is copied, both actions are taken in it, and the policy goes on from there on the same luck: the difference of
what follows is the true advantage. Stock can be changed in such a world as an explanation imagines it; wear, which no
agent sees, can be read in it.
"""

from typing import Any

import numpy as np
from scipy.stats import spearmanr

from pipelines.dqn_agent.environments.inventory import InventorySimulator
from pipelines.dqn_agent.environments.maintenance import STANDING, WEAR, MaintenanceSimulator
from pipelines.dqn_agent.environments.simulator import Simulator
from pipelines.dqn_agent.explainer import Explainer
from shared.interpretability.ranks import mean_interval

_WORLDS, _WARM_STEPS = 40, 120
_STATES, _LUCKS, _STEPS = 60, 32, 100
# What stock is changed by is sold or thrown away long before so many days.
_CHANGED_STATES, _CHANGED_LUCKS, _CHANGED_STEPS, _REPLACEMENTS = 16, 16, 40, 4
_RESAMPLES = 500
# A tried-out difference is clear when it is so many standard errors from 0.
_CLEAR = 2.0


def against_truth(
    explainer: Explainer, simulator: Simulator, pair: tuple[int, int], *, seed: int
) -> dict[str, Any] | None:
    """How advantages and contributions compare with what the simulator does; None for other simulators.

    pair: the actions whose difference is tried out. `causes` holds contributions against the truth: of stock changed
    in the world (`changes`), or of the wear that nobody sees (`wear`).
    """
    if not isinstance(simulator, InventorySimulator | MaintenanceSimulator):
        return None
    random = np.random.default_rng([seed, 7])
    states = _visited(explainer, simulator, random)
    found = explainer.explain(explainer.seen(simulator.observe(states), pair))
    assert found.output is not None
    tried = _tried_out(explainer, simulator, states, pair, _LUCKS, _STEPS, random)
    document = {
        "pair": [explainer.card.actions[action] for action in pair],
        "advantage": _advantages(found.output, tried, seed),
        "changes": None,
        "wear": None,
    }
    if isinstance(simulator, InventorySimulator):
        few = slice(0, _CHANGED_STATES)
        document["changes"] = _changes(
            explainer, simulator, states[few], found.values[few], pair, random, seed
        )
    else:
        document["wear"] = _wear(explainer, states, found.values, seed)
    return document


def _visited(explainer: Explainer, simulator: Simulator, random: np.random.Generator) -> np.ndarray:
    """States of worlds in which the policy has acted for a while, each of another world and moment as far as possible;
    of machines those that do not stand, as nothing can be decided there."""
    state = simulator.first(random.random((_WORLDS, simulator.num_draws)))
    kept = []
    for step in range(_WARM_STEPS):
        if step >= _WARM_STEPS // 4:
            kept.append(state)
        actions = explainer.scorer.act(simulator.observe(state))
        state = simulator.after(state, actions, random.random((_WORLDS, simulator.num_draws))).state
    states = np.concatenate(kept)
    if isinstance(simulator, MaintenanceSimulator):
        states = states[states[:, STANDING] == 0]
    size = min(_STATES, explainer.scorer.config.explanation.num_checked)
    chosen: np.ndarray = states[random.permutation(len(states))[:size]]
    return chosen


def _tried_out(
    explainer: Explainer,
    simulator: Simulator,
    states: np.ndarray,
    pair: tuple[int, int],
    lucks: int,
    num_steps: int,
    random: np.random.Generator,
) -> np.ndarray:
    """Discounted reward after the first action less that after the second, (states, lucks), reward units.

    All states and both actions have the same luck, so that most of it cancels.
    """
    size = 2 * len(states) * lucks
    state = np.repeat(np.concatenate([states, states]), lucks, axis=0)
    actions = np.repeat(np.array(pair), len(states) * lucks)
    total, weight = np.zeros(size), 1.0
    discount = explainer.scorer.config.learning.discount or explainer.card.discount or 0.99
    for step in range(num_steps):
        if step:
            actions = explainer.scorer.act(simulator.observe(state))
        draws = np.tile(random.random((lucks, simulator.num_draws)), (2 * len(states), 1))
        outcome = simulator.after(state, actions, draws)
        state, total = outcome.state, total + weight * outcome.reward
        weight *= discount
    first, second = total.reshape(2, len(states), lucks)
    difference: np.ndarray = first - second
    return difference


def _advantages(said: np.ndarray, tried: np.ndarray, seed: int) -> dict[str, Any]:
    """Advantages as the network says them beside those tried out."""
    truth = tried.mean(1)
    error = tried.std(1, ddof=1) / np.sqrt(tried.shape[1])
    clear = np.abs(truth) > _CLEAR * error
    same = np.sign(said[clear]) == np.sign(truth[clear])
    return {
        "states": len(said),
        "spearman": _spearman(said, truth, seed),
        "clear": int(clear.sum()),
        "same_sign": _interval(same.astype(np.float64), seed) if clear.any() else None,
        "mean_said": float(said.mean()),
        "mean_tried": float(truth.mean()),
    }


def _changes(
    explainer: Explainer,
    simulator: InventorySimulator,
    states: np.ndarray,
    contributions: np.ndarray,
    pair: tuple[int, int],
    random: np.random.Generator,
    seed: int,
) -> dict[str, Any]:
    """Contributions of stock and deliveries beside what the true advantage loses when each is replaced in the world.

    Forecasts are left out: one of them cannot change alone.
    """
    num = states.shape[1] - 2
    spare = explainer.background[:, :num].double().numpy()
    spare = spare[np.linspace(0, len(spare) - 1, min(_REPLACEMENTS, len(spare))).round().astype(np.int64)]
    changed = np.repeat(states[:, None], num * len(spare), axis=1).reshape(len(states), num, len(spare), -1)
    for place in range(num):
        changed[:, place, :, place] = spare[:, place]
    worlds = np.concatenate([states, changed.reshape(-1, states.shape[1])])
    tried = _tried_out(explainer, simulator, worlds, pair, _CHANGED_LUCKS, _CHANGED_STEPS, random).mean(1)
    without = tried[len(states) :].reshape(len(states), num, len(spare)).mean(2)
    effects = tried[: len(states), None] - without
    return {
        "states": len(states),
        "features": num,
        "spearman": _spearman(contributions[:, :num].ravel(), effects.ravel(), seed),
    }


def _wear(explainer: Explainer, states: np.ndarray, contributions: np.ndarray, seed: int) -> dict[str, Any]:
    """Rank correlation of contributions with the hidden wear, of each feature and of all together."""
    wear = states[:, WEAR]
    by_feature = {
        name: _spearman(contributions[:, place], wear, seed) for place, name in enumerate(explainer.names)
    }
    return {
        "states": len(states),
        "together": _spearman(contributions.sum(1), wear, seed),
        "features": by_feature,
    }


def _spearman(left: np.ndarray, right: np.ndarray, seed: int) -> dict[str, float]:
    """Rank correlation over all pairs with its 95 % bootstrap interval; 0 where one side never changes."""
    random = np.random.default_rng(seed)
    picks = random.integers(0, len(left), (_RESAMPLES, len(left)))
    drawn = np.array([_correlation(left[rows], right[rows]) for rows in picks])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": _correlation(left, right), "low": float(low), "high": float(high)}


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return 0.0
    return float(spearmanr(left, right).statistic)


def _interval(values: np.ndarray, seed: int) -> dict[str, float]:
    mean, low, high = mean_interval(values, seed=seed)
    return {"value": mean, "low": low, "high": high}
