"""Does an explanation describe this model? Removal curves against random orders, and randomised parameters.

Sources: Petsiuk et al. 2018 (arXiv 1806.07421, deletion and insertion), Adebayo et al. 2018 (arXiv
1810.03292, parameter randomisation). What differs: the areas are reported as the difference to random orders
on the same rows and the same replacement values, because an area alone says nothing.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import RequestError
from shared.interpretability.attribution import Attribution
from shared.interpretability.context import explaining
from shared.interpretability.ranks import mean_interval, rank_correlations
from shared.interpretability.shapley import Predict

Explain = Callable[[nn.Module], Attribution]
# Above this rank correlation with the explanation of a randomised network, an explanation follows the data or
# the architecture more than what was learned.
MAX_RANDOMISED_SPEARMAN = 0.5
# Mean completeness gap relative to the mean absolute output difference that is being divided among the
# features.
MAX_RELATIVE_GAP = 0.05


@dataclass(frozen=True, slots=True)
class Gain:
    """A mean over rows with its 95 % bootstrap interval; higher is better, 0 is a random order."""

    value: float
    low: float
    high: float
    unit: str
    n: int
    higher_is_better: bool = True

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Outcome of `check`: passed, or the reasons why not as sentences.

    `deletion_gain` and `insertion_gain` are areas between the explained and random orders, in the output's
    unit. `randomisation_spearman` is the rank correlation with the explanation of the fully randomised model
    (near 0 is good), None when it was not tested; `relative_gap` the completeness gap, None without
    completeness.
    """

    deletion_gain: Gain
    insertion_gain: Gain
    randomisation_spearman: float | None
    relative_gap: float | None
    passed: bool
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"reasons": list(self.reasons)}


@dataclass(frozen=True, slots=True)
class Curves:
    """Mean output after removing the first k groups, of shape (groups + 1,), for three orders, and gains per
    row.

    `strongest_first` removes what raised the output most, `weakest_first` is the same order backwards (read
    from right to left it is the insertion curve), `random` the mean of the random orders.
    """

    strongest_first: np.ndarray
    weakest_first: np.ndarray
    random: np.ndarray
    deletion_gains: np.ndarray = field(repr=False)
    insertion_gains: np.ndarray = field(repr=False)


def check(
    predict: Predict,
    attribution: Attribution,
    rows: Tensor,
    replacement: Tensor,
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
    model: nn.Module | None = None,
    explain: Explain | None = None,
    signed: bool = True,
    num_random: int = 4,
    num_replacements: int = 8,
    seed: int = 0,
) -> Faithfulness:
    """Tests an attribution of `rows` against removal and, with `model` and `explain`, against randomised
    parameters.

    `predict` maps inputs to (n,) or (n, 1), the output that was attributed. `replacement` (any number,
    *features) holds the rows whose values stand in for removed features; up to `num_replacements` are drawn
    for each row. `groups` maps names to columns of the flattened features that are removed together; the
    attribution may have one value per column or one per group, in that order. `signed=False` is for
    importances without direction: the curves then follow the absolute change of the output.

    Passes when both gains lie above 0 with their whole interval, the randomised explanation differs, and the
    completeness gap is small. The same seed gives the same outcome.
    """
    curves = removal_curves(
        predict, attribution, rows, replacement,
        groups=groups, signed=signed, num_random=num_random, num_replacements=num_replacements, seed=seed,
    )  # fmt: skip
    deletion = Gain(*mean_interval(curves.deletion_gains, seed=seed), attribution.unit, len(rows))
    insertion = Gain(*mean_interval(curves.insertion_gains, seed=seed), attribution.unit, len(rows))
    spearman = None
    if model is not None and explain is not None:
        spearman = randomisation(model, explain, seed=seed)[-1].spearman
    gap = _relative_gap(attribution)
    reasons = _reasons(deletion, insertion, spearman, gap)
    return Faithfulness(deletion, insertion, spearman, gap, not reasons, tuple(reasons))


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
    num_points: int = 65_536,
) -> Curves:
    """Outputs while groups of features are replaced in the explained, the reversed and random orders."""
    if len(rows) < 2 or rows.shape[1:] != replacement.shape[1:] or not len(replacement):
        raise RequestError(
            "Expected at least 2 rows and 1 replacement row with the same features."
            f" Received {tuple(rows.shape)} and {tuple(replacement.shape)}."
        )
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
    flat, spare = rows.flatten(1), replacement.flatten(1)
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
    members = [[j] for j in range(num_features)] if groups is None else [list(g) for g in groups.values()]
    columns = torch.zeros(len(members), num_features, device=rows.device)
    for index, member in enumerate(members):
        columns[index, member] = 1
    if values.shape == (len(rows), num_features):
        values = values @ columns.cpu().double().numpy().T
    elif values.shape != (len(rows), len(members)):
        raise RequestError(
            f"Expected attribution values for {len(rows)} rows and {num_features} features or {len(members)} groups."
            f" Received {attribution.values.shape}."
        )
    return columns, values


def _picks(num_rows: int, num_spare: int, wanted: int, random: np.random.Generator) -> np.ndarray:
    """Replacement rows for each row, (rows, picks), without repeats within a row."""
    if num_spare <= wanted:
        return np.tile(np.arange(num_spare), (num_rows, 1))
    return np.stack([random.choice(num_spare, wanted, replace=False) for _ in range(num_rows)])


@dataclass(frozen=True, slots=True)
class Randomised:
    """Mean rank correlation with the original explanation after randomising `layer` and all above it."""

    layer: str
    spearman: float


def randomisation(
    model: nn.Module, explain: Explain, *, seed: int = 0, num_seeds: int = 3, every_layer: bool = False
) -> list[Randomised]:
    """Explanation of copies of the model whose parameters are randomised from the output down.

    `explain(model)` attributes the same rows each time. Parameters become normal draws with the same mean
    square. The last entry is the fully randomised model; the layers before it come only with `every_layer`.
    The model itself stays as it is. Correlations are averaged over the rows and over `num_seeds` draws.
    """
    original = _flat(explain(model))
    names = [name for name, module in model.named_modules() if module._parameters]
    if not names:
        raise RequestError("Expected a model with parameters to randomise. Received one without.")
    found: dict[str, list[float]] = {}
    for number in range(num_seeds):
        random = torch.Generator().manual_seed(seed + number)
        twin = copy.deepcopy(model)
        for name in reversed(names):
            _randomise(twin.get_submodule(name), random)
            if every_layer or name == names[0]:
                correlations = rank_correlations(original, _flat(explain(twin)))
                found.setdefault(name, []).append(float(correlations.mean()))
    return [Randomised(name, float(np.mean(values))) for name, values in found.items()]


def stability(explain: Callable[[int], Attribution], seeds: Sequence[int]) -> float:
    """Mean rank correlation between explanations of the same rows with different seeds; 1 is identical."""
    if len(seeds) < 2:
        raise RequestError(f"Expected at least 2 seeds to compare. Received {len(seeds)}.")
    runs = [_flat(explain(seed)) for seed in seeds]
    pairs = [(i, j) for i in range(len(runs)) for j in range(i)]
    return float(np.mean([rank_correlations(runs[i], runs[j]).mean() for i, j in pairs]))


def _randomise(module: nn.Module, random: torch.Generator) -> None:
    with torch.no_grad():
        for parameter in module.parameters(recurse=False):
            scale = parameter.double().square().mean().sqrt()
            draw = torch.randn(parameter.shape, generator=random, dtype=torch.float64)
            parameter.copy_(draw.to(parameter.device) * scale)


def _flat(attribution: Attribution) -> np.ndarray:
    return attribution.values.reshape(len(attribution.values), -1)


def _relative_gap(attribution: Attribution) -> float | None:
    if attribution.completeness_mean is None or attribution.output is None or attribution.base_value is None:
        return None
    moved = float(np.abs(attribution.output - attribution.base_value).mean())
    return attribution.completeness_mean / moved if moved > 0 else attribution.completeness_mean


def _reasons(deletion: Gain, insertion: Gain, spearman: float | None, gap: float | None) -> list[str]:
    reasons = []
    for name, gain in (("Removing the strongest", deletion), ("Keeping the strongest", insertion)):
        if not gain.low > 0:
            reasons.append(
                f"{name} features first is no better than a random order: {gain.value:.3g}"
                f" (95 % interval {gain.low:.3g} to {gain.high:.3g})."
            )
    if spearman is not None and not abs(spearman) < MAX_RANDOMISED_SPEARMAN:
        reasons.append(
            f"A network with random parameters gets a similar explanation (Spearman {spearman:.2f})."
        )
    if gap is not None and not gap < MAX_RELATIVE_GAP:
        reasons.append(f"The values miss the output by {gap:.1%} on average.")
    return reasons
