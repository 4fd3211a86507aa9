"""Where to cut: decision thresholds by cost or budget, chosen on validation data.

One convention throughout: a row is flagged when its score is at or above the threshold, and higher scores
mean "more likely 1". Tied scores are flagged together or not at all. A threshold lies midway between the
lowest flagged and the highest unflagged score, which is the safest place for rows not seen yet.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation import arrays
from shared.evaluation.arrays import BoolArray, FloatArray
from shared.evaluation.cells import Cells
from shared.evaluation.decisions import Confusion, Costs, confusion, ratio
from shared.evaluation.metric import finite_or_none


@dataclass(frozen=True, slots=True)
class Threshold:
    """A cut-off with the rule that set it and what it does on the rows it was set on. Flag score >= value.

    What needs labels is NaN without them; `cost_per_case` and `bayes_threshold` are NaN without costs.
    """

    value: float
    rule: str
    n: int
    num_flagged: int
    true_positive_rate: float = float("nan")
    false_positive_rate: float = float("nan")
    cost_per_case: float = float("nan")
    bayes_threshold: float = float("nan")

    @property
    def flagged_rate(self) -> float:
        return ratio(self.num_flagged, self.n)

    def flags(self, score: ArrayLike) -> BoolArray:
        return arrays.scores(score) >= self.value

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self) | {"flagged_rate": self.flagged_rate}
        return {
            key: finite_or_none(value) if isinstance(value, float) else value for key, value in fields.items()
        }


@dataclass(frozen=True, slots=True)
class _Cuts:
    """All distinct ways to cut, from flagging everything to flagging nothing; arrays of shape (G + 1,)."""

    threshold: FloatArray
    flagged: FloatArray
    caught: FloatArray

    @classmethod
    def of(cls, score: ArrayLike, y: ArrayLike | None = None) -> "_Cuts":
        score_n = arrays.scores(score)
        if score_n.size == 0:
            raise ValueError("Expected validation rows to set a threshold on. Received none.")
        y_n = np.zeros(score_n.size, dtype=np.int64) if y is None else arrays.labels(y)
        score_n = arrays.scores(score_n, y_n.size)
        cells = Cells.of(y_n, score_n)
        positives, negatives = cells.counts()
        flagged, caught = (np.r_[np.cumsum(c[::-1])[::-1], 0.0] for c in (positives + negatives, positives))
        below, above = cells.score[:-1], cells.score[1:]
        # Half of each, as the sum may overflow; and between neighbouring floats there is no midpoint.
        middle = below / 2 + above / 2
        middle = np.where(middle > below, middle, above)
        return cls(np.r_[cells.score[0], middle, np.nextafter(cells.score[-1], np.inf)], flagged, caught)

    def at(self, index: int, rule: str, costs: Costs | None = None, *, labelled: bool = True) -> Threshold:
        n, num_flagged = int(self.flagged[0]), int(self.flagged[index])
        if not labelled:
            return Threshold(float(self.threshold[index]), rule, n, num_flagged)
        table = self.confusion(index)
        return Threshold(
            float(self.threshold[index]),
            rule,
            n,
            num_flagged,
            table.true_positive_rate,
            table.false_positive_rate,
            table.cost_per_case(costs) if costs else float("nan"),
            costs.bayes_threshold if costs else float("nan"),
        )

    def confusion(self, index: int) -> Confusion:
        caught, false_alarms = self.caught[index], self.flagged[index] - self.caught[index]
        missed = self.caught[0] - caught
        return Confusion(caught, false_alarms, missed, self.flagged[0] - caught - false_alarms - missed)

    def cost_per_case(self, costs: Costs) -> FloatArray:
        false_alarms, missed = self.flagged - self.caught, self.caught[0] - self.caught
        quiet = self.flagged[0] - self.flagged - missed
        total = self.caught * costs.true_positive + false_alarms * costs.false_positive
        total = total + missed * costs.false_negative + quiet * costs.true_negative
        return np.asarray(total / self.flagged[0])


def cost_threshold(y: ArrayLike, score: ArrayLike, costs: Costs) -> Threshold:
    """Return the cut-off with the lowest cost on these rows; compare its value with its `bayes_threshold`.

    Of equally cheap cut-offs the one nearest to the analytic Bayes threshold is taken. The empirical optimum
    is noisy on few rows: with calibrated probabilities `bayes_cut` is the safer choice.
    """
    cuts = _Cuts.of(score, y)
    cost = cuts.cost_per_case(costs)
    cheapest = np.flatnonzero(cost <= cost.min() + 1e-12 * max(1.0, abs(float(cost.min()))))
    nearest = np.argmin(np.abs(cuts.threshold[cheapest] - costs.bayes_threshold))
    return cuts.at(int(cheapest[nearest]), "lowest cost", costs)


def bayes_cut(y: ArrayLike, probability: ArrayLike, costs: Costs) -> Threshold:
    """Return the analytic Bayes threshold with what it does on these rows. Needs calibrated probabilities."""
    y_n = arrays.labels(y)
    p_n = arrays.scores(probability, y_n.size, probability=True)
    table = confusion(y_n, p_n >= costs.bayes_threshold)
    return Threshold(
        costs.bayes_threshold,
        "Bayes threshold of the costs",
        y_n.size,
        int(table.true_positives + table.false_positives),
        table.true_positive_rate,
        table.false_positive_rate,
        table.cost_per_case(costs),
        costs.bayes_threshold,
    )


def budget_threshold(score: ArrayLike, budget: int, y: ArrayLike | None = None) -> Threshold:
    """Return the cut-off that flags the top `budget` rows; ties at the edge are left out."""
    if budget < 0:
        raise ValueError(f"Expected a budget of at least 0 rows. Received {budget}.")
    cuts = _Cuts.of(score, y)
    return cuts.at(_first(cuts.flagged <= budget), f"at most {budget} flagged", labelled=y is not None)


def _first(allowed: NDArray[np.bool_]) -> int:
    """Return the lowest allowed cut; the last, which flags nothing, always is."""
    return int(np.argmax(allowed))


@dataclass(frozen=True, slots=True)
class CostCurve:
    """Cost per case and flagged share over all cut-offs, each of shape (k,), lowest threshold first."""

    threshold: FloatArray
    cost_per_case: FloatArray
    flagged_rate: FloatArray
    unit: str


def cost_curve(y: ArrayLike, score: ArrayLike, costs: Costs, *, max_points: int = 1000) -> CostCurve:
    """Return the cost at every cut-off, thinned evenly to `max_points`; the cheapest is always kept."""
    cuts = _Cuts.of(score, y)
    cost = cuts.cost_per_case(costs)
    rows = np.linspace(0, cost.size - 1, min(cost.size, max(2, max_points))).round().astype(np.int64)
    rows = np.unique(np.r_[rows, int(np.argmin(cost))])
    return CostCurve(cuts.threshold[rows], cost[rows], cuts.flagged[rows] / cuts.flagged[0], costs.unit)


@dataclass(frozen=True, slots=True)
class ReviewBand:
    """Scores from `low` up to, not including, `high` go to a person; above is flagged, below is not."""

    low: float
    high: float

    def decide(self, score: ArrayLike) -> NDArray[np.str_]:
        """Return "clear", "review" or "flag" per row."""
        score_n = arrays.scores(score)
        return np.where(score_n < self.low, "clear", np.where(score_n < self.high, "review", "flag"))


def review_band(threshold: float, half_width: float) -> ReviewBand:
    """Return the band of this half width (in score units, e.g. 0.03) around a cut-off."""
    if not (np.isfinite(threshold) and np.isfinite(half_width) and half_width >= 0):
        raise ValueError(f"Expected a half width of at least 0. Received {half_width!r} at {threshold!r}.")
    return ReviewBand(threshold - half_width, threshold + half_width)
