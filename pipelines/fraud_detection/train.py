"""From folds to fitted networks: epochs, calibration and cut-offs from the validation fold, weights from training.

A fold's validation fold has a training and a test of its own, one wait for labels earlier. Networks fitted there say
how many epochs are enough, how scores become probabilities, and where to cut; then everything is fitted anew on the
fold's training. So nothing is chosen on rows that it was fitted on, and the newest known labels are learnt from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from pipelines.fraud_detection.config import FraudConfig
from pipelines.fraud_detection.decide import Decision, choose, cost_curve
from pipelines.fraud_detection.model import Autoencoder, Detector, Head, head_loss, reconstruction_loss
from pipelines.fraud_detection.protocol import Parts
from pipelines.fraud_detection.scaling import Scaling
from shared.errors import RequestError
from shared.evaluation.binary import average_precision
from shared.evaluation.calibration import Calibration, logit
from shared.evaluation.choose_calibration import choose_calibration
from shared.training.batches import DeviceBatches
from shared.training.fit import FitResult, fit
from shared.training.progress import Progress
from shared.training.seeded import seeded
from shared.training.settings import FitSettings

# Fewer frauds in training or validation say too little for a supervised head.
MIN_FRAUDS = 10
# An input that the autoencoder always gets right would otherwise turn every rounding error into an alarm.
MIN_MEAN_ERROR = 1e-3
ROWS_AT_ONCE = 4096
# Of 13,000 rows, batches of 512 leave the networks half trained after all epochs (2026-11).
_MIN_STEPS = 100  # in an epoch


@dataclass(frozen=True, slots=True)
class FittedFold:
    """The networks of one fold and what was fixed for them on validation. `record` has plain values: the epochs and
    histories of all networks, the choice of the calibration, and the cost curve on validation."""

    scaling: Scaling
    detector: Detector
    calibration: Calibration | None
    decision: Decision
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trainer:
    """Fits networks to features called `names`; progress is saved under `checkpoints` when given."""

    config: FraudConfig
    names: tuple[str, ...]
    checkpoints: Path | None = None
    progress: Progress | None = None

    def fit_fold(self, parts: Parts, *, with_head: bool) -> FittedFold:
        """Choose on the validation fold, then fit anew on the training of the fold."""
        validation = parts.validation
        assert validation is not None, "folds for validation have none of their own"
        chosen = self._fit(validation.train, "selection", with_head, validation=validation.test)
        raw = raw_scores(chosen.detector, chosen.scaling, validation.test, self.config.model.scoring_limit)
        calibration, scores, reason = None, raw, "no labels to calibrate on"
        if with_head:
            known = validation.test["is_fraud"].is_not_null().to_numpy()
            choice = choose_calibration(
                raw[known],
                validation.test["is_fraud"].to_numpy()[known].astype(np.int64),
                # steps of isotonic regression would tie what must be ranked, and explanations need an affine map
                candidates=("none", "temperature", "platt"),
                groups=validation.test["customer_id"].to_numpy()[known],
                seed=self.config.seed,
            )
            calibration, reason = choice.calibration, choice.reason
            scores = logit(calibration.probability(raw))
        final = self._fit(parts.train, "final", with_head, epochs=chosen.epochs)
        record = {
            "autoencoder": final.records[0] | {"selection": chosen.records[0]},
            "head": final.records[1] | {"selection": chosen.records[1]} if with_head else None,
            "calibration": reason,
            "cost_curve": self._costs(validation.test, scores),
        }
        decision = choose(validation.test, scores, self.config.decision)
        return FittedFold(final.scaling, final.detector, calibration, decision, record)

    def _costs(self, validation: pl.DataFrame, scores: np.ndarray) -> dict[str, Any] | None:
        known = validation["is_fraud"].is_not_null()
        if not validation["is_fraud"].eq(1).any():
            return None
        curve = cost_curve(validation.filter(known), scores[known.to_numpy()], self.config.decision)
        return curve.thinned().to_json()

    def _fit(
        self,
        training: pl.DataFrame,
        stage: str,
        with_head: bool,
        *,
        validation: pl.DataFrame | None = None,
        epochs: tuple[int, int] | None = None,
    ) -> "_Fitted":
        """With validation rows to stop on, or for given numbers of epochs of autoencoder and head."""
        genuine = not_known_as_fraud(training)
        scaling = Scaling.fit(genuine, self.names)
        stop_on = None if validation is None else self._rows(scaling, not_known_as_fraud(validation))
        asked = epochs or (self.config.training.epochs, self.config.training.head_epochs)
        fitted = self._fit_autoencoder(self._rows(scaling, genuine), stop_on, asked[0], stage)
        detector = with_errors(fitted.model, self._rows(scaling, genuine))
        records = [fitted.to_json()]
        if with_head:
            head = self._fit_head(detector, scaling, training, validation, asked[1], stage)
            detector.head = head.model  # type: ignore[assignment]
            records.append(head.to_json())
        return _Fitted(scaling, detector.eval(), records)

    def _rows(self, scaling: Scaling, frame: pl.DataFrame) -> Tensor:
        return scaling.transform(frame, self.config.model.training_limit)

    def _fit_autoencoder(self, rows: Tensor, stop_on: Tensor | None, epochs: int, stage: str) -> FitResult:
        model, training = self.config.model, self.config.training
        if model.code_size >= rows.shape[1]:
            raise RequestError(
                f"Expected model.code_size below the number of features, {rows.shape[1]}. Received {model.code_size}: "
                "an autoencoder without a bottleneck lets everything pass."
            )
        network = seeded(
            self.config.seed,
            lambda: Autoencoder(
                rows.shape[1],
                model.hidden_sizes,
                model.code_size,
                num_members=model.num_members,
                kind=model.kind,
                noise=model.noise,
                kl_weight=model.kl_weight,
            ),
        )
        settings = self.settings(epochs, training.learning_rate, 0.0, training.patience, stop_on is not None)
        validate = None if stop_on is None else _autoencoder_validation(stop_on)
        return self.fit_network(
            network, reconstruction_loss, {"x": rows}, settings, validate, f"{stage}-autoencoder"
        )

    def _fit_head(
        self,
        detector: Detector,
        scaling: Scaling,
        training: pl.DataFrame,
        validation: pl.DataFrame | None,
        epochs: int,
        stage: str,
    ) -> FitResult:
        model, knobs = self.config.model, self.config.training
        data = self._head_data(detector, scaling, training)
        head = seeded(
            self.config.seed + 1,
            lambda: Head(
                data["x"].shape[1],
                model.head_hidden_sizes,
                num_members=model.num_members,
                dropout=model.head_dropout,
            ),
        )
        head.begin_at(data["target"].mean())
        settings = self.settings(
            epochs,
            knobs.head_learning_rate,
            knobs.head_weight_decay,
            knobs.head_patience,
            validation is not None,
        )
        validate = (
            None if validation is None else _head_validation(self._head_data(detector, scaling, validation))
        )
        return self.fit_network(head, head_loss, data, settings, validate, f"{stage}-head")

    def _head_data(self, detector: Detector, scaling: Scaling, frame: pl.DataFrame) -> dict[str, Tensor]:
        """Inputs and targets of the rows of which it is known whether they are fraud."""
        known = frame.filter(pl.col("is_fraud").is_not_null())
        rows = scaling.transform(known, self.config.model.scoring_limit)
        with torch.inference_mode():
            inputs = torch.cat([detector.head_inputs(part) for part in rows.split(ROWS_AT_ONCE)])
        target = torch.tensor(known["is_fraud"].to_numpy(), dtype=torch.float32)
        return {"x": inputs.clone(), "target": target}

    def settings(
        self, epochs: int, learning_rate: float, weight_decay: float, patience: int, is_validated: bool
    ) -> FitSettings:
        """Of a network that may stop early where it is validated."""
        return FitSettings(
            epochs=epochs,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            patience=patience if is_validated else None,
            monitor="loss" if is_validated else "train_loss",
            restore_best=is_validated,
            checkpoint_every_seconds=self.config.training.checkpoint_every_seconds,
            seed=self.config.seed,
        )

    def fit_network(
        self,
        network: nn.Module,
        loss: Callable[[nn.Module, dict[str, Tensor]], Tensor],
        data: dict[str, Tensor],
        settings: FitSettings,
        validate: Callable[[nn.Module], dict[str, float]] | None,
        name: str,
    ) -> FitResult:
        """Fit a network to `data`, of which "x" has a row for each transaction; its progress is saved by this name."""
        num_rows = len(data["x"])
        batch_size = min(self.config.training.batch_size, max(8, num_rows // _MIN_STEPS))
        result = fit(
            network,
            loss,
            DeviceBatches(data, batch_size, seed=self.config.seed),
            settings,
            validate=validate,
            checkpoint_dir=None if self.checkpoints is None else self.checkpoints / name,
            progress=self.progress,
        )
        result.model.cpu()
        return result


@dataclass(frozen=True, slots=True)
class _Fitted:
    """Networks of one stage; records of autoencoder and, where there is one, head."""

    scaling: Scaling
    detector: Detector
    records: list[dict[str, Any]]

    @property
    def epochs(self) -> tuple[int, int]:
        """How many epochs were best: of the autoencoder and of the head (1 without one)."""
        found = [record["best_epoch"] + 1 for record in self.records]
        return found[0], found[1] if len(found) > 1 else 1


def with_errors(autoencoder: nn.Module, rows: Tensor) -> Detector:
    """A detector without a head; the usual errors are those of these scaled genuine rows, of shape (rows, inputs)."""
    assert isinstance(autoencoder, Autoencoder)
    total = torch.zeros(rows.shape[1], dtype=torch.float64)
    autoencoder.eval()
    with torch.inference_mode():
        for part in rows.split(ROWS_AT_ONCE):
            total += (autoencoder(part) - part).double().square().mean(0).sum(0)
    mean_error = (total / len(rows)).clamp(min=MIN_MEAN_ERROR).float()
    return Detector(autoencoder, mean_error.clone()).eval()


def raw_scores(detector: Detector, scaling: Scaling, features: pl.DataFrame, limit: float) -> np.ndarray:
    """Uncalibrated scores of a detector in float64, of shape (rows,)."""
    return _in_parts(detector, scaling.transform(features, limit))


def anomaly_scores(detector: Detector, scaling: Scaling, features: pl.DataFrame, limit: float) -> np.ndarray:
    """Scores of the autoencoder alone in float64, of shape (rows,)."""
    return _in_parts(detector.anomaly, scaling.transform(features, limit))


def _in_parts(score: Callable[[Tensor], Tensor], rows: Tensor) -> np.ndarray:
    with torch.inference_mode():
        return torch.cat([score(part) for part in rows.split(ROWS_AT_ONCE)]).double().numpy()


def not_known_as_fraud(frame: pl.DataFrame) -> pl.DataFrame:
    """Transactions that are genuine as far as is known."""
    return frame.filter(pl.col("is_fraud").eq(1).fill_null(False).not_())


def can_be_supervised(parts: Parts) -> bool:
    """Whether training and validation of a fold have frauds enough for a head, and genuine transactions too."""
    assert parts.validation is not None
    for frame in (parts.train, parts.validation.train, parts.validation.test):
        frauds = int(frame["is_fraud"].eq(1).sum())
        if min(frauds, int(frame["is_fraud"].eq(0).sum())) < MIN_FRAUDS:
            return False
    return True


def _autoencoder_validation(rows: Tensor) -> Callable[[nn.Module], dict[str, float]]:
    def validate(network: nn.Module) -> dict[str, float]:
        device = next(network.parameters()).device
        total = sum(
            float((network(part) - part).square().mean(0).sum())
            for part in rows.to(device).split(ROWS_AT_ONCE)
        )
        return {"loss": total / rows.numel()}

    return validate


def _head_validation(data: dict[str, Tensor]) -> Callable[[nn.Module], dict[str, float]]:
    target = data["target"].numpy().astype(np.int64)

    def validate(network: nn.Module) -> dict[str, float]:
        device = next(network.parameters()).device
        log_odds = torch.cat([network(part) for part in data["x"].to(device).split(ROWS_AT_ONCE)]).cpu()
        loss = nn.functional.binary_cross_entropy_with_logits(log_odds, data["target"])
        return {
            "loss": float(loss),
            "average_precision": average_precision(target, log_odds.double().numpy()),
        }

    return validate
