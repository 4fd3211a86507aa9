"""The only scoring code: evaluation, batch flow, API and dashboard all call `Scorer`."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.credit_scoring.config import CreditConfig
from pipelines.credit_scoring.decide import APPROVE, DecisionRule
from pipelines.credit_scoring.features import Features
from pipelines.credit_scoring.model import CreditNetwork
from pipelines.credit_scoring.reasons import Reason, adverse_reasons
from pipelines.credit_scoring.schema import CONTRACT, LenderSchema
from pipelines.credit_scoring.train import predict_log_odds
from shared.contracts.contract import load
from shared.evaluation.calibration import (
    Calibration,
    NoCalibration,
    PlattScaling,
    TemperatureScaling,
    calibration_from_json,
    logit,
)
from shared.interpretability.attribution import Attribution
from shared.interpretability.deep_shap import deep_shap
from shared.publishing.bundle_files import read_config

if TYPE_CHECKING:
    from shared.publishing.bundle import Bundle

PIPELINE = "credit_scoring"
TARGET = "log-odds of default"
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class Scorer:
    """A fitted model with everything that scoring needs: features, calibration, decision rule, reference rows.

    Log-odds and probabilities are of default: higher is riskier. Points are the other way round: higher is safer.
    """

    schema: LenderSchema
    config: CreditConfig
    features: Features
    network: CreditNetwork
    calibration: Calibration
    background: pl.DataFrame
    version: str = "not registered"

    @property
    def rule(self) -> DecisionRule:
        """How a probability becomes a decision and points."""
        return DecisionRule.from_config(self.config.decision)

    def with_background(self, background: pl.DataFrame) -> "Scorer":
        """The same scorer with other reference rows."""
        return replace(self, background=background)

    def save(self, folder: Path) -> None:
        """Writes `config.json`, `model.safetensors` and `features/` into an existing folder."""
        from safetensors.torch import save_file

        (folder / "config.json").write_text(self.config.model_dump_json(indent=1))
        save_file(
            {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()},
            folder / "model.safetensors",
        )
        self.save_features(folder / "features")

    def save_features(self, folder: Path) -> None:
        """Writes encodings, schema, calibration and reference rows."""
        self.features.save(folder)
        (folder / "schema.json").write_text(self.schema.model_dump_json(indent=1))
        (folder / "calibration.json").write_text(json.dumps(self.calibration.to_json(), indent=1))
        self.background.write_parquet(folder / "background.parquet")

    @classmethod
    def load(cls, folder: Path, version: str = "not registered") -> "Scorer":
        """Reads what `save` wrote; the folder of a verified bundle has the same files."""
        from safetensors.torch import load_file

        config = read_config(folder, CreditConfig)
        features = Features.load(folder / "features")
        network = CreditNetwork(features, config.model)
        network.load_state_dict(load_file(folder / "model.safetensors"))
        network.eval()
        return cls(
            schema=LenderSchema.model_validate_json((folder / "features/schema.json").read_text()),
            config=config,
            features=features,
            network=network,
            calibration=calibration_from_json(json.loads((folder / "features/calibration.json").read_text())),
            background=pl.read_parquet(folder / "features/background.parquet"),
            version=version,
        )

    @classmethod
    def from_bundle(cls, bundle: "Bundle", version: str) -> "Scorer":
        """The scorer of a published, verified bundle."""
        return cls.load(bundle.folder, version)

    def log_odds(self, frame: pl.DataFrame) -> np.ndarray:
        """Calibrated log-odds of default, of shape (rows,)."""
        return logit(self.probability(frame))

    def probability(self, frame: pl.DataFrame) -> np.ndarray:
        """Calibrated probability of default, of shape (rows,)."""
        # encoded in slices: an encoded row is some twenty times the size of the row
        slices = frame.iter_slices(_ROWS_AT_ONCE) if len(frame) else [frame]
        raw = [predict_log_odds(self.network, self.features.transform(part)) for part in slices]
        return self.calibration.probability(np.concatenate(raw))

    @property
    def calibration_slope(self) -> float:
        """Calibrated log-odds are an affine function of the network's; this is its slope."""
        return _affine(self.calibration)[0]

    def explain(self, frame: pl.DataFrame) -> Attribution:
        """What each column adds to each applicant's calibrated log-odds of default, against the reference rows.

        Values of shape (rows, columns); positive values speak against the applicant. They sum to the difference
        from the mean calibrated log-odds of the reference applicants, so they translate to points exactly.
        """
        slope, offset = _affine(self.calibration)
        encoded = deep_shap(
            self.network.members(),
            self.features.transform(frame),
            self.features.transform(self.background),
            target=TARGET,
            unit="log-odds",
        ).grouped(self.features.column_slots)
        assert encoded.output is not None
        assert encoded.base_value is not None
        return Attribution(
            values=encoded.values * slope,
            names=encoded.names,
            target=TARGET,
            baseline=f"{len(self.background)} reference {self.config.explanation.reference} from training",
            method=encoded.method,
            unit=encoded.unit,
            base_value=encoded.base_value * slope + offset,
            output=encoded.output * slope + offset,
        )

    def reasons(self, frame: pl.DataFrame, attribution: Attribution) -> list[list[Reason]]:
        """At most four adverse reasons for each row, strongest first."""
        limits = self.config.explanation
        return adverse_reasons(
            self.schema,
            frame,
            attribution,
            num_reasons=limits.num_reasons,
            minimum=limits.min_reason_log_odds,
        )

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Decisions in the shape of the contract `credit_decisions`, in the order of the rows.

        Reasons are given to everyone who is not simply approved: those are the people a lender owes them.
        """
        scored_at = datetime.now(UTC)
        slices = frame.iter_slices(_ROWS_AT_ONCE) if len(frame) else [frame]
        parts = [self._score_part(part, scored_at) for part in slices]
        return pl.concat(parts)

    def _score_part(self, frame: pl.DataFrame, scored_at: datetime) -> pl.DataFrame:
        probability = self.probability(frame)
        decision = self.rule.decide(probability)
        owed = np.flatnonzero(decision != APPROVE)
        reasons: list[list[Reason]] = [[] for _ in range(len(frame))]
        if len(owed):
            asked = frame[owed.tolist()]
            for row, found in zip(owed, self.reasons(asked, self.explain(asked)), strict=True):
                reasons[row] = found
        columns: dict[str, object] = {
            "application_id": frame["application_id"],
            # digits beyond these are noise to whoever opens the file
            "probability_of_default": probability.round(8),
            "score_points": np.rint(self.rule.points(probability)).astype(np.int64),
            "decision": decision,
        }
        for position in range(4):
            given = [row[position] if position < len(row) else None for row in reasons]
            columns[f"reason_{position + 1}_code"] = pl.Series(
                [r.code if r else None for r in given], dtype=pl.String
            )
            columns[f"reason_{position + 1}_text"] = pl.Series(
                [r.text if r else None for r in given], dtype=pl.String
            )
        return pl.DataFrame(columns).with_columns(
            model_version=pl.lit(self.version),
            contract=pl.lit(load(CONTRACT).id_version),
            scored_at=pl.lit(scored_at),
        )


def _affine(calibration: Calibration) -> tuple[float, float]:
    """Slope and intercept from the network's log-odds to calibrated ones."""
    if isinstance(calibration, TemperatureScaling):
        return 1.0 / calibration.temperature, 0.0
    if isinstance(calibration, PlattScaling):
        return calibration.slope, calibration.intercept
    assert isinstance(calibration, NoCalibration), "isotonic steps have no slope; they are never a candidate"
    return 1.0, 0.0
