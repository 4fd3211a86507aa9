"""A classifier of beats on top of the detector, for results in the form of ANSI/AAMI EC57.

It sees what the autoencoder found (code, surprise along the beat, parts of the score) and the rhythm, and learns the
four classes N, S, V and F from the training patients. It is evaluated, not served: the detector says that a beat is
unlike normal ones, which needs no examples of what is not.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.ecg_anomaly.inputs import DIFFERENCE, BeatInputs
from pipelines.ecg_anomaly.labels import FUSION, NORMAL
from pipelines.ecg_anomaly.model import Detector
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.rhythm import RHYTHM_NAMES, rhythm_features
from pipelines.ecg_anomaly.train import Trainer
from shared.training.seeded import seeded

# N, S, V and F; Q says that nobody could tell, which is nothing to learn.
NUM_CLASSES = 4
_SEGMENTS = 16
_HIDDEN = 64
_LIMIT = 10.0  # deviations: a beat of noise must not decide the scale
_BEATS_AT_ONCE = 2048
_SMALLEST_POWER = 1e-4


class Classifier(nn.Module):
    """(B, features) -> log-odds of the classes up to a constant, (B, 4)."""

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)
        self.layers = nn.Sequential(
            nn.Linear(len(mean), _HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, NUM_CLASSES),
        )

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.layers(((features - self.mean) / self.spread).clamp(-_LIMIT, _LIMIT))
        return found


def embeddings(detector: Detector, recordings: Recordings, inputs: BeatInputs, beats: np.ndarray) -> Tensor:
    """What a classifier is given of some beats, float32 of shape (beats, features)."""
    rhythm = torch.from_numpy(rhythm_features(recordings.beats.intervals)[beats])
    with torch.inference_mode():
        found = [_of(detector, inputs, part) for part in torch.from_numpy(beats).split(_BEATS_AT_ONCE)]
    # plain tensors can be trained on, those of inference mode cannot
    return torch.cat([torch.cat(found).clone(), rhythm.view(-1, len(RHYTHM_NAMES))], 1)


def _of(detector: Detector, inputs: BeatInputs, chosen: Tensor) -> Tensor:
    seen = inputs.gather(chosen)
    surprise = detector.autoencoder(seen)
    segments = functional.adaptive_avg_pool1d(surprise[:, None], _SEGMENTS)[:, 0]
    parts = torch.stack([detector.shape(surprise.mean(1)), detector.rhythm(inputs.early[chosen])], 1)
    power = seen[:, DIFFERENCE].square().mean(1, keepdim=True)
    code = detector.autoencoder.code(seen)
    return torch.cat(
        [code, segments.clamp(min=-5).add(6).log(), parts.log1p(), (power + _SMALLEST_POWER).log()], 1
    )


def classify(
    trainer: Trainer, detector: Detector, train: np.ndarray, beats: np.ndarray, name: str
) -> np.ndarray:
    """The most likely class of some beats, int8 of shape (beats,), by a classifier of the beats of `train`."""
    recordings, inputs = trainer.recordings, trainer.inputs
    classes = recordings.beats.beat_class
    chosen = recordings.beats_of(train)
    chosen = chosen[(classes[chosen] >= NORMAL) & (classes[chosen] <= FUSION)]
    features = embeddings(detector, recordings, inputs, chosen)
    spread = features.std(0).clamp(min=1e-6)
    network = seeded(trainer.config.seed, lambda: Classifier(features.mean(0), spread))
    target = torch.from_numpy(classes[chosen].astype(np.int64))
    # Rare classes count more, but not so much that every tenth normal beat is called one of them.
    weight = 1 / torch.bincount(target, minlength=NUM_CLASSES).clamp(min=1).sqrt()
    weight = weight / (weight[target].mean())

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return functional.cross_entropy(
            model(batch["beat"]), batch["target"], weight=weight.to(batch["beat"].device)
        )

    data = {"beat": features, "target": target}
    trainer.run(network, loss, data, trainer.config.training.head_epochs, name)
    with torch.inference_mode():
        found = network.eval()(embeddings(detector, recordings, inputs, beats)).argmax(1)
    classes_found: np.ndarray = found.numpy().astype(np.int8)
    return classes_found
