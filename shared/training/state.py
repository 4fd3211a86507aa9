"""Where a run is, beside its tensors: plain values that a checkpoint holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.training.settings import FitSettings, Tier


@dataclass
class State:
    """Where a run is, beside the tensors. `batch` counts within the epoch, `step` over all epochs."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    rows: int = 0
    loss_sum: float = 0.0
    loss_rows: int = 0
    best_value: float | None = None
    best_epoch: int = -1
    epochs_without_gain: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    update_seconds: float = 0.0
    epoch_seconds: float = 0.0
    stopped_because: str = ""
    num_threads: int | None = None
    tier: Tier = "eager"
    tier_reason: str = ""


def is_over(content: Mapping[str, Any], settings: FitSettings) -> bool:
    """Whether a saved run is complete; one that met its time limit is not when the limit was raised since."""
    limit = settings.max_seconds
    out_of_time = limit is not None and content["seconds"] >= limit
    return bool(content["stopped_because"]) and (content["stopped_because"] != "time_limit" or out_of_time)
