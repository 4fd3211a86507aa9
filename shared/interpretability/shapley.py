"""Interventional Shapley values of groups of columns for any prediction function: exact or sampled.

A group that is absent from a coalition takes its columns from a background row, all together, and the value
of a coalition is the mean prediction over the background rows. Slow next to `deep_shap`, but it asks nothing
of the model: the reference against which faster methods are checked.

Every method is a list of coalitions and a linear map from their values to the Shapley values, so that they
share one batched evaluation. Sources: Lundberg and Lee 2017 (arXiv 1705.07874, kernel weights), Covert and
Lee 2021 (arXiv 2012.01536, paired sampling).
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import RequestError
from shared.interpretability.attribution import Attribution
from shared.interpretability.context import explaining
from shared.interpretability.ranks import rank_correlations

Predict = Callable[[Tensor], Tensor] | nn.Module
Method = Literal["auto", "exact", "permutation", "kernel"]
# 2^12 coalitions times 100 background rows are 409,600 predictions for each row.
MAX_EXACT_GROUPS = 12


def shapley_values(
    predict: Predict,
    rows: Tensor,
    background: Tensor,
    groups: Mapping[str, Sequence[int]] | None = None,
    *,
    method: Method = "auto",
    num_coalitions: int = 2048,
    seed: int = 0,
    num_points: int = 65_536,
    target: str = "model output",
    unit: str = "",
) -> Attribution:
    """Shapley values of shape (rows, groups), positive where the group raised the output.

    `predict` maps (n, features) to (n,) or (n, 1). `groups` maps a name to its columns (default: each column
    alone); columns in no group stay as in the row. "auto" is "exact" up to 12 groups, else "permutation".
    `num_coalitions` is the budget of the two sampling methods, per row, each coalition with all background
    rows; both are exact for additive models and complete for every model. `num_points` bounds the rows in one
    prediction.
    """
    if rows.ndim != 2 or background.ndim != 2 or rows.shape[1] != background.shape[1] or not len(background):
        raise RequestError(
            "Expected rows (n, features) and background (at least one row, the same features)."
            f" Received {tuple(rows.shape)} and {tuple(background.shape)}."
        )
    groups = groups or {f"feature {column}": [column] for column in range(rows.shape[1])}
    columns = membership(groups, rows.shape[1]).to(rows.device)
    method = ("exact" if len(groups) <= MAX_EXACT_GROUPS else "permutation") if method == "auto" else method
    coalitions, solution = _plan(method, len(groups), num_coalitions, np.random.default_rng(seed))
    switches = torch.from_numpy(coalitions).to(columns) @ columns + (columns.sum(0) == 0) > 0
    worths = np.zeros((len(rows), len(coalitions)))
    with explaining(predict), torch.no_grad():
        for index, row in enumerate(rows):
            worths[index] = _worths(predict, row, background, switches, num_points).cpu().numpy()
    return Attribution(
        values=worths @ solution.T,
        names=tuple(groups),
        target=target,
        baseline=f"mean over {len(background)} background rows",
        method=f"Shapley values ({method}, {len(coalitions)} coalitions)",
        unit=unit,
        base_value=worths[:, 0],
        output=worths[:, -1],
    )


@dataclass(frozen=True, slots=True)
class Agreement:
    """How close two attributions of the same rows are.

    `max_difference` and `mean_difference` are absolute, in the unit of the values; `relative_difference` is
    the mean one divided by the mean absolute reference value. `spearman` is the mean rank correlation over
    the rows (1 is the same order), `same_first` the share of rows with the same strongest feature.
    """

    max_difference: float
    mean_difference: float
    relative_difference: float
    spearman: float
    same_first: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def agreement(attribution: Attribution, reference: Attribution) -> Agreement:
    """Compares an attribution with a reference, usually exact Shapley values, on the same rows."""
    values, expected = attribution.values, reference.values
    if values.shape != expected.shape or not values.size:
        raise RequestError(
            "Expected attributions of the same rows and features."
            f" Received {values.shape} and {expected.shape}."
        )
    values, expected = (array.reshape(len(array), -1).astype(np.float64) for array in (values, expected))
    difference = np.abs(values - expected)
    scale = np.abs(expected).mean()
    return Agreement(
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        relative_difference=float(difference.mean() / scale) if scale else float(difference.any()),
        spearman=float(rank_correlations(values, expected).mean()),
        same_first=float((np.abs(values).argmax(1) == np.abs(expected).argmax(1)).mean()),
    )


def membership(groups: Mapping[str, Sequence[int]], num_columns: int) -> Tensor:
    """Which columns belong to each group, ones in (groups, columns); no column belongs to two."""
    columns = torch.zeros(len(groups), num_columns)
    for index, (name, members) in enumerate(groups.items()):
        if not len(members) or min(members) < 0 or max(members) >= num_columns:
            raise RequestError(
                f"Expected columns between 0 and {num_columns - 1} in group {name!r}."
                f" Received {list(members)}."
            )
        columns[index, list(members)] = 1
    if (columns.sum(0) > 1).any():
        raise RequestError("Expected each column in at most one group. Received a column in two groups.")
    return columns


def _worths(predict: Predict, row: Tensor, background: Tensor, switches: Tensor, num_points: int) -> Tensor:
    """Mean prediction over the background of each coalition, (coalitions,)."""
    per_pass = max(1, num_points // len(background))
    means = []
    for block in switches.split(per_pass):
        points = torch.where(block[:, None], row, background)
        predictions = [predict(part).reshape(len(part)) for part in points.flatten(0, 1).split(num_points)]
        means.append(torch.cat(predictions).view(len(block), -1).double().mean(1))
    return torch.cat(means)


def _plan(
    method: str, num_groups: int, budget: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Coalitions (coalitions, groups), from the empty to the full one, and the map (groups, coalitions)."""
    if method == "exact":
        if num_groups > 16:
            raise RequestError(
                f"Expected at most 16 groups for exact Shapley values. Received {num_groups}:"
                ' merge groups or use method="permutation".'
            )
        return _exact(num_groups)
    if method == "permutation":
        return _permutations(num_groups, budget, random)
    if method == "kernel":
        return _exact(num_groups) if budget >= 2**num_groups else _kernel(num_groups, budget, random)
    raise RequestError(f"Expected auto, exact, permutation or kernel. Received {method!r}.")


def _exact(num_groups: int) -> tuple[np.ndarray, np.ndarray]:
    coalitions = (np.arange(2**num_groups)[:, None] >> np.arange(num_groups)) & 1 == 1
    sizes = coalitions.sum(1)
    weight = [1.0 / (num_groups * math.comb(num_groups - 1, size)) for size in range(num_groups)]
    joined = np.array([0.0, *weight])[sizes]
    left = np.array([*weight, 0.0])[sizes]
    return coalitions, np.where(coalitions.T, joined, -left)


def _permutations(num_groups: int, budget: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random orders, each also backwards; the value a group adds where it joins, averaged over the orders."""
    num_pairs = max(1, round(budget / (2 * max(1, num_groups - 1))))
    orders = [random.permutation(num_groups) for _ in range(num_pairs)]
    orders += [order[::-1] for order in orders]
    inner = num_groups - 1
    coalitions = np.zeros((len(orders) * inner + 2, num_groups), bool)
    coalitions[-1] = True
    solution = np.zeros((num_groups, len(coalitions)))
    for index, order in enumerate(orders):
        steps = [0, *range(1 + index * inner, 1 + (index + 1) * inner), len(coalitions) - 1]
        for size in range(1, num_groups):
            coalitions[steps[size], order[:size]] = True
        solution[order, steps[1:]] += 1 / len(orders)
        solution[order, steps[:-1]] -= 1 / len(orders)
    return coalitions, solution


def _kernel(num_groups: int, budget: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Kernel-weighted least squares, the sum constrained; outer sizes complete, the rest paired draws."""
    sizes = np.arange(1, num_groups)
    mass = (num_groups - 1) / (sizes * (num_groups - sizes))
    mass /= mass.sum()
    chosen, weights, left = [], [], max(budget, 4 * num_groups)
    first = 1
    while first <= num_groups // 2 and len(_subsets(num_groups, first, left)) <= left:
        complete = _subsets(num_groups, first, left)
        share = mass[first - 1] + (mass[num_groups - first - 1] if 2 * first != num_groups else 0.0)
        chosen.append(complete)
        weights.append(np.full(len(complete), share / len(complete)))
        left, first = left - len(complete), first + 1
    middle = sizes[first - 1 : num_groups - first]
    if len(middle) and left >= 2:
        drawn = random.choice(middle, left // 2, p=mass[middle - 1] / mass[middle - 1].sum())
        half = random.random((len(drawn), num_groups)).argsort(1).argsort(1) < drawn[:, None]
        chosen.append(np.concatenate([half, ~half]))
        weights.append(np.full(2 * len(drawn), mass[middle - 1].sum() / (2 * len(drawn))))
    inner = np.concatenate(chosen)
    coalitions = np.concatenate([np.zeros((1, num_groups), bool), inner, np.ones((1, num_groups), bool)])
    return coalitions, _constrained_solution(inner.astype(float), np.concatenate(weights))


def _subsets(num_groups: int, size: int, limit: int) -> np.ndarray:
    """All coalitions of `size` and their complements; `limit` + 1 empty ones when they are too many."""
    both = 2 * size != num_groups
    if math.comb(num_groups, size) * (1 + both) > limit:
        return np.zeros((limit + 1, num_groups), bool)
    half = np.zeros((math.comb(num_groups, size), num_groups), bool)
    for row, members in enumerate(itertools.combinations(range(num_groups), size)):
        half[row, list(members)] = True
    return np.concatenate([half, ~half]) if both else half


def _constrained_solution(inner: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The map from values (empty, inner..., full) to the minimiser whose entries sum to full - empty."""
    weighted = inner.T * weights
    inverse = np.linalg.pinv(weighted @ inner)
    num_groups, ones = inner.shape[1], np.ones(inner.shape[1])
    # Unconstrained solution as a map, then the part along inverse @ ones that the constraint fixes.
    free = inverse @ np.concatenate([-weighted.sum(1, keepdims=True), weighted, np.zeros((num_groups, 1))], 1)
    total = np.zeros(free.shape[1])
    total[0], total[-1] = -1.0, 1.0
    direction = inverse @ ones
    return free + np.outer(direction / (ones @ direction), total - ones @ free)
