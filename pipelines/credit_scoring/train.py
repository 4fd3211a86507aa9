"""From encoded applications to a fitted network."""

from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from pipelines.credit_scoring.config import CreditConfig
from pipelines.credit_scoring.features import Features
from pipelines.credit_scoring.model import CreditNetwork, loss
from pipelines.credit_scoring.schema import LenderSchema
from shared.errors import RequestError
from shared.evaluation.binary import log_loss, roc_auc
from shared.evaluation.calibration import sigmoid
from shared.training.batches import DeviceBatches
from shared.training.fit import FitResult, fit
from shared.training.progress import Progress
from shared.training.settings import FitSettings

# hidden activations of all members stay within the cache of a core or two
_ROWS_AT_ONCE = 4096


def outcomes(frame: pl.DataFrame) -> np.ndarray:
    """1 for default, 0 for repaid, int64 of shape (rows,)."""
    return frame["defaulted"].cast(pl.Int64).to_numpy()


def predict_log_odds(network: CreditNetwork, encoded: Tensor) -> np.ndarray:
    """Log-odds of default from encoded rows, float64 of shape (rows,)."""
    network.eval()
    with torch.inference_mode():
        parts = [network(part) for part in encoded.split(_ROWS_AT_ONCE)]
    return torch.cat(parts).double().numpy()


def train_network(
    training: pl.DataFrame,
    validation: pl.DataFrame | None,
    schema: LenderSchema,
    config: CreditConfig,
    *,
    seed: int,
    checkpoint_dir: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Features, FitResult]:
    """Fits features and network on the training part.

    With a validation part the epoch of lowest validation log loss is kept; without one, the last epoch.
    """
    if config.model.monotone and not any(column.risk for column in schema.numeric):
        raise RequestError(
            f"Expected columns with a declared direction for model.monotone. Received none in {schema.name}: "
            "declare `risk: rises` or `risk: falls` in data.columns."
        )
    features = Features.fit(training, schema, config.model)
    network = CreditNetwork(features, config.model, seed=seed)
    target = torch.tensor(outcomes(training), dtype=torch.float32)
    batch_size = min(config.training.batch_size, max(8, len(training) // 8))
    batches = DeviceBatches({"x": features.transform(training), "target": target}, batch_size, seed=seed)
    settings = FitSettings(
        epochs=config.training.epochs,
        learning_rate=config.training.learning_rate,
        weight_decay=config.training.weight_decay,
        decay_everything=True,
        schedule="one_cycle",
        warmup_fraction=0.3,
        patience=config.training.patience,
        monitor="loss" if validation is not None else "train_loss",
        restore_best=validation is not None,
        checkpoint_every_seconds=config.training.checkpoint_every_seconds,
        seed=seed,
    )
    validate = None if validation is None else _validation(features, validation)
    result = fit(
        network, loss, batches, settings, validate=validate, checkpoint_dir=checkpoint_dir, progress=progress
    )
    return features, result


def _validation(features: Features, frame: pl.DataFrame):  # type: ignore[no-untyped-def]
    encoded, target = features.transform(frame), outcomes(frame)

    def validate(network: CreditNetwork) -> dict[str, float]:
        log_odds = predict_log_odds(network, encoded)
        return {"loss": log_loss(target, sigmoid(log_odds)), "roc_auc": roc_auc(target, log_odds)}

    return validate
