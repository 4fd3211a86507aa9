"""One honest sentence: does the model beat its baselines, by how much, and is that outside noise?"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from shared.evaluation.compare import Comparison, difference_text
from shared.evaluation.metric import Metric, decimals, number, readable

Beats = Literal["yes", "no", "within noise"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`beats` speaks of `best_baseline`, the one that leaves the model the smallest advantage.

    "no" means measurably worse; where nothing could be measured it is "within noise" and the sentence says
    so.
    """

    sentence: str
    beats: Beats
    best_baseline: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def verdict(
    model_name: str,
    model: Metric,
    comparisons: Mapping[str, Comparison],
    *,
    metric_label: str | None = None,
    baseline_names: Mapping[str, str] | None = None,
) -> Verdict:
    """Write the verdict from the model's metric and its paired comparisons, each model minus baseline.

    `model_name` starts the sentence ("The network"); `baseline_names` gives keys other wordings. Differences
    are printed so that positive favours the model. Raises ValueError without a baseline: then there is no
    verdict.
    """
    if not comparisons:
        raise ValueError("Expected at least one baseline on the same rows. Received none.")
    names = {key: (baseline_names or {}).get(key, readable(key)) for key in comparisons}
    best = min(comparisons, key=lambda key: _rank(comparisons[key]))
    label = metric_label or model.label
    if not model.is_defined:
        sentence = f"{model_name} cannot be judged: {label} is undefined on this split ({model.reason})."
        return Verdict(sentence, "within noise", best)
    opening = f"{model_name} ({label} {_with_interval(model)})"
    sentence = f"{opening} {_listing(list(_clauses(comparisons, names)))}."
    return Verdict(sentence, _beats(comparisons[best]), best)


def _rank(comparison: Comparison) -> float:
    """Order baselines from strongest; one that could not be measured comes last."""
    return math.inf if math.isnan(comparison.advantage) else comparison.advantage


def _beats(comparison: Comparison) -> Beats:
    if not comparison.outside_noise:
        return "within noise"
    return "yes" if comparison.advantage > 0 else "no"


def _with_interval(model: Metric) -> str:
    """Return `0.781, 0.767 to 0.795`, to stand inside brackets."""
    return model.format().replace(" (", ", ").removesuffix(")")


def _clauses(comparisons: Mapping[str, Comparison], names: Mapping[str, str]) -> list[str]:
    """Return one clause per baseline, the strongest baseline first."""
    clauses = []
    for key in sorted(comparisons, key=lambda key: _rank(comparisons[key])):
        comparison, name = comparisons[key], names[key]
        if math.isnan(comparison.low):
            clauses.append(f"could not be compared with {name}")
            continue
        low, high = comparison.advantage_interval
        digits = decimals(high - low)
        size = number(abs(comparison.advantage), digits)
        ends = sorted((number(abs(low), digits), number(abs(high), digits)), key=float)
        by = f"{name} by {size} ({ends[0]} to {ends[1]})"
        clauses.append(
            {
                "yes": f"beats {by}",
                "no": f"is worse than {by}",
                "within noise": f"is within noise of {name} (difference {difference_text(comparison)})",
            }[_beats(comparison)]
        )
    return clauses


def _listing(clauses: list[str]) -> str:
    return clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])} and {clauses[-1]}"
