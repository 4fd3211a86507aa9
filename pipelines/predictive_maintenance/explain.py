"""What explanations say of test machines, and how far they can be trusted.

Checked are completeness, removal against a random order, and randomised weights; on the generator, whether the
strongest sensor is one that the failure mode drives. The explanations themselves are in `explainer`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from pipelines.predictive_maintenance.calibrate import STAGES
from pipelines.predictive_maintenance.config import MaintenanceConfig
from pipelines.predictive_maintenance.explainer import Explainer
from pipelines.predictive_maintenance.features import Preparation, Prepared
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.forecasts import FORECAST
from pipelines.predictive_maintenance.inputs import Inputs, network_inputs
from pipelines.predictive_maintenance.score import ANOMALY
from shared.interpretability.attribution import Attribution

_NUM_EXAMPLES = 3
_TRUTH_WINDOWS = 300
# One reading is noisy: how far a channel is from usual is a mean over so many.
_RECENT = 10


def explain_test(
    explainer: Explainer,
    fleet: Fleet,
    preparation: Preparation,
    table: pl.DataFrame,
    config: MaintenanceConfig,
    truth: pl.DataFrame | None = None,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """A document of plain values, and the contributions of the windows on which the explanation was checked.

    fleet: test machines as they were read. table: their forecasts, see `TestResults`, and anomaly_score, row for row
    of their grid. truth: of the generator, None elsewhere. The contributions have a row for each window and channel:
    unit_id, time, channel, contribution, and deviation, the mean of the channel's last scaled readings.
    """
    prepared = preparation.apply(fleet)
    features = config.features
    inputs = network_inputs(prepared, features.window_length, features.beginning_length)
    rows = rows_to_check(explainer, table, config.explanation.num_checked)
    windows = inputs.windows.gather(torch.from_numpy(rows))
    attribution = explainer.checked(explainer.explain(windows), windows, seed=config.seed)
    examples = _Examples(explainer, inputs, prepared, preparation, table)
    document = {
        "attribution": attribution.to_json(),
        "channels": {
            channel.name: {"title": channel.title, "unit": channel.unit}
            for channel in prepared.fleet.channels
        },
        "step": preparation.step,
        "truth": None if truth is None else agreement_with_truth(explainer, inputs, table, truth),
        "examples": [examples.of(row) for row in rows_to_show(explainer, table)],
    }
    return document, _contributions(attribution, table[rows.tolist()], windows)


def rows_to_check(explainer: Explainer, table: pl.DataFrame, size: int) -> np.ndarray:
    """Rows of windows, ascending: half of those forecast near failure, half of the others, each drawn evenly.

    Without remaining lives: half of the more unusual half of the windows.
    """
    urgency = _urgency(explainer, table)
    order = np.argsort(-urgency, kind="stable")
    num_near = len(order) // 2
    if explainer.network is not None:
        num_near = int((urgency >= -explainer.cap / len(STAGES)).sum())
    near, far = order[:num_near], order[num_near:]
    wanted = min(max(size // 2, size - len(far)), len(near))
    return np.sort(np.concatenate([_evenly(near, wanted), _evenly(far, size - wanted)]))


def rows_to_show(explainer: Explainer, table: pl.DataFrame) -> list[int]:
    """The most urgent of the moments at which each test machine is forecast, most urgent first."""
    urgency = np.where(table["is_last"].to_numpy(), _urgency(explainer, table), -np.inf)
    order = np.argsort(-urgency, kind="stable")[: min(_NUM_EXAMPLES, int(table["is_last"].sum()))]
    return [int(row) for row in order]


def agreement_with_truth(
    explainer: Explainer, inputs: Inputs, table: pl.DataFrame, truth: pl.DataFrame
) -> dict[str, Any] | None:
    """How often the strongest sensor is one that the failure mode drives, on the generator; None without a case.

    Of windows of which that is clear: the last third of the cap before a failure that does not come suddenly. The
    strongest sensor is the one that shortens the remaining life most, or adds most to the anomaly score.
    """
    clear = (
        table.with_row_index("row")
        .join(
            truth.select("unit_id", "life", "is_sudden", "faulty_sensors"),
            on=("unit_id", "life"),
            how="inner",
        )
        .filter(
            ~pl.col("is_censored"), ~pl.col("is_sudden"), pl.col("remaining") <= explainer.cap / len(STAGES)
        )
        .sort("row")
    )
    if clear.is_empty():
        return None
    clear = clear[_evenly(np.arange(clear.height), _TRUTH_WINDOWS).tolist()]
    attribution = explainer.explain(inputs.windows.gather(clear["row"].cast(pl.Int64).to_torch()))
    strongest = attribution.top(1, "up" if explainer.network is None else "down")
    right = [
        bool(first) and first[0][0] in faulty
        for first, faulty in zip(strongest, clear["faulty_sensors"].to_list(), strict=True)
    ]
    return {
        "windows": clear.height,
        "machines": clear["unit_id"].n_unique(),
        "share": float(np.mean(right)),
    }


class _Examples:
    """Single machines in numbers: what each channel is, would usually be, and adds; and when in the window."""

    def __init__(
        self,
        explainer: Explainer,
        inputs: Inputs,
        prepared: Prepared,
        preparation: Preparation,
        table: pl.DataFrame,
    ) -> None:
        self.explainer, self.inputs, self.prepared, self.table = explainer, inputs, prepared, table
        self.scaling = preparation.scaling

    def of(self, row: int) -> dict[str, Any]:
        window = self.inputs.windows.gather(torch.tensor([row]))
        attribution = self.explainer.explain(window)
        facts = self.table.row(row, named=True)
        kept = ("unit_id", "life", "time", "remaining", "is_censored", FORECAST, "low", "high", ANOMALY)
        assert attribution.base_value is not None
        assert attribution.output is not None
        return {
            **{name: facts[name] for name in kept if name in facts},
            "base_value": float(np.ravel(attribution.base_value)[0]),
            "output": float(attribution.output[0]),
            "num_observed": int(self.inputs.windows.num_observed[row]),
            "channels": list(self._channels(row, window, attribution)),
            **self._within_window(window),
        }

    def _channels(self, row: int, window: Tensor, attribution: Attribution) -> Iterator[Mapping[str, Any]]:
        regime = self.prepared.regime[row]
        values = self.scaling.unscaled(self.prepared.values[row].astype(np.float64), regime)
        recent = _recent(window)[0]
        ago = self.prepared.fleet.steps_ago
        for at, name in enumerate(attribution.names):
            place, *change = np.flatnonzero([source == name for source in self.inputs.sources]).tolist()
            yield {
                "name": name,
                "value": float(values[place]),
                "usual": float(self.scaling.mean[regime, place]),
                "deviation": float(recent[place]),
                "change": float(recent[change[0]]) if change else None,
                "steps_ago": 0.0 if ago is None else float(ago[row, place]),
                "contribution": float(attribution.values[0, at]),
            }

    def _within_window(self, window: Tensor) -> dict[str, Any]:
        """Contributions of each channel at each reading, (channels, L), and evidence for a shorter life, (L,)."""
        if self.explainer.network is None:
            return {"over_time": None, "evidence": None}
        over_time = self.explainer.by_reading(window).values[0]
        summed = [
            over_time[:, [source == name for source in self.inputs.sources]].sum(1)
            for name in self.explainer.channels
        ]
        return {
            "over_time": np.stack(summed).tolist(),
            "evidence": self.explainer.evidence(window)[0].tolist(),
        }


def _urgency(explainer: Explainer, table: pl.DataFrame) -> np.ndarray:
    """Higher is nearer to failure, or more unusual."""
    if explainer.network is None:
        return table[ANOMALY].to_numpy()
    return -table[FORECAST].to_numpy()


def _evenly(rows: np.ndarray, size: int) -> np.ndarray:
    if not len(rows):
        return rows
    places = np.linspace(0, len(rows) - 1, min(size, len(rows))).round().astype(np.int64)
    chosen: np.ndarray = rows[places]
    return chosen


def _recent(windows: Tensor) -> np.ndarray:
    """Mean of the last readings of each window, float64 of shape (B, C)."""
    recent: np.ndarray = windows[:, -_RECENT:].double().mean(1).numpy()
    return recent


def _contributions(attribution: Attribution, cases: pl.DataFrame, windows: Tensor) -> pl.DataFrame:
    names = attribution.names
    return pl.DataFrame(
        {
            "unit_id": np.repeat(cases["unit_id"].to_numpy(), len(names)),
            "time": np.repeat(cases["time"].to_numpy(), len(names)),
            "channel": list(names) * cases.height,
            "contribution": attribution.values.astype(np.float64).ravel(),
            # the channels come first, in their order
            "deviation": _recent(windows)[:, : len(names)].ravel(),
        }
    )
