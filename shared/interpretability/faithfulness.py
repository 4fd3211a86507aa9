"""Does an explanation describe this model? Removal curves against random orders, and randomised parameters.

Sources: Petsiuk et al. 2018 (arXiv 1806.07421, deletion and insertion), Adebayo et al. 2018 (arXiv
1810.03292, parameter randomisation). What differs: the areas are reported as the difference to random orders
on the same rows and the same replacement values, because an area alone says nothing.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import RequestError
from shared.interpretability.attribution import Attribution
from shared.interpretability.ranks import mean_interval, rank_correlations
from shared.interpretability.removal import removal_curves
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
    """Tests an attribution against removal and, with `model` and `explain`, against random parameters.

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
