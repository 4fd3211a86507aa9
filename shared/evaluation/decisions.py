"""What decisions cost and how they fall: the cost of each kind of error, and the confusion table."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.evaluation import arrays


class Costs(BaseModel):
    """What each kind of decision costs. A gain is a negative cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    false_negative: float = Field(description="cost of not flagging a 1, in `unit`", allow_inf_nan=False)
    false_positive: float = Field(description="cost of flagging a 0, in `unit`", allow_inf_nan=False)
    true_positive: float = Field(default=0.0, description="cost of flagging a 1", allow_inf_nan=False)
    true_negative: float = Field(default=0.0, description="cost of not flagging a 0", allow_inf_nan=False)
    unit: str = Field(default="", description="unit of all four, e.g. EUR per case; empty for ratios")

    @model_validator(mode="after")
    def _errors_cost_more(self) -> "Costs":
        if self.false_negative <= self.true_positive or self.false_positive <= self.true_negative:
            raise ValueError("Expected each error to cost more than the right decision for the same case.")
        return self

    @property
    def bayes_threshold(self) -> float:
        """The probability from which flagging is cheaper: optimal if the probabilities are calibrated."""
        regret_of_flagging = self.false_positive - self.true_negative
        return regret_of_flagging / (regret_of_flagging + self.false_negative - self.true_positive)


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts (or weights) of decisions against labels; the rates are NaN where nothing is to be counted."""

    true_positives: float
    false_positives: float
    false_negatives: float
    true_negatives: float

    @property
    def total(self) -> float:
        return self.true_positives + self.false_positives + self.false_negatives + self.true_negatives

    @property
    def flagged_rate(self) -> float:
        return ratio(self.true_positives + self.false_positives, self.total)

    @property
    def true_positive_rate(self) -> float:
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def false_positive_rate(self) -> float:
        return ratio(self.false_positives, self.false_positives + self.true_negatives)

    @property
    def precision(self) -> float:
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    def cost_per_case(self, costs: Costs) -> float:
        total = (
            self.true_positives * costs.true_positive
            + self.false_positives * costs.false_positive
            + self.false_negatives * costs.false_negative
            + self.true_negatives * costs.true_negative
        )
        return ratio(total, self.total)


def ratio(part: float, whole: float) -> float:
    """Return part / whole, or NaN for a share of nothing."""
    return float(part / whole) if whole else float("nan")


def confusion(y: ArrayLike, flagged: ArrayLike, weight: ArrayLike | None = None) -> Confusion:
    """Count decisions (0/1 or bool, shape (n,)) against labels."""
    y_n = arrays.labels(y)
    flagged_n = arrays.labels(flagged)
    if flagged_n.size != y_n.size:
        raise ValueError(f"Expected {y_n.size} decisions. Received {flagged_n.size}.")
    count = np.bincount(2 * flagged_n + y_n, arrays.weights(weight, y_n.size), minlength=4).astype(float)
    return Confusion(count[3], count[2], count[1], count[0])
