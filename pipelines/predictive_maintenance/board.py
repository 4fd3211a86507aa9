"""The fleet as a planner goes through it: what is urgent first, and what other costs would propose."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.predictive_maintenance.policy import Decision

ACTIONS = ("service_now", "plan_service", "run_on")


def by_urgency(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Forecasts in the form of the output contract, most urgent first: by action, then by the lower end of the
    remaining life and the estimate. Without failures to learn from: by action, then the most unusual."""
    return forecasts.sort(
        pl.col("action").replace_strict(dict(zip(ACTIONS, range(len(ACTIONS)), strict=True))),
        "rul_low",
        "rul",
        -pl.col("anomaly_score"),
        nulls_last=True,
    )


def proposed_at(forecasts: pl.DataFrame, policies: Mapping[str, Any], threshold: float) -> pl.DataFrame:
    """Forecasts with `action_then`, what another threshold would propose; the horizon of planning stays.

    policies: `policies_document` of the model, whose own threshold gave `action`. A machine that failed at its last
    reading is serviced now whatever the threshold.
    """
    served = Decision.from_json(policies["decision"])
    wanted = Decision(threshold, threshold + served.plan_by - served.threshold)
    rul = forecasts["rul"].to_numpy()
    then = [
        action if action != usual else proposed
        for action, usual, proposed in zip(
            forecasts["action"], served.action(rul), wanted.action(rul), strict=True
        )
    ]
    return forecasts.with_columns(action_then=pl.Series(then, dtype=pl.String))
