"""From recordings to a detector with a threshold: all that is fitted comes from the patients of the training part."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.ecg_anomaly.config import EcgConfig, ModelConfig
from pipelines.ecg_anomaly.inputs import BeatInputs
from pipelines.ecg_anomaly.labels import NORMAL
from pipelines.ecg_anomaly.model import BeatAutoencoder, Detector
from pipelines.ecg_anomaly.protocol import Fold, patient_folds
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.rhythm import normal_beats
from pipelines.ecg_anomaly.threshold import Thresholds
from shared.training.batches import DeviceBatches
from shared.training.fit import FitResult, fit, training_record
from shared.training.held import Held
from shared.training.progress import Progress
from shared.training.seeded import seeded
from shared.training.settings import FitSettings

_BEATS_AT_ONCE = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A detector with its thresholds. calibration: the folds of training patients that fixed them, positions of
    recordings. record: plain values of the training."""

    detector: Detector
    thresholds: Thresholds
    calibration: tuple[Fold, ...]
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trainer:
    """Fits detectors to some of the recordings; progress is saved under `checkpoints` when given.

    inputs: of all beats of the recordings.
    """

    config: EcgConfig
    recordings: Recordings
    inputs: BeatInputs
    checkpoints: Path | None = None
    progress: Progress | None = None

    def fit(self, records: np.ndarray, name: str) -> Fitted:
        """Cross-fit thresholds within some recordings, then fit the detector to all of them."""
        knobs = self.config.protocol
        fold_of = patient_folds(self.recordings, records, knobs.calibration_folds, self.config.seed)
        folds = tuple(
            Fold(number, records[fold_of != number], records[fold_of == number])
            for number in range(knobs.calibration_folds)
        )
        beats, scores, results = [], [], []
        for fold in folds:
            detector, result = self.detector(fold.train, f"{name}-calibration-{fold.number}")
            unseen = self.recordings.beats_of(fold.test)
            beats.append(unseen)
            scores.append(anomaly_parts(detector, self.inputs, unseen).sum(1))
            results.append(result)
        thresholds = self._thresholds(np.concatenate(beats), np.concatenate(scores))
        detector, result = self.detector(records, name)
        record = {"network": training_record([result]), "calibration": training_record(results)}
        return Fitted(detector, thresholds, folds, record)

    def detector(self, records: np.ndarray, name: str) -> tuple[Detector, FitResult]:
        """The detector of the normal beats of some recordings."""
        chosen = normal_beats(self.recordings, records, self.config.protocol.min_quality)
        autoencoder, result = self._autoencoder(chosen, name)
        detector = Detector(autoencoder).eval()
        detector.shape.fit(torch.from_numpy(shape_values(detector, self.inputs, chosen)))
        detector.rhythm.fit(self.inputs.early[torch.from_numpy(chosen)])
        return detector, result

    def _thresholds(self, beats: np.ndarray, scores: np.ndarray) -> Thresholds:
        order = np.argsort(beats)
        beats, scores = beats[order], scores[order]
        facts = self.recordings.beats
        return Thresholds.fit(
            scores,
            facts.beat_class[beats] == NORMAL,
            facts.record[beats],
            facts.r_sample[beats] / self.recordings.rate_hz,
            self.config.threshold,
        )

    def _autoencoder(self, chosen: np.ndarray, name: str) -> tuple[BeatAutoencoder, FitResult]:
        knobs = self.config.training
        network = seeded(
            self.config.seed, lambda: new_autoencoder(self.inputs.windows.length, self.config.model)
        )
        return network, self.run(
            network, reconstruction_loss(self.inputs), {"beat": torch.from_numpy(chosen)}, knobs.epochs, name
        )

    def run(
        self,
        network: nn.Module,
        loss: Callable[[nn.Module, dict[str, Tensor]], Tensor],
        data: dict[str, Tensor],
        epochs: int,
        name: str,
    ) -> FitResult:
        """Fit a network in place, for a fixed number of epochs: there is no validation to stop on."""
        knobs = self.config.training
        batches = DeviceBatches(data, min(knobs.batch_size, len(data["beat"])), seed=self.config.seed)
        settings = FitSettings(
            epochs=max(epochs, -(-knobs.min_steps // len(batches))),
            learning_rate=knobs.learning_rate,
            weight_decay=knobs.weight_decay,
            schedule="one_cycle",
            warmup_fraction=0.2,
            monitor="train_loss",
            restore_best=False,
            checkpoint_every_seconds=knobs.checkpoint_every_seconds,
            seed=self.config.seed,
        )
        folder = None if self.checkpoints is None else self.checkpoints / name
        result = fit(network, loss, batches, settings, checkpoint_dir=folder, progress=self.progress)
        result.model.cpu()
        return result


def new_autoencoder(num_samples: int, model: ModelConfig) -> BeatAutoencoder:
    """An autoencoder of beats of so many samples, not trained yet."""
    return BeatAutoencoder(
        num_samples,
        kind=model.kind,
        channels=model.channels,
        code_size=model.code_size,
        code_noise=model.code_noise,
        kl_weight=model.kl_weight,
    )


def reconstruction_loss(inputs: BeatInputs) -> Callable[[nn.Module, dict[str, Tensor]], Tensor]:
    """Of a `BeatAutoencoder`, on batches of positions of beats."""
    held = Held(inputs)

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        assert isinstance(model, BeatAutoencoder)
        return model.loss(held.gather(batch["beat"]))

    return loss


def anomaly_parts(detector: Detector, inputs: BeatInputs, chosen: np.ndarray) -> np.ndarray:
    """What shape and rhythm add to the score of some beats, float64 of shape (chosen, 2)."""
    return _collected(lambda beats: detector.parts(inputs.gather(beats), inputs.early[beats]), chosen, (0, 2))


def shape_values(detector: Detector, inputs: BeatInputs, chosen: np.ndarray) -> np.ndarray:
    """Mean surprise of some beats, float64 of shape (chosen,), nats a sample up to a constant."""
    return _collected(lambda beats: detector.autoencoder(inputs.gather(beats)).mean(1), chosen, (0,))


def _collected(of: Callable[[Tensor], Tensor], chosen: np.ndarray, empty: tuple[int, ...]) -> np.ndarray:
    with torch.inference_mode():
        parts = [of(part) for part in torch.from_numpy(chosen).split(_BEATS_AT_ONCE) if len(part)]
    return torch.cat(parts).double().numpy() if parts else np.zeros(empty)
