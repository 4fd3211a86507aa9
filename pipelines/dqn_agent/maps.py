"""What the policy would do over two features: the action and the value at each point of a plane through visited states.

All other features are at their median over the visited states, so most points are states that nobody ever saw; each
point says how many visited states lie near it in the two features.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.config import ExplanationConfig
from pipelines.dqn_agent.score import Scorer
from shared.errors import RequestError

_POINTS = 41
# A feature with no more different values than this is shown at these alone.
_FEW_VALUES = 15


def map_features(
    card: Card, config: ExplanationConfig, importance: Mapping[str, float]
) -> tuple[str, str] | None:
    """The two features of the map: those asked for, else the two that decide most; None with fewer than two."""
    names = [feature.name for feature in card.observation]
    if config.map_features is not None:
        return config.map_features
    if len(names) < 2:
        return None
    first, second = sorted(names, key=lambda name: -importance[name])[:2]
    return first, second


def require_map_features(card: Card, config: ExplanationConfig) -> None:
    """Raises RequestError for features that the card does not have: nobody learns for an hour to hear of it."""
    if config.map_features is None:
        return
    names = [feature.name for feature in card.observation]
    unknown = [name for name in config.map_features if name not in names]
    if unknown or len(set(config.map_features)) < 2:
        known = ", ".join(names) or "no features, as this agent sees frames"
        raise RequestError(
            f"explanation.map_features: Expected two of {known}. Received {', '.join(config.map_features)}."
        )


def decision_map(scorer: Scorer, observations: np.ndarray, features: tuple[str, str]) -> dict[str, Any]:
    """Actions and values on a grid of two features, as plain values. observations: visited states, float32 (N, F).

    x, y: name, unit and grid values of the features. action: number of the action, value: of the best action in the
    unit of the reward, visited: states in the cell, each as rows of y over x. others: where the other features stand.
    """
    card = scorer.card
    places = [[feature.name for feature in card.observation].index(name) for name in features]
    xs, ys = (_grid(observations[:, place]) for place in places)
    middle = np.median(observations, axis=0)
    points = np.tile(middle.astype(np.float32), (len(ys) * len(xs), 1))
    points[:, places[0]] = np.tile(xs, len(ys))
    points[:, places[1]] = np.repeat(ys, len(xs))
    values = scorer.values(points).reshape(len(ys), len(xs), -1)
    counts, _, _ = np.histogram2d(
        observations[:, places[1]], observations[:, places[0]], bins=[_edges(ys), _edges(xs)]
    )
    axes = [
        {"name": card.observation[place].name, "unit": card.observation[place].unit, "values": grid.tolist()}
        for place, grid in zip(places, (xs, ys), strict=True)
    ]
    return {
        "x": axes[0],
        "y": axes[1],
        "action": values.argmax(2).tolist(),
        "value": np.round(values.max(2), 4).tolist(),
        "visited": counts.astype(np.int64).tolist(),
        "others": {
            feature.name: float(middle[place])
            for place, feature in enumerate(card.observation)
            if place not in places
        },
    }


def near(visited: Sequence[Sequence[int]]) -> list[list[bool]]:
    """Which cells of a map have a visited state in them or beside them; visited: counts, rows of y over x."""
    padded = np.pad(np.array(visited) > 0, 1)
    shifted = [
        padded[1 + down : padded.shape[0] - 1 + down, 1 + right : padded.shape[1] - 1 + right]
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    ]
    found: list[list[bool]] = np.any(shifted, axis=0).tolist()
    return found


def _grid(values: np.ndarray) -> np.ndarray:
    found = np.unique(values)
    if len(found) <= _FEW_VALUES:
        return found
    grid: np.ndarray = np.linspace(found[0], found[-1], _POINTS).astype(np.float32)
    return grid


def _edges(grid: np.ndarray) -> np.ndarray:
    """Between the points of a grid half way, and as far beyond its ends."""
    if len(grid) == 1:
        return np.array([grid[0] - 0.5, grid[0] + 0.5], dtype=np.float64)
    points = grid.astype(np.float64)
    middles = (points[1:] + points[:-1]) / 2
    return np.concatenate([[2 * points[0] - middles[0]], middles, [2 * points[-1] - middles[-1]]])
