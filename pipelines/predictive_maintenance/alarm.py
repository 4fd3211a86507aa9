"""When to look at a machine of a fleet that has no failures to learn from: an alarm with a promised share of quiet.

The threshold is the conformal quantile of the anomaly scores of machines that the autoencoder has not seen. It promises
how much of healthy operation stays below it. It cannot promise that a failure is seen, nor when.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from pipelines.predictive_maintenance.policy import Action
from shared.evaluation.conformal import conformal_quantile

_MAX_QUIET_SHARE = 0.99


@dataclass(frozen=True, slots=True)
class Alarm:
    """threshold: anomaly score above which a machine is looked at. quiet_share: of the windows of a new machine that
    runs as those did, so many stay at or below it. num_machines: on which that was fixed."""

    threshold: float
    quiet_share: float
    num_machines: int

    @classmethod
    def fit(cls, scores: np.ndarray, units: np.ndarray) -> Self:
        """From anomaly scores of windows, (rows,), of machines that the autoencoder has not seen.

        Few machines cannot promise much: n of them at most n / (n + 1), rounded down to whole percents.
        """
        num_machines = len(np.unique(units))
        share = min(_MAX_QUIET_SHARE, math.floor(100 * num_machines / (num_machines + 1)) / 100)
        return cls(conformal_quantile(scores, share, groups=units), share, num_machines)

    def action(self, scores: np.ndarray) -> list[Action]:
        """The proposal for each score. What is unusual says nothing about how urgent it is: nothing is serviced now."""
        return ["plan_service" if score > self.threshold else "run_on" for score in scores]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(**document)
