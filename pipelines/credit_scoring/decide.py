"""From a probability of default to a decision, to points, and back."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.credit_scoring.config import DecisionConfig
from shared.evaluation.calibration import logit, sigmoid
from shared.evaluation.decisions import Costs
from shared.evaluation.thresholds import review_band

APPROVE, REVIEW, DECLINE = DECISIONS = ("approve", "review", "decline")


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """Approve below the cut-off, decline from it on; a person looks at what lies within `review_band` of it.

    The cut-off is the Bayes threshold of the costs: with calibrated probabilities no other is cheaper, and unlike
    the empirical optimum it does not chase the noise of a few hundred validation rows.
    """

    cut_off: float
    review_band: float
    base_points: float
    base_odds: float
    points_to_double_odds: float

    @classmethod
    def from_config(cls, config: DecisionConfig) -> "DecisionRule":
        """The rule that follows from costs and scaling."""
        return cls(
            cut_off=costs(config).bayes_threshold,
            review_band=config.review_band,
            base_points=config.base_points,
            base_odds=config.base_odds,
            points_to_double_odds=config.points_to_double_odds,
        )

    @property
    def points_per_log_odds(self) -> float:
        """Points that one unit of log-odds is worth."""
        return self.points_to_double_odds / float(np.log(2.0))

    def points(self, probability: np.ndarray) -> np.ndarray:
        """Score in points, higher is safer: PDO scaling of the good:bad odds, not rounded."""
        return self.base_points + self.points_per_log_odds * (-logit(probability) - np.log(self.base_odds))

    def probability(self, points: np.ndarray) -> np.ndarray:
        """The probability of default that earns these points."""
        return sigmoid(
            -((np.asarray(points) - self.base_points) / self.points_per_log_odds + np.log(self.base_odds))
        )

    def decide(self, probability: np.ndarray) -> np.ndarray:
        """`approve`, `review` or `decline` for each row."""
        judged = review_band(self.cut_off, self.review_band).decide(probability)
        return np.select([judged == "clear", judged == "flag"], [APPROVE, DECLINE], REVIEW)

    def to_json(self) -> dict[str, Any]:
        """Plain values for the bundle."""
        return {name: getattr(self, name) for name in self.__slots__}


def costs(config: DecisionConfig) -> Costs:
    """Cost of each error; the positive class is default."""
    return Costs(false_negative=config.cost_false_negative, false_positive=config.cost_false_positive)
