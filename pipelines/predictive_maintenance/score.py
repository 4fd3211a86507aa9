"""The only scoring code: evaluation, batch flow, API and dashboard all call `Scorer`."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipelines.predictive_maintenance.alarm import Alarm
from pipelines.predictive_maintenance.calibrate import Calibrated
from pipelines.predictive_maintenance.config import MaintenanceConfig
from pipelines.predictive_maintenance.explainer import Explainer
from pipelines.predictive_maintenance.features import Preparation
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.forecasts import FORECAST, as_columns, facts
from pipelines.predictive_maintenance.inputs import input_sources, network_inputs
from pipelines.predictive_maintenance.latest import Latest, Seen
from pipelines.predictive_maintenance.model import Ensemble, LstmAutoencoder
from pipelines.predictive_maintenance.policy import Decision
from pipelines.predictive_maintenance.schema import ReadingsSchema
from pipelines.predictive_maintenance.targets import Scale
from pipelines.predictive_maintenance.train import new_autoencoder, new_network, outputs
from pipelines.predictive_maintenance.wording import Proposal, Words, by_anomaly, by_forecast
from shared.interpretability.attribution import Attribution
from shared.publishing.bundle_files import read_config

if TYPE_CHECKING:
    from shared.publishing.bundle import Bundle

PIPELINE = "predictive_maintenance"
OUTPUT_CONTRACT = "maintenance_forecasts"
ANOMALY = "anomaly_score"
_NETWORK, _AUTOENCODER, _NORMAL = "network.", "autoencoder.", "normal"


@dataclass(frozen=True, slots=True, eq=False)
class Forecaster:
    """What forecasts remaining life: networks, what their intervals and probabilities need, when to service."""

    network: Ensemble
    calibrated: Calibrated
    decision: Decision


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """Fitted networks with everything that scoring needs.

    forecaster: None where the fleet had no failures to learn from; then an alarm on the anomaly score is there
    instead. normal: mean window of healthy operation, (1, L, C), which explanations compare with. Networks compute in
    float64, so that a score does not depend on the rows beside it.
    """

    config: MaintenanceConfig
    schema: ReadingsSchema
    scale: Scale
    preparation: Preparation
    autoencoder: LstmAutoencoder
    normal: Tensor
    forecaster: Forecaster | None = None
    alarm: Alarm | None = None
    version: str = "not registered"

    def __post_init__(self) -> None:
        assert (self.forecaster is None) != (self.alarm is None), "one of them decides"
        self.autoencoder.double().eval()
        if self.forecaster is not None:
            self.forecaster.network.double().eval()

    def tensors(self) -> dict[str, Tensor]:
        """Weights of the networks and the normal window, float32 as they were trained."""
        parts = {_AUTOENCODER: self.autoencoder.state_dict()}
        if self.forecaster is not None:
            parts[_NETWORK] = self.forecaster.network.state_dict()
        found = {prefix + name: tensor for prefix, state in parts.items() for name, tensor in state.items()}
        return {name: tensor.float().contiguous() for name, tensor in {**found, _NORMAL: self.normal}.items()}

    def save(self, folder: Path) -> None:
        """Writes `config.json`, `model.safetensors` and `features/` into an existing folder."""
        (folder / "config.json").write_text(self.config.model_dump_json(indent=1))
        save_file(self.tensors(), folder / "model.safetensors")
        (folder / "features").mkdir(exist_ok=True)
        self.save_features(folder / "features")

    def save_features(self, folder: Path) -> None:
        """Writes schema, preparation, calibration and decision."""
        forecaster = self.forecaster
        document = {
            "schema": self.schema.model_dump(mode="json"),
            "scale": {"cap": self.scale.cap, "horizon": self.scale.horizon},
            "preparation": self.preparation.to_json(),
            "calibrated": None if forecaster is None else forecaster.calibrated.to_json(),
            "decision": None if forecaster is None else forecaster.decision.to_json(),
            "alarm": None if self.alarm is None else self.alarm.to_json(),
        }
        (folder / "scorer.json").write_text(json.dumps(document, indent=1))

    @classmethod
    def load(cls, folder: Path, version: str = "not registered") -> "Scorer":
        """Reads what `save` wrote; the folder of a verified bundle has the same files."""
        config = read_config(folder, MaintenanceConfig)
        document = json.loads((folder / "features/scorer.json").read_text())
        schema = ReadingsSchema.model_validate(document["schema"])
        preparation = Preparation.from_json(document["preparation"])
        tensors = load_file(folder / "model.safetensors")
        num_inputs = len(_sources(schema, preparation))
        with torch.random.fork_rng(devices=[]):
            autoencoder = new_autoencoder(num_inputs, config.model)
            autoencoder.load_state_dict(_part(tensors, _AUTOENCODER))
            forecaster = None
            if document["calibrated"] is not None:
                forecaster = _forecaster(document, tensors, num_inputs, config)
        return cls(
            config=config,
            schema=schema,
            scale=Scale(**document["scale"]),
            preparation=preparation,
            autoencoder=autoencoder,
            normal=tensors[_NORMAL],
            forecaster=forecaster,
            alarm=None if document["alarm"] is None else Alarm.from_json(document["alarm"]),
            version=version,
        )

    @classmethod
    def from_bundle(cls, bundle: "Bundle", version: str) -> "Scorer":
        """The scorer of a published, verified bundle."""
        return cls.load(bundle.folder, version)

    def seen(self, fleet: Fleet) -> Seen:
        """A fleet of the same channels, as the networks see it."""
        features, prepared = self.config.features, self.preparation.apply(fleet)
        return Seen(prepared, network_inputs(prepared, features.window_length, features.beginning_length))

    def forecasts(self, seen: Seen, rows: np.ndarray) -> pl.DataFrame:
        """Facts and forecasts of some rows: with a forecaster see `Calibrated.completed`; and anomaly_score."""
        windows = seen.inputs.windows
        table = facts(seen.prepared.fleet, rows)
        if self.forecaster is not None:
            found = outputs(in_float64(self.forecaster.network), windows, rows)
            table = self.forecaster.calibrated.completed(table.with_columns(as_columns(found, self.scale)))
        unusual = outputs(in_float64(self.autoencoder), windows, rows)
        return table.with_columns(pl.Series(ANOMALY, unusual))

    def latest(self, frame: pl.DataFrame) -> Latest:
        """What is forecast from the last reading of each unit of a table valid under the schema's contract.

        Only the last windows pass the networks.
        """
        seen = self.seen(Fleet.of(frame, self.schema))
        rows = seen.prepared.fleet.last_rows
        return Latest(seen, rows, self.forecasts(seen, rows))

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Forecasts in the shape of the contract, without explanations, one row for each unit."""
        return self.worded(self.latest(frame))

    def worded(self, latest: Latest) -> pl.DataFrame:
        """Forecasts in the shape of the contract, without explanations."""
        proposals = list(self._proposals(latest))
        nothing = pl.lit(None, dtype=pl.Float64)
        life = {
            "rul": FORECAST,
            "rul_low": "low",
            "rul_high": "high",
            "failure_probability": "failure_probability",
        }
        return latest.table.select(
            "unit_id",
            "life",
            "time",
            "time_unit",
            latest.taken_at(),
            *(
                (nothing if self.forecaster is None else pl.col(source).fill_nan(None)).alias(name)
                for name, source in life.items()
            ),
            rul_text=pl.Series([one.interval for one in proposals], dtype=pl.String),
            horizon=pl.lit(self.scale.horizon),
            anomaly_score=pl.col(ANOMALY),
            driving_sensors=pl.lit(None, dtype=pl.String),
            action=pl.Series([one.action for one in proposals], dtype=pl.String),
            action_reason=pl.Series([one.reason for one in proposals], dtype=pl.String),
            model_version=pl.lit(self.version),
            contract=pl.lit(self.schema.contract().id_version),
            scored_at=pl.lit(datetime.now(UTC)),
        )

    def explained(self, latest: Latest, scored: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What `worded` gave with its driving sensors; and unit_id with the contribution of every channel."""
        attribution = self.explainer().explain(latest.windows)
        driving = [json.dumps(found) for found in self._driving(attribution)]
        added = {name: attribution.values[:, at] for at, name in enumerate(attribution.names)}
        return scored.with_columns(driving_sensors=pl.Series(driving, dtype=pl.String)), pl.DataFrame(
            {"unit_id": scored["unit_id"], **added}
        )

    def explainer(self) -> Explainer:
        """Explains windows by the same networks, in float32: the last digits decide nothing there."""
        network = None if self.forecaster is None else copy.deepcopy(self.forecaster.network).float()
        return Explainer(
            network=network,
            autoencoder=copy.deepcopy(self.autoencoder).float(),
            normal=self.normal,
            sources=_sources(self.schema, self.preparation),
            cap=self.scale.cap,
            time_unit=self.schema.time_unit,
            num_steps=self.config.explanation.num_steps,
        )

    def _proposals(self, latest: Latest) -> Iterator[Proposal]:
        """What is proposed for each unit, and why."""
        if self.forecaster is None:
            assert self.alarm is not None
            found = by_anomaly(latest.table[ANOMALY].to_numpy(), self.alarm)
        else:
            words = Words(self.scale, self.schema.time_unit)
            found = by_forecast(latest.table, self.forecaster.decision, words)
        remarks = latest.remarks(self.preparation.max_gap_steps)
        for proposal, has_failed, remark in zip(found, latest.has_failed, remarks, strict=True):
            yield (proposal.of_failed() if has_failed else proposal).with_remarks(remark)

    def _driving(self, attribution: Attribution) -> Iterator[list[dict[str, Any]]]:
        down, up = ("shortens", "prolongs") if self.forecaster is not None else ("raises", "raises")
        for strongest in attribution.top(self.config.explanation.num_sensors):
            yield [
                {"sensor": name, "contribution": round(value, 4), "direction": down if value < 0 else up}
                for name, value in strongest
            ]


def _sources(schema: ReadingsSchema, preparation: Preparation) -> tuple[str, ...]:
    by_name = {channel.name: channel for channel in schema.channels}
    return input_sources([by_name[name] for name in preparation.scaling.names])


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _forecaster(
    document: dict[str, Any], tensors: dict[str, Tensor], num_inputs: int, config: MaintenanceConfig
) -> Forecaster:
    network = Ensemble([new_network(num_inputs, config.model) for _ in range(config.model.num_members)])
    network.load_state_dict(_part(tensors, _NETWORK))
    return Forecaster(
        network, Calibrated.from_json(document["calibrated"]), Decision.from_json(document["decision"])
    )


def in_float64(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """A network that computes in float64, for windows in float32."""

    def compute(windows: Tensor) -> Tensor:
        found: Tensor = network(windows.double())
        return found

    return compute
