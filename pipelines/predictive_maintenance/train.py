"""From a fleet to fitted networks: what is scaled, learnt and calibrated comes from training machines alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.predictive_maintenance.config import FeatureConfig, MaintenanceConfig, ModelConfig
from pipelines.predictive_maintenance.features import Preparation
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.inputs import Inputs, network_inputs
from pipelines.predictive_maintenance.model import FAILS, HIGH, LOW, RUL, CnnLstm, Ensemble, LstmAutoencoder
from pipelines.predictive_maintenance.targets import Scale, Targets
from pipelines.predictive_maintenance.windows import Windows
from shared.training.batches import DeviceBatches
from shared.training.fit import FitResult, fit
from shared.training.held import Held
from shared.training.progress import Progress
from shared.training.seeded import seeded
from shared.training.settings import FitSettings

_WINDOWS_AT_ONCE = 2048
_MIN_MEAN_ERROR = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Learnable:
    """A fleet as a network trains on it: on its grid, with the windows and the targets of every row."""

    fleet: Fleet
    inputs: Inputs
    targets: Targets


@dataclass(frozen=True, slots=True)
class Trainer:
    """Fits networks; progress is saved under `checkpoints` when given. `scale`: see `Scale`."""

    config: MaintenanceConfig
    scale: Scale
    checkpoints: Path | None = None
    progress: Progress | None = None

    def prepare(self, train: Fleet) -> Preparation:
        """Grid, regimes and scaling of the machines of a training part."""
        return prepare(train, self.config.features, self.config.seed)

    def learnable(self, fleet: Fleet, preparation: Preparation) -> Learnable:
        """Windows and targets of a fleet, prepared as the training part was."""
        prepared = preparation.apply(fleet)
        features = self.config.features
        inputs = network_inputs(prepared, features.window_length, features.beginning_length)
        return Learnable(prepared.fleet, inputs, Targets.of(prepared.fleet, self.scale))

    def forecaster(self, data: Learnable, seed: int, name: str) -> tuple[CnnLstm, FitResult]:
        """One network for remaining life, from all rows of a training part."""
        windows = data.inputs.windows
        network = seeded(seed, lambda: new_network(windows.num_channels, self.config.model))
        targets, cap = data.targets, self.scale.cap
        batches = {
            "row": torch.arange(len(windows)),
            "rul": torch.tensor(targets.rul / cap, dtype=torch.float32),
            "is_bound": torch.from_numpy(targets.is_bound),
            "fails": torch.tensor(targets.fails, dtype=torch.float32),
            "is_known": torch.tensor(targets.is_known, dtype=torch.float32),
        }
        loss = forecast_loss(
            windows,
            coverage=self.config.protocol.coverage,
            interval_weight=self.config.training.interval_weight,
            horizon_weight=self.config.training.horizon_weight,
        )
        result = self._run(network, loss, batches, self.config.training.epochs, seed, name)
        return network, result

    def ensemble(self, data: Learnable, name: str) -> tuple[Ensemble, list[FitResult]]:
        """`num_members` networks that differ in their seeds."""
        seeds = range(self.config.seed, self.config.seed + self.config.model.num_members)
        fitted = [self.forecaster(data, seed, f"{name}-{seed}") for seed in seeds]
        return Ensemble([network for network, _ in fitted]).eval(), [result for _, result in fitted]

    def autoencoder(
        self, data: Learnable, healthy: np.ndarray, name: str
    ) -> tuple[LstmAutoencoder, FitResult]:
        """The autoencoder of healthy operation, from the rows `healthy`."""
        windows = data.inputs.windows
        network = seeded(self.config.seed, lambda: new_autoencoder(windows.num_channels, self.config.model))
        rows = torch.from_numpy(healthy)
        epochs = self.config.training.autoencoder_epochs
        result = self._run(
            network, reconstruction_loss(windows), {"row": rows}, epochs, self.config.seed, name
        )
        network.mean_error.copy_(_mean_error(network, windows, rows))
        return network, result

    def _run(
        self,
        network: nn.Module,
        loss: Callable[[nn.Module, dict[str, Tensor]], Tensor],
        data: dict[str, Tensor],
        epochs: int,
        seed: int,
        name: str,
    ) -> FitResult:
        knobs = self.config.training
        batches = DeviceBatches(data, min(knobs.batch_size, len(data["row"])), seed=seed)
        settings = FitSettings(
            epochs=max(epochs, -(-knobs.min_steps // len(batches))),
            learning_rate=knobs.learning_rate,
            weight_decay=knobs.weight_decay,
            schedule="one_cycle",
            warmup_fraction=0.2,
            monitor="train_loss",
            restore_best=False,
            checkpoint_every_seconds=knobs.checkpoint_every_seconds,
            seed=seed,
        )
        folder = None if self.checkpoints is None else self.checkpoints / name
        result = fit(network, loss, batches, settings, checkpoint_dir=folder, progress=self.progress)
        result.model.cpu()
        return result


def prepare(train: Fleet, features: FeatureConfig, seed: int) -> Preparation:
    """Grid, regimes and scaling of some machines."""
    return Preparation.fit(train, seed, max_gap_steps=features.max_gap_steps, limit=features.limit)


def new_network(num_inputs: int, model: ModelConfig) -> CnnLstm:
    """A network for remaining life, not trained yet."""
    return CnnLstm(
        num_inputs,
        channels=model.channels,
        kernel_size=model.kernel_size,
        hidden_size=model.hidden_size,
        dropout=model.dropout,
        reading_noise=model.reading_noise,
        offset_noise=model.offset_noise,
    )


def new_autoencoder(num_inputs: int, model: ModelConfig) -> LstmAutoencoder:
    """An autoencoder of healthy operation, not trained yet."""
    return LstmAutoencoder(num_inputs, hidden_size=model.hidden_size, code_size=model.code_size)


def forecast_loss(
    windows: Windows, *, coverage: float, interval_weight: float, horizon_weight: float
) -> Callable[[nn.Module, dict[str, Tensor]], Tensor]:
    """Of a `CnnLstm`: squared error of the remaining life, pinball loss of both ends of the interval, cross-entropy of
    failing. Where only a lower bound is known, staying above it costs nothing."""
    lower, upper = (1 - coverage) / 2, (1 + coverage) / 2
    held = Held(windows)

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        output = model(held.gather(batch["row"]))
        target, is_bound = batch["rul"], batch["is_bound"]
        missing = torch.where(is_bound, (target - output[:, RUL]).clamp(min=0), target - output[:, RUL])
        known = (~is_bound).float()
        ends = known * (_pinball(target - output[:, LOW], lower) + _pinball(target - output[:, HIGH], upper))
        fails = functional.binary_cross_entropy_with_logits(
            output[:, FAILS], batch["fails"], weight=batch["is_known"]
        )
        return missing.square().mean() + interval_weight * ends.mean() + horizon_weight * fails

    return loss


def reconstruction_loss(windows: Windows) -> Callable[[nn.Module, dict[str, Tensor]], Tensor]:
    """Of an `LstmAutoencoder`: mean squared error of the smoothed windows."""
    held = Held(windows)

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        assert isinstance(model, LstmAutoencoder)
        return model.squared_errors(held.gather(batch["row"])).mean()

    return loss


def _pinball(missing: Tensor, level: float) -> Tensor:
    return torch.maximum(level * missing, (level - 1) * missing)


def outputs(network: Callable[[Tensor], Tensor], windows: Windows, rows: np.ndarray) -> np.ndarray:
    """What a network says of the windows that end in some rows, float64, first axis (rows,)."""
    with torch.inference_mode():
        parts = [network(windows.gather(part)) for part in torch.from_numpy(rows).split(_WINDOWS_AT_ONCE)]
    return torch.cat(parts).double().numpy()


def _mean_error(network: LstmAutoencoder, windows: Windows, rows: Tensor) -> Tensor:
    network.eval()
    with torch.inference_mode():
        total = sum(
            network.squared_errors(windows.gather(part)).double().sum(0)
            for part in rows.split(_WINDOWS_AT_ONCE)
        )
    assert isinstance(total, Tensor)
    return (total / len(rows)).clamp(min=_MIN_MEAN_ERROR).float()
