"""What is said of test cases, one row for each case and structure, at the size of the files."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl
import torch
from torch.nn import functional

from pipelines.medical_segmentation.baselines import fit_baselines
from pipelines.medical_segmentation.calibrate import Calibrated
from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.config import MedicalConfig
from pipelines.medical_segmentation.geometry import Frame
from pipelines.medical_segmentation.inference import Found, Predictor, own_mask
from pipelines.medical_segmentation.metrics import case_metrics
from pipelines.medical_segmentation.protocol import Fold
from pipelines.medical_segmentation.studies import Study

# Of each case, for how far probabilities can be believed.
_PIXELS_A_CASE = 500


def predict_fold(
    predictor: Predictor,
    calibrated: Calibrated,
    transfers: np.ndarray,
    studies: Iterable[Study],
    cases: Cases,
    fold: Fold,
    config: MedicalConfig,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Results of the test cases that have a mask, and pixels drawn from them.

    studies: the test cases as read, for masks at full size. Results: fold, case, patient, structure, the fields of
    `CaseMetrics`, unit of sizes (mm2, mL, pixels or voxels), confidence, referred, and the Dice of each baseline.
    Pixels: case, patient, probability of any structure, is_structure.
    """
    baselines = fit_baselines(cases, fold.train, transfers)
    place = {cases.names[case]: int(case) for case in fold.test}
    results: list[dict[str, Any]] = []
    pixels: list[pl.DataFrame] = []
    random = np.random.default_rng([config.seed, fold.number])
    for study in studies:
        case = place[study.case]
        frame = cases.frames[case]
        found = predictor.find(cases.image(case), transfers[case], frame)
        masks = {name: as_own(mask_of(case), len(cases.labels), frame) for name, mask_of in baselines.items()}
        results += _rows(study, found, masks, calibrated, config, fold.number)
        pixels.append(_pixels(study, found, cases.mask(case), random))
    return pl.DataFrame(results, infer_schema_length=None), pl.concat(pixels)


def _rows(
    study: Study,
    found: Found,
    baselines: dict[str, np.ndarray],
    calibrated: Calibrated,
    config: MedicalConfig,
    fold: int,
) -> Iterator[dict[str, Any]]:
    assert study.mask is not None, "only cases with a mask are tested"
    referred = bool(found.confidence.min() < calibrated.refer_below)
    for number, name in enumerate(study.labels.names, start=1):
        truth = study.mask == number
        measured = case_metrics(truth, found.mask == number, study.spacing_mm, config.evaluation.tolerance_mm)
        rivals = {key: dice_of(truth, mask == number) for key, mask in baselines.items()}
        yield {
            "fold": fold,
            "case": study.case,
            "patient": study.patient,
            "structure": name,
            **measured.to_json(),
            "unit": size_name(study.spacing_mm, len(study.shape)),
            "confidence": float(found.confidence[number - 1]),
            "referred": referred,
            **rivals,
        }


def dice_of(truth: np.ndarray, found: np.ndarray) -> float:
    """Dice of one structure, NaN where it is absent from the truth."""
    return float(2 * (truth & found).sum() / (truth.sum() + found.sum())) if truth.any() else float("nan")


def size_name(spacing_mm: tuple[float, ...] | None, dimensions: int) -> str:
    """Unit of sizes: mm2 or mL where the spacing is known."""
    known, unknown = ("mL", "voxels") if dimensions == 3 else ("mm2", "pixels")
    return unknown if spacing_mm is None else known


def as_own(mask: np.ndarray, num_structures: int, frame: Frame) -> np.ndarray:
    """A mask of the grid at the size of the file, by the same interpolation as probabilities."""
    one_hot = functional.one_hot(torch.from_numpy(mask).long(), num_structures + 1).movedim(-1, 0).float()
    return own_mask(one_hot, frame)


def _pixels(study: Study, found: Found, mask: np.ndarray, random: np.random.Generator) -> pl.DataFrame:
    probability = 1 - found.probabilities[0].reshape(-1)
    places = random.choice(len(probability), min(len(probability), _PIXELS_A_CASE), replace=False)
    return pl.DataFrame(
        {
            "case": [study.case] * len(places),
            "patient": [study.patient] * len(places),
            "probability": probability[places].clip(0, 1).astype(np.float64),
            "is_structure": (mask.reshape(-1)[places] > 0).astype(np.int64),
        }
    )
