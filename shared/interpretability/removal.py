"""Removal curves: how the output moves while features are replaced in an explained and in random orders.

Source: Petsiuk et al. 2018 (arXiv 1806.07421).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from shared.errors import RequestError
from shared.interpretability.attribution import Attribution
from shared.interpretability.context import explaining
from shared.interpretability.inputs import points_per_pass
from shared.interpretability.shapley import Predict, membership


@dataclass(frozen=True, slots=True)
class Curves:
    """Mean output after removing the first k groups, (groups + 1,), for three orders, and gains per row.

    `strongest_first` removes what raised the output most, `weakest_first` is the same order backwards (read
    from right to left it is the insertion curve), `random` the mean of the random orders.
    """

    strongest_first: np.ndarray
    weakest_first: np.ndarray
    random: np.ndarray
    deletion_gains: np.ndarray = field(repr=False)
    insertion_gains: np.ndarray = field(repr=False)


def removal_curves(
    predict: Predict,
    attribution: Attribution,
    rows: Tensor,
    replacement: Tensor,
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
    signed: bool = True,
    num_random: int = 4,
    num_replacements: int = 8,
    seed: int = 0,
    num_points: int | None = None,
) -> Curves:
    """Outputs while groups of features are replaced in the explained, the reversed and random orders."""
    if len(rows) < 2 or rows.shape[1:] != replacement.shape[1:] or not len(replacement):
        raise RequestError(
            "Expected at least 2 rows and 1 replacement row with the same features."
            f" Received {tuple(rows.shape)} and {tuple(replacement.shape)}."
        )
    num_points = points_per_pass(num_points, [rows], 16_384)
    random = np.random.default_rng(seed)
    columns, strength = _grouped(attribution, rows, groups)
    strength = strength if signed else np.abs(strength)
    if not np.isfinite(strength).all():
        raise RequestError("Expected finite attribution values to check. Received NaN or infinity.")
    # Noise breaks ties: equal values, in the order of the columns, would be a favourable order by accident.
    ties = random.random(strength.shape)
    explained = np.lexsort((ties, -strength), axis=1)
    orders = [explained, explained[:, ::-1]]
    orders += [random.random(strength.shape).argsort(1) for _ in range(num_random)]
    picks = _picks(len(rows), len(replacement), num_replacements, random)
    with explaining(predict, seed=seed), torch.no_grad():
        curves = [
            _curve(predict, rows, replacement, columns, order, picks, signed, num_points) for order in orders
        ]
    areas = [curve.mean(1) for curve in curves]
    expected = np.mean(areas[2:], axis=0)
    return Curves(
        strongest_first=curves[0].mean(0),
        weakest_first=curves[1].mean(0),
        random=np.mean(curves[2:], axis=(0, 1)),
        deletion_gains=expected - areas[0],
        insertion_gains=areas[1] - expected,
    )


def _curve(
    predict: Predict,
    rows: Tensor,
    replacement: Tensor,
    columns: Tensor,
    order: np.ndarray,
    picks: np.ndarray,
    signed: bool,
    num_points: int,
) -> np.ndarray:
    """Output of each row after the first k groups of its order are replaced, (rows, groups + 1)."""
    num_groups = len(columns)
    steps = torch.arange(num_groups + 1, device=rows.device)
    ranks = torch.from_numpy(np.ascontiguousarray(order.argsort(1))).to(rows.device)
    flat, spare = rows.flatten(1), replacement.flatten(1).to(rows)
    chosen = torch.from_numpy(picks).to(rows.device)
    owner = columns.argmax(0)
    owned = columns.any(0)
    per_pass = max(1, num_points // ((num_groups + 1) * picks.shape[1]))
    blocks = []
    for start in range(0, len(rows), per_pass):
        block = slice(start, start + per_pass)
        rank = torch.where(owned, ranks[block][:, owner], num_groups)
        removed = (rank[:, None] < steps[:, None])[:, None]
        points = torch.where(removed, spare[chosen[block]][:, :, None], flat[block][:, None, None])
        inputs = points.flatten(0, 2).view(-1, *rows.shape[1:])
        found = torch.cat([predict(part).reshape(len(part)) for part in inputs.split(num_points)])
        outputs = found.double().view(-1, picks.shape[1], num_groups + 1)
        outputs = outputs if signed else -(outputs - outputs[..., :1]).abs()
        blocks.append(outputs.mean(1))
    return torch.cat(blocks).cpu().numpy()


def _grouped(
    attribution: Attribution, rows: Tensor, groups: Mapping[str, Sequence[int]] | None
) -> tuple[Tensor, np.ndarray]:
    """Membership (groups, flat features) and the strength of each row's groups (rows, groups)."""
    values = attribution.values.reshape(len(attribution.values), -1).astype(np.float64)
    num_features = rows[0].numel()
    columns = torch.eye(num_features) if groups is None else membership(groups, num_features)
    if values.shape == (len(rows), num_features):
        values = values @ columns.double().numpy().T
    elif values.shape != (len(rows), len(columns)):
        raise RequestError(
            f"Expected attribution values for {len(rows)} rows and {num_features} features or"
            f" {len(columns)} groups. Received {attribution.values.shape}."
        )
    return columns.to(rows.device), values


def _picks(num_rows: int, num_spare: int, wanted: int, random: np.random.Generator) -> np.ndarray:
    """Replacement rows for each row, (rows, picks), without repeats within a row."""
    if num_spare <= wanted:
        return np.tile(np.arange(num_spare), (num_rows, 1))
    return np.stack([random.choice(num_spare, wanted, replace=False) for _ in range(num_rows)])
