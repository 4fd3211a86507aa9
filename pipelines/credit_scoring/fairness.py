"""Group audit of a decision: who is selected, who deserved it, and can the probabilities be believed per
group?

State everything from the favourable side: `selected` is the decision people want, `y` = 1 marks those for
whom it is right. Then the true-positive rate is "deserving and selected" (equal opportunity), the
false-positive rate "undeserving and selected", and selection ratios below four fifths are adverse impact.

Gaps are reported for the pair of groups that lie furthest apart, with an interval widened for the number of
pairs that were looked at (Bonferroni), so many small groups do not produce a scandal by chance. Intervals
come from independent rows: several rows per person would need one row each.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from shared.evaluation import arrays
from shared.evaluation.arrays import BoolArray, FloatArray, IntArray
from shared.evaluation.metric import Metric, finite_or_none, undefined

MIN_GROUP_ROWS = 30
# Below this many rows of a class a true- or false-positive rate says next to nothing.
MIN_GROUP_CLASS_ROWS = 10
FOUR_FIFTHS = 0.8
NUM_DRAWS = 20_000

Finding = Literal["gap", "unclear", "no measurable gap", "too little data"]


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One group: `calibration_gap` is mean probability minus observed rate (above 0: promised too much)."""

    group: str
    n: int
    num_positives: int
    selection_rate: Metric
    true_positive_rate: Metric
    false_positive_rate: Metric
    calibration_gap: Metric
    too_small: str

    def to_json(self) -> dict[str, Any]:
        metrics = (
            self.selection_rate,
            self.true_positive_rate,
            self.false_positive_rate,
            self.calibration_gap,
        )
        return {
            "group": self.group,
            "n": self.n,
            "num_positives": self.num_positives,
            "too_small": self.too_small,
        } | {metric.name: metric.to_json() for metric in metrics}


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest difference (or, for the four-fifths rule, ratio) between two groups of enough rows."""

    name: str
    value: float
    low: float
    high: float
    highest: str
    lowest: str
    finding: Finding

    def to_json(self) -> dict[str, Any]:
        ends = {key: finite_or_none(getattr(self, key)) for key in ("value", "low", "high")}
        return ends | {"highest": self.highest, "lowest": self.lowest, "finding": self.finding}


@dataclass(frozen=True, slots=True)
class GroupAudit:
    """One attribute; `gaps`: selection_ratio, selection, equal_opportunity, equalised_odds."""

    attribute: str
    groups: tuple[GroupResult, ...]
    gaps: dict[str, Gap] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "attribute": self.attribute,
            "groups": [group.to_json() for group in self.groups],
            "gaps": {name: gap.to_json() for name, gap in self.gaps.items()},
        }


@dataclass(frozen=True, slots=True)
class _Rate:
    """Successes out of trials per group, each of shape (groups,)."""

    name: str
    successes: IntArray
    trials: IntArray

    @classmethod
    def of(cls, name: str, success_n: BoolArray, among_n: BoolArray, group_n: IntArray) -> "_Rate":
        num_groups = int(group_n.max(initial=-1)) + 1
        trials = np.bincount(group_n[among_n], minlength=num_groups)
        return cls(name, np.bincount(group_n[among_n & success_n], minlength=num_groups), trials)

    def metric(self, index: int, confidence: float) -> Metric:
        """Return one group's rate with Jeffreys' interval, closed at 0 of n and n of n."""
        from scipy.stats import beta

        hits, trials = int(self.successes[index]), int(self.trials[index])
        if trials == 0:
            return undefined(self.name, "no such rows in this group")
        tail, value = (1 - confidence) / 2, hits / trials
        low, high = (float(end) for end in beta.ppf([tail, 1 - tail], hits + 0.5, trials - hits + 0.5))
        low, high = (0.0 if hits == 0 else min(low, value)), (1.0 if hits == trials else max(high, value))
        return Metric(self.name, value, low, high, n=trials)

    def draws(self, index: int, generator: np.random.Generator) -> FloatArray:
        """Return draws of one group's rate from Jeffreys' posterior: a bootstrap of 0 in 12 is sure of 0."""
        hits, trials = int(self.successes[index]), int(self.trials[index])
        return generator.beta(hits + 0.5, trials - hits + 0.5, size=NUM_DRAWS)


def audit_groups(
    y: ArrayLike,
    selected: ArrayLike,
    group: ArrayLike,
    *,
    attribute: str,
    probability: ArrayLike | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> GroupAudit:
    """Audit a decision between the levels of one attribute; all arrays of shape (n,).

    `probability` is the calibrated probability of y = 1. Groups with fewer than `MIN_GROUP_ROWS` rows or
    `MIN_GROUP_CLASS_ROWS` of either class are listed with their numbers and take no part in any gap they are
    too small for. Missing group values (None, NaN) form the group "missing". Raises ValueError for wrong
    inputs.
    """
    y_n, selected_n = arrays.labels(y), arrays.labels(selected) == 1
    if selected_n.size != y_n.size:
        raise ValueError(f"Expected {y_n.size} decisions. Received {selected_n.size}.")
    arrays.confidence_level(confidence)
    p_n = None if probability is None else arrays.scores(probability, y_n.size, probability=True)
    distinct, group_n = arrays.codes(_group_names(group), y_n.size, "groups")
    names = [str(name) for name in distinct]
    everyone = np.ones(y_n.size, dtype=bool)
    selection = _Rate.of("selection_rate", selected_n, everyone, group_n)
    true_positive = _Rate.of("true_positive_rate", selected_n, y_n == 1, group_n)
    false_positive = _Rate.of("false_positive_rate", selected_n, y_n == 0, group_n)
    observed = _Rate.of("observed_rate", y_n == 1, everyone, group_n)
    results = tuple(
        GroupResult(
            name,
            int(observed.trials[index]),
            int(observed.successes[index]),
            selection.metric(index, confidence),
            true_positive.metric(index, confidence),
            false_positive.metric(index, confidence),
            _calibration_gap(p_n, group_n == index, observed.metric(index, confidence)),
            _too_small(int(observed.trials[index]), int(observed.successes[index])),
        )
        for index, name in enumerate(names)
    )
    gaps = _Gaps(names, observed.trials >= MIN_GROUP_ROWS, confidence, seed)
    return GroupAudit(attribute, results, gaps.all(selection, true_positive, false_positive))


def _group_names(group: ArrayLike) -> list[str]:
    values = np.asarray(group, dtype=object).ravel()
    return ["missing" if value is None or value != value else str(value) for value in values]


def _too_small(num_rows: int, num_positives: int) -> str:
    if num_rows < MIN_GROUP_ROWS:
        return f"{num_rows} rows, fewer than {MIN_GROUP_ROWS}"
    fewest = min(num_positives, num_rows - num_positives)
    if fewest < MIN_GROUP_CLASS_ROWS:
        return f"{fewest} rows of one class, fewer than {MIN_GROUP_CLASS_ROWS}"
    return ""


def _calibration_gap(p_n: FloatArray | None, members: BoolArray, observed: Metric) -> Metric:
    """Return mean probability minus observed rate; the interval is that of the observed rate."""
    name = "calibration_gap"
    if p_n is None:
        return undefined(name, "no probabilities given", higher_is_better=False, n=observed.n)
    mean = float(p_n[members].mean())
    ends = (mean - observed.value, mean - observed.high, mean - observed.low)
    return Metric(name, *ends, higher_is_better=False, n=observed.n)


@dataclass(frozen=True, slots=True)
class _Gaps:
    """Finds the pair of groups furthest apart among those that are large enough."""

    names: list[str]
    large_enough: BoolArray
    confidence: float
    seed: int

    def all(self, selection: _Rate, true_positive: _Rate, false_positive: _Rate) -> dict[str, Gap]:
        odds = [self.difference("equalised_odds", rate, looks=2) for rate in (true_positive, false_positive)]
        gaps = (
            self.four_fifths(selection),
            self.difference("selection", selection),
            self.difference("equal_opportunity", true_positive),
            max(odds, key=lambda gap: -1.0 if np.isnan(gap.value) else gap.value),
        )
        return {gap.name: gap for gap in gaps}

    def difference(self, name: str, rate: _Rate, *, looks: int = 1) -> Gap:
        """Return highest minus lowest rate; `looks` is how many gaps the reported one is the worst of."""
        pair = self._extremes(rate)
        if pair is None:
            return _unmeasured(name)
        generator = np.random.default_rng(self.seed)
        difference = rate.draws(pair[0], generator) - rate.draws(pair[1], generator)
        low, high = self._interval(difference, rate, looks)
        values = rate.successes / np.maximum(rate.trials, 1)
        value = float(values[pair[0]] - values[pair[1]])
        finding: Finding = "gap" if low > 0 else "no measurable gap"
        return Gap(name, value, low, high, self.names[pair[0]], self.names[pair[1]], finding)

    def four_fifths(self, rate: _Rate) -> Gap:
        """Return lowest over highest rate, judged against `FOUR_FIFTHS`."""
        pair = self._extremes(rate)
        if pair is None:
            return _unmeasured("selection_ratio")
        generator = np.random.default_rng(self.seed)
        highest = rate.draws(pair[0], generator)
        low, high = self._interval(rate.draws(pair[1], generator) / highest, rate, looks=1)
        values = rate.successes / np.maximum(rate.trials, 1)
        value = float(values[pair[1]] / values[pair[0]]) if values[pair[0]] > 0 else float("nan")
        finding: Finding = "unclear" if value < FOUR_FIFTHS else "no measurable gap"
        if high < FOUR_FIFTHS:
            finding = "gap"
        names = self.names[pair[0]], self.names[pair[1]]
        return Gap("selection_ratio", value, low, high, *names, finding)

    def _eligible(self, rate: _Rate) -> IntArray:
        return np.flatnonzero(self.large_enough & (rate.trials >= MIN_GROUP_CLASS_ROWS))

    def _extremes(self, rate: _Rate) -> tuple[int, int] | None:
        """Return the groups with the highest and the lowest rate: never the same one twice."""
        indices = self._eligible(rate)
        if indices.size < 2:
            return None
        values = rate.successes[indices] / rate.trials[indices]
        order = np.argsort(values, kind="stable")
        return int(indices[order[-1]]), int(indices[order[0]])

    def _interval(self, draws: FloatArray, rate: _Rate, looks: int) -> tuple[float, float]:
        num_groups = self._eligible(rate).size
        tail = (1 - self.confidence) / (looks * num_groups * (num_groups - 1))
        low, high = np.quantile(draws, [tail, 1 - tail])
        return float(low), float(high)


def _unmeasured(name: str) -> Gap:
    nan = float("nan")
    return Gap(name, nan, nan, nan, "", "", "too little data")
