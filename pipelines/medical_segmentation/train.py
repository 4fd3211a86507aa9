"""From cases to networks: scale of values, patches and weights come from the training cases alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.medical_segmentation.augment import Augment
from pipelines.medical_segmentation.batches import PatchBatches, PictureBatches, channels_last, patch_of
from pipelines.medical_segmentation.cases import NO_GRADE, Cases
from pipelines.medical_segmentation.config import MedicalConfig
from pipelines.medical_segmentation.intensity import Intensity
from pipelines.medical_segmentation.losses import ordinal_loss, segmentation_loss
from pipelines.medical_segmentation.model import (
    Grader,
    Segmenter,
    VolumeSegmenter,
    grading_network,
    picture_network,
    volume_network,
)
from shared.errors import RequestError
from shared.training.batches import DeviceBatches
from shared.training.fit import FitResult, fit
from shared.training.held import Held
from shared.training.progress import Progress
from shared.training.seeded import seeded
from shared.training.settings import FitSettings

_Source = PictureBatches | PatchBatches


@dataclass(frozen=True, slots=True)
class Trainer:
    """Fits networks to some of the cases; progress is saved under `checkpoints` when given."""

    config: MedicalConfig
    cases: Cases
    checkpoints: Path | None = None
    progress: Progress | None = None

    def patch(self, train: np.ndarray) -> tuple[int, ...]:
        """Edges of what the network sees at once: the picture, or a patch of volumes."""
        if self.cases.dimensions == 2:
            return (self.config.image.size,) * 2
        return self.config.volumes.patch or patch_of(self.cases, train)

    def segmenter(
        self, train: np.ndarray, intensity: Intensity, name: str
    ) -> tuple[nn.Module, list[FitResult]]:
        """A U-Net for some cases, all of which have masks."""
        patch = self.patch(train)
        network = seeded(
            self.config.seed,
            lambda: new_segmenter(self.config, self.cases.num_channels, len(self.cases.labels) + 1, patch),
        )
        network.to(memory_format=channels_last(self.cases.dimensions))  # type: ignore[call-overload]
        loss = _segmentation_step(
            self._source(intensity, patch), segmentation_loss(self.config.training.loss)
        )
        return network, self._run(network, loss, train, name)

    def grader(self, train: np.ndarray, intensity: Intensity, name: str) -> tuple[Grader, list[FitResult]]:
        """A grader of pictures. Raises RequestError without grades, and for volumes."""
        grades = self.cases.grades[train]
        if self.cases.dimensions != 2 or self.config.image.scale != "fit":
            raise RequestError("Expected pictures that fit a square, to grade them. Received others.")
        if (grades == NO_GRADE).any() or grades.max() < 1:
            raise RequestError("Expected a grade of every picture, from 0 to at least 1. Received others.")
        network = seeded(
            self.config.seed,
            lambda: new_grader(self.config, self.cases.num_channels, int(self.cases.grades.max()) + 1),
        )
        network.to(memory_format=channels_last(2))  # type: ignore[call-overload]
        loss = _grading_step(self._source(intensity, self.patch(train)), torch.from_numpy(self.cases.grades))
        return network, self._run(network, loss, train, name)

    def _source(self, intensity: Intensity, patch: tuple[int, ...]) -> _Source:
        config = self.config
        augment = Augment(config.augment if self.cases.dimensions == 2 else config.volumes.augment)
        if self.cases.dimensions == 2 and config.image.scale == "fit":
            return PictureBatches.of(self.cases, intensity, augment)
        return PatchBatches.of(self.cases, intensity, augment, patch, config.training.foreground_share)

    def _run(
        self,
        network: nn.Module,
        loss: Callable[[nn.Module, dict[str, Tensor]], Tensor],
        train: np.ndarray,
        name: str,
    ) -> list[FitResult]:
        """All at once, or the pretrained encoder later than the rest."""
        knobs = self.config.training
        rate = (knobs if self.cases.dimensions == 2 else self.config.volumes).learning_rate
        if not knobs.frozen_epochs:
            return [self._stage(network, loss, train, knobs.epochs, rate, name)]
        encoder = encoder_of(network)
        encoder.requires_grad_(False)
        first = self._stage(network, loss, train, knobs.frozen_epochs, rate, f"{name}-frozen")
        encoder.requires_grad_(True)
        return [first, self._stage(network, loss, train, knobs.epochs, rate * knobs.unfrozen_rate, name)]

    def _stage(
        self,
        network: nn.Module,
        loss: Callable[[nn.Module, dict[str, Tensor]], Tensor],
        train: np.ndarray,
        epochs: int,
        rate: float,
        name: str,
    ) -> FitResult:
        knobs = self.config.training
        min_steps = (knobs if self.cases.dimensions == 2 else self.config.volumes).min_steps
        data = {"case": torch.from_numpy(train)}
        size = min(knobs.batch_size, len(train))
        # a last batch of one case would give batch normalisation nothing to normalise by
        batches = DeviceBatches(data, size, seed=self.config.seed, drop_last=True)
        settings = FitSettings(
            epochs=max(epochs, -(-min_steps // len(batches))),
            learning_rate=rate,
            weight_decay=knobs.weight_decay,
            schedule="one_cycle",
            warmup_fraction=0.1,
            monitor="train_loss",
            restore_best=False,
            precision=knobs.precision,
            checkpoint_every_seconds=knobs.checkpoint_every_seconds,
            seed=self.config.seed,
        )
        folder = None if self.checkpoints is None else self.checkpoints / name
        result = fit(network, loss, batches, settings, checkpoint_dir=folder, progress=self.progress)
        result.model.cpu()
        return result


def new_segmenter(
    config: MedicalConfig, num_channels: int, num_classes: int, patch: tuple[int, ...]
) -> Segmenter | VolumeSegmenter:
    """A U-Net for pictures or volumes, as `patch` has axes, not trained yet."""
    model = config.model
    if len(patch) == 3:
        return volume_network(
            num_channels,
            num_classes,
            patch=patch,
            width=config.volumes.width,
            deep_supervision=model.deep_supervision,
        )
    return picture_network(
        num_channels,
        num_classes,
        encoder=model.encoder,
        weights=model.encoder_weights,
        width=model.width,
        deep_supervision=model.deep_supervision,
    )


def new_grader(config: MedicalConfig, num_channels: int, num_grades: int) -> Grader:
    """A grader, not trained yet."""
    return grading_network(
        num_channels, num_grades, encoder=config.model.encoder, weights=config.model.encoder_weights
    )


def encoder_of(network: nn.Module) -> nn.Module:
    """What pretrained weights are for: all but the decoder, or all but the last layer of a grader.

    Raises RequestError for volumes, which have none.
    """
    inner = network.network
    assert isinstance(inner, nn.Module)
    if isinstance(network, Segmenter):
        encoder = inner.encoder
        assert isinstance(encoder, nn.Module)
        return encoder
    if isinstance(network, Grader):
        return nn.ModuleList(child for child in inner.children() if child is not inner.get_classifier())  # type: ignore[operator]
    raise RequestError(
        "Expected training.frozen_epochs with pictures. Received volumes: their networks have no encoder."
    )


def _segmentation_step(
    source: _Source, loss: Callable[[list[Tensor], Tensor], Tensor]
) -> Callable[[nn.Module, dict[str, Tensor]], Tensor]:
    held = Held(source)

    def step(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        assert isinstance(model, Segmenter | VolumeSegmenter)
        images, masks = held.gather(batch["case"])
        return loss(model.all_levels(images), masks)

    return step


def _grading_step(source: _Source, grades: Tensor) -> Callable[[nn.Module, dict[str, Tensor]], Tensor]:
    held = Held(source)

    def step(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        images, _ = held.gather(batch["case"])
        return ordinal_loss(model(images).float(), grades.to(images.device)[batch["case"]])

    return step
