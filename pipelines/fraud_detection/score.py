"""The only scoring code: evaluation, batch flow, API and dashboard all call `Scorer`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.fraud_detection.config import FraudConfig, ModelConfig
from pipelines.fraud_detection.decide import Decision
from pipelines.fraud_detection.features import compute_features, require_categories
from pipelines.fraud_detection.metrics import ranks_of_day
from pipelines.fraud_detection.model import Autoencoder, Detector, Head
from pipelines.fraud_detection.reasons import Reasons, reasons_of
from pipelines.fraud_detection.scaling import Scaling
from pipelines.fraud_detection.train import FittedFold, anomaly_scores, raw_scores
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
from shared.interpretability.shapley import shapley_values
from shared.publishing.bundle_files import read_config

if TYPE_CHECKING:
    from shared.publishing.bundle import Bundle

PIPELINE = "fraud_detection"
INPUT_CONTRACT, OUTPUT_CONTRACT = "card_transactions", "fraud_alerts"
_COLUMNS = ("transaction_id", "time", "customer_id", "terminal_id", "amount")
# In the order of the fields of `Reasons`.
_REASONS = ("contributing_features", "offsetting_features", "normal_values")


@dataclass(frozen=True, slots=True)
class Scorer:
    """Fitted networks with everything that scoring needs. Scores: higher is more suspicious.

    With labels a score is the calibrated log-odds of fraud, and its logistic function the probability; without, it is
    the mean standardised error of the autoencoder, where 1 is usual. history: transactions that features of new ones
    look back on. usual: features of genuine training transactions, which explanations compare with.
    """

    config: FraudConfig
    scaling: Scaling
    detector: Detector
    calibration: Calibration | None
    decision: Decision
    usual: pl.DataFrame
    history: pl.DataFrame
    labelled: bool
    version: str = "not registered"

    @classmethod
    def of(
        cls,
        fitted: FittedFold,
        usual: pl.DataFrame,
        history: pl.DataFrame,
        config: FraudConfig,
        *,
        labelled: bool,
    ) -> "Scorer":
        """The scorer of a fitted fold; `labelled`: whether its features know of labels."""
        return cls(
            config,
            fitted.scaling,
            fitted.detector,
            fitted.calibration,
            fitted.decision,
            usual,
            history,
            labelled,
        )

    def with_history(self, history: pl.DataFrame) -> "Scorer":
        """The same scorer with another past."""
        return replace(self, history=history)

    @property
    def unit(self) -> str:
        """Of the score."""
        return "times usual" if self.calibration is None else "log-odds"

    def tensors(self) -> dict[str, Tensor]:
        """Weights of the networks, float32 as they were trained."""
        return {name: tensor.contiguous() for name, tensor in self.detector.state_dict().items()}

    def save(self, folder: Path) -> None:
        """Writes `config.json`, `model.safetensors` and `features/` into an existing folder."""
        (folder / "config.json").write_text(self.config.model_dump_json(indent=1))
        save_file(self.tensors(), folder / "model.safetensors")
        (folder / "features").mkdir(exist_ok=True)
        self.save_features(folder / "features")

    def save_features(self, folder: Path) -> None:
        """Writes scaling, calibration, cut-offs, the usual transactions and the history."""
        document = {
            "labelled": self.labelled,
            "scaling": self.scaling.to_json(),
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "decision": self.decision.to_json(),
        }
        (folder / "scorer.json").write_text(json.dumps(document, indent=1))
        self.usual.write_parquet(folder / "usual.parquet")
        self.history.write_parquet(folder / "history.parquet")

    @classmethod
    def load(cls, folder: Path, version: str = "not registered") -> "Scorer":
        """Reads what `save` wrote; the folder of a verified bundle has the same files."""
        config = read_config(folder, FraudConfig)
        document = json.loads((folder / "features/scorer.json").read_text())
        scaling, calibration = Scaling.from_json(document["scaling"]), document["calibration"]
        return cls(
            config=config,
            scaling=scaling,
            detector=_detector(load_file(folder / "model.safetensors"), len(scaling.names), config.model),
            calibration=None if calibration is None else calibration_from_json(calibration),
            decision=Decision.from_json(document["decision"]),
            usual=pl.read_parquet(folder / "features/usual.parquet"),
            history=pl.read_parquet(folder / "features/history.parquet"),
            labelled=document["labelled"],
            version=version,
        )

    @classmethod
    def from_bundle(cls, bundle: "Bundle", version: str) -> "Scorer":
        """The scorer of a published, verified bundle."""
        return cls.load(bundle.folder, version)

    def features_of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Features of transactions valid under `card_transactions`, in their order, with the history as their past.

        A transaction that is in the history already counts once, as it is given now. Raises RequestError when one of
        the model's categories is missing.
        """
        categories = self.config.data.categories
        require_categories(frame.columns, categories)
        past = self.history.join(frame.select(_COLUMNS), on=_COLUMNS, how="anti")
        together = pl.concat([past, frame], how="diagonal")
        return compute_features(together, self.config.features, self.labelled, categories)[past.height :]

    def scores(self, features: pl.DataFrame) -> np.ndarray:
        """Scores of transactions with their features, float64 of shape (rows,)."""
        raw = raw_scores(self.detector, self.scaling, features, self.config.model.scoring_limit)
        return raw if self.calibration is None else logit(self.calibration.probability(raw))

    def anomalies(self, features: pl.DataFrame) -> np.ndarray:
        """Scores of the autoencoder alone, float64 of shape (rows,)."""
        return anomaly_scores(self.detector, self.scaling, features, self.config.model.scoring_limit)

    def probability(self, scores: np.ndarray) -> np.ndarray | None:
        """Calibrated probabilities of fraud that belong to scores; None without labels to calibrate on."""
        return None if self.calibration is None else NoCalibration().probability(scores)

    def rows(self, features: pl.DataFrame) -> Tensor:
        """Inputs of the networks, float32 of shape (rows, features)."""
        return self.scaling.transform(features, self.config.model.scoring_limit)

    def errors(self, features: pl.DataFrame) -> np.ndarray:
        """Standardised reconstruction error of each feature, (rows, features); they sum to `anomalies`."""
        with torch.inference_mode():
            return self.detector.errors(self.rows(features)).numpy()

    def normal(self, features: pl.DataFrame) -> np.ndarray:
        """What the autoencoder would have expected instead, in the units of the features, (rows, features)."""
        with torch.inference_mode():
            return self.scaling.unscaled(self.detector.normal(self.rows(features)))

    def explain(self, features: pl.DataFrame, *, seed: int = 0) -> Attribution:
        """What each feature adds to each score, against usual genuine transactions, of shape (rows, features).

        Sampled Shapley values: those of a row sum to the difference from the mean score of the usual transactions.
        """
        found = shapley(self.detector, self.rows(features), self.rows(self.usual), self, seed=seed)
        return replace(
            found,
            values=found.values * affine(self.calibration)[0],
            baseline=f"{self.usual.height} genuine transactions of the training week",
            unit=self.unit,
            base_value=float(self.scores(self.usual).mean()),
            output=self.scores(features),
        )

    def reasons(self, features: pl.DataFrame, attribution: Attribution) -> list[Reasons]:
        """What makes each transaction suspicious, what speaks against that, and what would have been normal."""
        return reasons_of(
            features.select(self.scaling.names).to_numpy(),
            self.normal(features),
            attribution,
            num_features=self.config.explanation.num_features,
        )

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Alerts in the shape of the contract, without reasons, in the order of the rows."""
        return self.alerts(frame, self.features_of(frame))

    def alerts(self, frame: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
        """As `score`, for those who need the features of the transactions (`features_of`) for more than that."""
        scores = self.scores(features)
        ranks = ranks_of_day(frame["time"], scores)
        probability = self.probability(scores)
        return frame.select(_COLUMNS).with_columns(
            score=pl.Series(scores, dtype=pl.Float64),
            probability=pl.lit(None, dtype=pl.Float64) if probability is None else pl.Series(probability),
            rank_of_day=pl.Series(ranks, dtype=pl.Int64),
            alert=pl.Series(self.decision.of_the_day(scores, ranks), dtype=pl.Boolean),
            **{name: pl.lit(None, dtype=pl.String) for name in _REASONS},
            model_version=pl.lit(self.version),
            contract=pl.lit(load(INPUT_CONTRACT).id_version),
            scored_at=pl.lit(datetime.now(UTC)),
        )

    def explained(self, features: pl.DataFrame, scored: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What `alerts` gave for these features, with reasons for the alerts; and transaction_id with what each feature
        adds to the score, a row for each alert."""
        features = features.filter(scored["alert"])
        attribution = self.explain(features)
        rows = np.flatnonzero(scored["alert"].to_numpy())
        columns = _texts(scored.height, rows, self.reasons(features, attribution))
        added = {name: attribution.values[:, at] for at, name in enumerate(attribution.names)}
        return scored.with_columns(columns), pl.DataFrame(
            {"transaction_id": features["transaction_id"], **added}
        )


def _texts(num_rows: int, explained: np.ndarray, reasons: Sequence[Reasons]) -> list[pl.Series]:
    series = []
    for at, name in enumerate(_REASONS):
        texts: list[str | None] = [None] * num_rows
        for row, found in zip(explained, reasons, strict=True):
            texts[row] = found[at]
        series.append(pl.Series(name, texts, dtype=pl.String))
    return series


def _detector(tensors: dict[str, Tensor], num_inputs: int, model: ModelConfig) -> Detector:
    with torch.random.fork_rng(devices=[]):
        autoencoder = Autoencoder(
            num_inputs, model.hidden_sizes, model.code_size, num_members=model.num_members, kind=model.kind
        )
        head = None
        if any(name.startswith("head.") for name in tensors):
            head = Head(
                2 * num_inputs + 1,
                model.head_hidden_sizes,
                num_members=model.num_members,
                dropout=model.head_dropout,
            )
    detector = Detector(autoencoder, torch.ones(num_inputs), head)
    detector.load_state_dict(tensors)
    return detector.eval()


def shapley(detector: Detector, rows: Tensor, usual: Tensor, scorer: Scorer, *, seed: int) -> Attribution:
    """Sampled Shapley values of what a detector gives for scaled rows, against scaled usual ones."""
    names = scorer.scaling.names
    return shapley_values(
        detector,
        rows,
        usual,
        {name: [at] for at, name in enumerate(names)},
        method="permutation",
        num_coalitions=2 * len(names) * scorer.config.explanation.num_orders,
        seed=seed,
        target="score",
    )


def affine(calibration: Calibration | None) -> tuple[float, float]:
    """Slope and intercept from what the networks give to the score."""
    if isinstance(calibration, TemperatureScaling):
        return 1.0 / calibration.temperature, 0.0
    if isinstance(calibration, PlattScaling):
        return calibration.slope, calibration.intercept
    assert calibration is None or isinstance(calibration, NoCalibration), (
        "isotonic steps are never a candidate"
    )
    return 1.0, 0.0
