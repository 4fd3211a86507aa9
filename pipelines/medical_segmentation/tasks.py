"""The two tasks, segmentation and grading, in one shape: all that differs between them in the flow is here."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pipelines.medical_segmentation import evaluate, grading
from pipelines.medical_segmentation.case_files import CaseFolder
from pipelines.medical_segmentation.cases import NO_GRADE, Cases
from pipelines.medical_segmentation.config import MedicalConfig
from pipelines.medical_segmentation.fitting import fit_fold
from pipelines.medical_segmentation.predictions import predict_fold
from pipelines.medical_segmentation.protocol import Division, Fold
from pipelines.medical_segmentation.score import Placed, Scorer
from pipelines.medical_segmentation.studies import Study
from pipelines.medical_segmentation.train import Trainer
from shared.errors import RequestError

RESULTS, PIXELS = "results", "pixels"
Tables = Mapping[str, pl.DataFrame]
Spacing = tuple[float, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class FittedTask:
    """What a fold gave. learnt: positions of the cases behind weights and scales. record: plain values of training."""

    scorer: Scorer
    learnt: np.ndarray
    record: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Of one scored study: rows of `segmentation_results`; the number that is watched for drift; the mask, if any."""

    rows: list[dict[str, Any]]
    score: float
    mask: np.ndarray | None = None


class Task(ABC):
    """What the flow does with cases that are divided.

    headlines: names of the metrics that come first, the first of them is compared with the champion. titles: of the
    network and of each baseline.
    """

    headlines: tuple[str, ...]
    titles: Mapping[str, str]

    @abstractmethod
    def usable(self, cases: Cases) -> np.ndarray:
        """Which cases can be learnt from and tested, bool of shape (cases,)."""

    @abstractmethod
    def require(self, cases: Cases, config: MedicalConfig) -> None:
        """Raises RequestError for cases that the task cannot be done with."""

    @abstractmethod
    def fit(
        self, trainer: Trainer, division: Division, fold: Fold, name: str, spacing_mm: Spacing
    ) -> FittedTask:
        """Learn from the training cases of a fold; spacing_mm: of the grid of volumes."""

    @abstractmethod
    def predict(self, scorer: Scorer, studies: Iterable[Study], cases: Cases, fold: Fold) -> Tables:
        """Everything said of the usable test cases of a fold, `RESULTS` first; studies: these cases as read."""

    @abstractmethod
    def document(self, tables: Tables, config: MedicalConfig) -> dict[str, Any]:
        """The evaluation of all folds, as plain values."""

    @abstractmethod
    def score(self, scorer: Scorer, study: Study, seen: Placed, masks: CaseFolder) -> Said:
        """What is said of one study, its mask written."""

    @abstractmethod
    def by_case(self, results: pl.DataFrame) -> pl.DataFrame:
        """One row a tested case: case, patient, truth and value, from which `statistic` makes the first headline."""

    @abstractmethod
    def statistic(self, truth: np.ndarray, value: np.ndarray) -> float:
        """The first headline."""


class _Segmentation(Task):
    headlines, titles = ("dice", "iou", "hd95"), evaluate.TITLES

    def usable(self, cases: Cases) -> np.ndarray:
        return cases.has_mask

    def require(self, cases: Cases, config: MedicalConfig) -> None:
        if not cases.has_mask.any():
            raise RequestError(
                "Expected images with masks to learn from. Received none with a mask: put masks by the same names into "
                "masks/ beside images/, or name them in the column mask of a manifest."
            )
        if not cases.num_pixels.any():
            raise RequestError("Expected masks that show a structure. Received only empty ones.")
        if cases.dimensions == 3 and config.training.frozen_epochs:
            raise RequestError("Expected training.frozen_epochs with pictures. Received volumes.")

    def fit(
        self, trainer: Trainer, division: Division, fold: Fold, name: str, spacing_mm: Spacing
    ) -> FittedTask:
        fitted = fit_fold(trainer, division, fold, name)
        scorer = Scorer.of(fitted, trainer.cases, fitted.learnt, spacing_mm, trainer.config)
        return FittedTask(scorer, fitted.learnt, fitted.record)

    def predict(self, scorer: Scorer, studies: Iterable[Study], cases: Cases, fold: Fold) -> Tables:
        assert scorer.calibrated is not None, "a U-Net is calibrated"
        transfers = cases.transfers(scorer.intensity)
        results, pixels = predict_fold(
            scorer.predictor, scorer.calibrated, transfers, studies, cases, fold, scorer.config
        )
        return {RESULTS: results, PIXELS: pixels}

    def document(self, tables: Tables, config: MedicalConfig) -> dict[str, Any]:
        return evaluate.evaluation_document(tables[RESULTS], tables[PIXELS], config)

    def score(self, scorer: Scorer, study: Study, seen: Placed, masks: CaseFolder) -> Said:
        found = scorer.find_placed(seen)
        rows = list(scorer.rows(study, seen, found, masks.write_mask(found.mask, study)))
        return Said(rows, float(found.confidence.min()), found.mask)

    def by_case(self, results: pl.DataFrame) -> pl.DataFrame:
        shown = results.filter(pl.col("dice").is_not_nan())
        means = shown.group_by("case", maintain_order=True).agg(
            pl.col("patient").first(), pl.col("dice").mean()
        )
        return means.select("case", "patient", truth=pl.lit(1.0), value="dice")

    def statistic(self, truth: np.ndarray, value: np.ndarray) -> float:
        return float(np.mean(value))


class _Grading(Task):
    headlines, titles = ("quadratic_kappa", "referable_auc"), grading.TITLES

    def usable(self, cases: Cases) -> np.ndarray:
        known: np.ndarray = cases.grades != NO_GRADE
        return known

    def require(self, cases: Cases, config: MedicalConfig) -> None:
        if cases.dimensions != 2:
            raise RequestError("Expected pictures with task=grading. Received volumes: give slices of them.")
        if config.image.scale != "fit":
            raise RequestError("Expected image.scale=fit with task=grading. Received own.")
        if len(np.unique(cases.grades[self.usable(cases)])) < 2:
            raise RequestError(
                "Expected pictures of at least two grades with task=grading. Received fewer: name a manifest with the "
                "column grade."
            )

    def fit(
        self, trainer: Trainer, division: Division, fold: Fold, name: str, spacing_mm: Spacing
    ) -> FittedTask:
        graded = self._graded(trainer.cases, fold)
        fitted = grading.fit_grader(trainer, graded, name)
        scorer = Scorer.of(fitted, trainer.cases, graded.train, spacing_mm, trainer.config)
        return FittedTask(scorer, graded.train, fitted.record)

    def predict(self, scorer: Scorer, studies: Iterable[Study], cases: Cases, fold: Fold) -> Tables:
        assert isinstance(scorer.network, grading.Grader), "a U-Net does not grade"
        fitted = grading.FittedGrader(scorer.network, scorer.intensity, {})
        return {RESULTS: grading.grade_fold(fitted, cases, self._graded(cases, fold), scorer.config)}

    def document(self, tables: Tables, config: MedicalConfig) -> dict[str, Any]:
        return grading.grading_document(tables[RESULTS], config)

    def score(self, scorer: Scorer, study: Study, seen: Placed, masks: CaseFolder) -> Said:
        probabilities = scorer.grade(seen)
        mean = float(probabilities @ np.arange(len(probabilities)))
        return Said([scorer.grade_row(study, seen, probabilities)], mean)

    def by_case(self, results: pl.DataFrame) -> pl.DataFrame:
        return results.select("case", "patient", truth="grade", value="predicted").cast(
            {"truth": pl.Float64, "value": pl.Float64}
        )

    def statistic(self, truth: np.ndarray, value: np.ndarray) -> float:
        return grading.quadratic_kappa(truth.astype(np.int64), value.astype(np.int64))

    def _graded(self, cases: Cases, fold: Fold) -> Fold:
        known = self.usable(cases)
        return Fold(fold.number, fold.train[known[fold.train]], fold.test[known[fold.test]])


_TASKS: dict[str, Task] = {"segmentation": _Segmentation(), "grading": _Grading()}


def task_of(config: MedicalConfig) -> Task:
    """The task that a configuration asks for."""
    return _TASKS[config.task]


def require_folds(task: Task, cases: Cases, division: Division) -> None:
    """Raises RequestError where a fold has nothing to learn from or to test on."""
    usable = task.usable(cases)
    for fold in division.folds:
        num_train, num_test = int(usable[fold.train].sum()), int(usable[fold.test].sum())
        if num_train < 2 or num_test < 1:
            raise RequestError(
                f"Expected usable cases for training and test in every fold. Received {num_train} and {num_test}: give "
                "more, or choose fewer with protocol.num_folds."
            )
