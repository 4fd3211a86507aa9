"""From a fold to what is served: intensity and network from most of its training cases, the rest from the others."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.medical_segmentation.calibrate import Calibrated
from pipelines.medical_segmentation.inference import Predictor
from pipelines.medical_segmentation.intensity import Intensity
from pipelines.medical_segmentation.protocol import Division, Fold, group_folds
from pipelines.medical_segmentation.train import Trainer
from shared.errors import RequestError
from shared.training.fit import training_record

_FEWEST_CASES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A calibrated predictor. learnt, calibrated_on: positions of cases. record: plain values of the training."""

    predictor: Predictor
    intensity: Intensity
    calibrated: Calibrated
    learnt: np.ndarray
    calibrated_on: np.ndarray
    record: dict[str, Any]


def fit_fold(trainer: Trainer, division: Division, fold: Fold, name: str) -> Fitted:
    """Fit a U-Net to most of the training cases of a fold, and calibrate it on the rest."""
    config, cases = trainer.config, trainer.cases
    drawn = fold.train[cases.has_mask[fold.train]]
    if len(drawn) < _FEWEST_CASES:
        raise RequestError(
            f"Expected at least {_FEWEST_CASES} training images with masks. Received {len(drawn)}: are the masks where "
            "the manifest says?"
        )
    num_parts = max(2, round(1 / config.protocol.calibration_share))
    num_parts = min(num_parts, len(np.unique(division.groups[drawn])))
    part = group_folds(cases, division.groups, drawn, num_parts, config.seed)
    learnt, held_out = drawn[part != 0], drawn[part == 0]
    intensity = cases.fit_intensity(learnt, config.image)
    network, results = trainer.segmenter(learnt, intensity, name)
    patch = trainer.patch(learnt)
    predictor = Predictor(network.eval(), patch, config.inference_of(len(patch)))
    calibrated = Calibrated.fit(
        predictor, cases, held_out, cases.transfers(intensity), config.inference.refer_share, config.seed
    )
    final = Predictor(predictor.network, patch, predictor.config, calibrated.temperature)
    record = {"network": training_record(results), "calibration": calibrated.to_json()}
    return Fitted(final, intensity, calibrated, learnt, held_out, record)
