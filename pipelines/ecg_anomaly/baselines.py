"""What a network has to beat: rules and textbook detectors, fitted to the same normal beats.

PCA reconstruction and the distance to the nearest normal beats judge the shape, the interval rule the rhythm, and
two sums judge both as the detector does: parts as minus the log of the share of normal beats above. The last one has
no network, but the same idea of a usual beat.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pipelines.ecg_anomaly.config import EcgConfig
from pipelines.ecg_anomaly.inputs import DIFFERENCE, USUAL, BeatInputs
from pipelines.ecg_anomaly.model import Tail
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.rhythm import normal_beats

PCA, NEIGHBOURS, INTERVAL = "pca", "nearest_neighbours", "interval_rule"
PCA_AND_INTERVAL, USUAL_AND_EARLINESS = "pca_and_interval", "usual_beat_and_earliness"
TITLES = {
    PCA: "PCA reconstruction",
    NEIGHBOURS: "k nearest normal beats",
    INTERVAL: "RR interval rule",
    PCA_AND_INTERVAL: "PCA + RR interval",
    USUAL_AND_EARLINESS: "Usual beat + earliness, no network",
}
_BEATS_AT_ONCE = 4096
# More normal beats do not bring the nearest one much nearer, and cost time in proportion.
_MAX_NEIGHBOURS_OF = 4000
_SMALLEST_ERROR = 1e-4
_NUM_KNOTS = 200
_Values = dict[str, Tensor]


def score_baselines(
    recordings: Recordings, inputs: BeatInputs, train: np.ndarray, beats: np.ndarray, config: EcgConfig
) -> dict[str, np.ndarray]:
    """Scores of some beats by every baseline, float64 of shape (beats,), fitted to the normal beats of `train`."""
    normal = normal_beats(recordings, train, config.protocol.min_quality)
    ratio = torch.from_numpy(recordings.beats.intervals.ratio)
    shape = _fit_shape(inputs, normal, config)
    parts = [
        shape(chosen) | {INTERVAL: -ratio[chosen].log(), "earliness": inputs.early[chosen]}
        for chosen in torch.from_numpy(np.concatenate([normal, beats])).split(_BEATS_AT_ONCE)
    ]
    values = {name: torch.cat([part[name] for part in parts]).double() for name in parts[0]}
    tails = {name: _tail(value, len(normal)) for name, value in values.items()}
    scores = {
        PCA: values[PCA],
        NEIGHBOURS: values[NEIGHBOURS],
        INTERVAL: values[INTERVAL],
        PCA_AND_INTERVAL: tails[PCA] + tails[INTERVAL],
        USUAL_AND_EARLINESS: tails["difference"] + tails["earliness"],
    }
    return {name: score[len(normal) :].numpy() for name, score in scores.items()}


def _fit_shape(inputs: BeatInputs, normal: np.ndarray, config: EcgConfig) -> Callable[[Tensor], _Values]:
    """What judges the shape of beats in sizes of the usual beat."""
    random = np.random.default_rng(config.seed)
    own = random.choice(normal, min(len(normal), _MAX_NEIGHBOURS_OF), replace=False)
    reference = _beats(inputs, torch.from_numpy(np.sort(own)))
    mean = reference.mean(0)
    num_components = min(config.evaluation.num_components, *reference.shape)
    components = torch.linalg.svd(reference - mean, full_matrices=False).Vh[:num_components]
    num_neighbours = min(config.evaluation.num_neighbours, len(reference))

    def judge(chosen: Tensor) -> _Values:
        beats = _beats(inputs, chosen)
        centred = beats - mean
        left = centred - centred @ components.T @ components
        nearest = torch.cdist(beats, reference).topk(num_neighbours, largest=False).values
        return {
            PCA: left.square().mean(1),
            NEIGHBOURS: nearest.mean(1),
            "difference": (inputs.gather(chosen)[:, DIFFERENCE].square().mean(1) + _SMALLEST_ERROR).log(),
        }

    return judge


def _beats(inputs: BeatInputs, chosen: Tensor) -> Tensor:
    seen = inputs.gather(chosen)
    return seen[:, DIFFERENCE] + seen[:, USUAL]


def _tail(values: Tensor, num_normal: int) -> Tensor:
    tail = Tail(_NUM_KNOTS).double()
    tail.fit(values[:num_normal])
    found: Tensor = tail(values)
    return found
