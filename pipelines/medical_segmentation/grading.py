"""Grades instead of masks: the same cases, division and training, with an ordinal classifier (`task=grading`).

Judged by quadratic weighted kappa, as retinopathy grading is: a grade that is off by two costs four times one that is
off by one. Beside it the recall of each grade, and how well patients who must be seen by a specialist are told apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from pipelines.medical_segmentation.batches import PictureBatches
from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.config import MedicalConfig
from pipelines.medical_segmentation.intensity import Intensity
from pipelines.medical_segmentation.model import Grader
from pipelines.medical_segmentation.protocol import Fold
from pipelines.medical_segmentation.train import Trainer
from shared.evaluation.binary import roc_auc
from shared.evaluation.bootstrap import metric_with_interval
from shared.evaluation.compare import paired_bootstrap
from shared.evaluation.metric import Metric, undefined
from shared.evaluation.verdict import Verdict, verdict
from shared.training.fit import training_record

NETWORK, USUAL, NEAREST, COLOURS = "network", "usual_grade", "nearest_case", "colour_regression"
BASELINES = {
    USUAL: "Most frequent grade",
    NEAREST: "Grade of the most similar training case",
    COLOURS: "Regression on brightness and colour",
}
TITLES = {NETWORK: "Grader", **BASELINES}
_CASES_AT_ONCE = 32
_PENALTY = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class FittedGrader:
    """A grader and the scale of values it sees. record: plain values of the training."""

    network: Grader
    intensity: Intensity
    record: dict[str, Any]


def fit_grader(trainer: Trainer, fold: Fold, name: str) -> FittedGrader:
    """Fit a grader to the training cases of a fold. Raises RequestError without grades."""
    intensity = trainer.cases.fit_intensity(fold.train, trainer.config.image)
    network, results = trainer.grader(fold.train, intensity, name)
    return FittedGrader(network.eval(), intensity, {"network": training_record(results)})


def grade_probabilities(
    network: Grader, cases: Cases, intensity: Intensity, chosen: np.ndarray
) -> np.ndarray:
    """Of each grade, float64 (chosen, grades): the mean over the picture and its mirror image."""
    batches = PictureBatches.of(cases, intensity, None)
    parts = torch.from_numpy(chosen).split(_CASES_AT_ONCE)
    found = [mirrored_probabilities(network, batches.gather(part)[0]) for part in parts]
    probabilities: np.ndarray = torch.cat(found).double().numpy()
    return probabilities


def mirrored_probabilities(network: Grader, images: Tensor) -> Tensor:
    """Of each grade, (B, grades), from scaled images (B, C, rows, columns): mean over image and mirror image."""
    with torch.inference_mode():
        both = [Grader.probabilities(network(view)) for view in (images, images.flip(-1))]
        return torch.stack(both).mean(0)


def likeliest_grade(probabilities: np.ndarray) -> np.ndarray:
    """The whole grade next to the mean one, int64 of shape (cases,)."""
    return np.rint(probabilities @ np.arange(probabilities.shape[1])).astype(np.int64)


def referable(probabilities: np.ndarray, config: MedicalConfig) -> np.ndarray:
    """Probability of a grade from `evaluation.referable_from` on, float64 of shape (cases,)."""
    first = min(config.evaluation.referable_from, probabilities.shape[1] - 1)
    shares: np.ndarray = probabilities[:, first:].sum(1).clip(0, 1)
    return shares


def grade_fold(fitted: FittedGrader, cases: Cases, fold: Fold, config: MedicalConfig) -> pl.DataFrame:
    """One row a test case: fold, case, patient, grade, predicted grade, mean_grade, referable (probability of a grade
    from `evaluation.referable_from` on), and the grade that each baseline gives."""
    probabilities = grade_probabilities(fitted.network, cases, fitted.intensity, fold.test)
    rivals = {name: fit(cases, fold.train)(fold.test) for name, fit in _BASELINES.items()}
    return pl.DataFrame(
        {
            "fold": np.full(len(fold.test), fold.number),
            "case": [cases.names[case] for case in fold.test],
            "patient": [cases.patients[case] for case in fold.test],
            "grade": cases.grades[fold.test],
            "predicted": likeliest_grade(probabilities),
            "mean_grade": probabilities @ np.arange(probabilities.shape[1]),
            "referable": referable(probabilities, config),
            **rivals,
        }
    )


def quadratic_kappa(truth: np.ndarray, found: np.ndarray) -> float:
    """Cohen's kappa with quadratic weights of two series of grades; NaN where both never change."""
    num = int(max(truth.max(), found.max())) + 1
    counts = np.bincount(truth * num + found, minlength=num * num).reshape(num, num).astype(np.float64)
    grades = np.arange(num)
    weight = (grades[:, None] - grades) ** 2
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    by_chance = float((weight * expected).sum())
    return 1 - float((weight * counts).sum()) / by_chance if by_chance else float("nan")


def grading_document(table: pl.DataFrame, config: MedicalConfig) -> dict[str, Any]:
    """Everything that report, card, gate and summary say about the numbers; table: see `grade_fold`, all folds."""
    settings: dict[str, Any] = {"num_replicates": config.evaluation.num_bootstraps, "seed": config.seed}
    truth, patients = table["grade"].to_numpy(), table["patient"].to_numpy()
    predictions = {
        NETWORK: table["predicted"].to_numpy(),
        **{name: table[name].to_numpy() for name in BASELINES},
    }
    kappas = {
        model: metric_with_interval(
            "test/quadratic_kappa",
            quadratic_kappa,
            truth,
            found,
            groups=patients,
            higher_is_better=True,
            **settings,
        )
        for model, found in predictions.items()
    }
    compared = {
        name: paired_bootstrap(
            quadratic_kappa,
            truth,
            predictions[NETWORK],
            predictions[name],
            name="quadratic_kappa",
            groups=patients,
            higher_is_better=True,
            **settings,
        )
        for name in BASELINES
        if kappas[name].is_defined
    }
    judged: Verdict = verdict(
        "The grader",
        kappas[NETWORK],
        compared,
        metric_label="quadratic kappa",
        baseline_names={name: f"the {title[0].lower()}{title[1:]}" for name, title in BASELINES.items()},
    )
    own = {metric.name: metric for metric in (kappas[NETWORK], *_own_metrics(table, config, settings))}
    return {
        "served": NETWORK,
        "metrics": {
            NETWORK: {name: metric.to_json() for name, metric in own.items()},
            **{name: {"test/quadratic_kappa": kappas[name].to_json()} for name in BASELINES},
        },
        "comparisons": {name: comparison.to_json() for name, comparison in compared.items()},
        "verdict": judged.to_json(),
        "confusion": _confusion(truth, predictions[NETWORK]).tolist(),
        "counts": {"cases": table.height, "patients": table["patient"].n_unique()},
    }


def _own_metrics(table: pl.DataFrame, config: MedicalConfig, settings: dict[str, Any]) -> list[Metric]:
    found = []
    is_referable = (table["grade"] >= config.evaluation.referable_from).to_numpy().astype(np.int64)
    found.append(
        metric_with_interval(
            "test/referable_auc",
            roc_auc,
            is_referable,
            table["referable"].to_numpy(),
            groups=table["patient"].to_numpy(),
            **settings,
        )
    )
    for grade in range(int(table["grade"].to_numpy().max()) + 1):
        rows = table.filter(pl.col("grade") == grade)
        name = f"test/recall_grade_{grade}"
        if rows.is_empty():
            found.append(undefined(name, f"no test case has grade {grade}"))
            continue
        found.append(
            metric_with_interval(
                name,
                lambda values: float(np.mean(values)),
                (rows["predicted"] == grade).to_numpy().astype(np.float64),
                groups=rows["patient"].to_numpy(),
                higher_is_better=True,
                **settings,
            )
        )
    return found


def _confusion(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Cases of each true grade (rows) by the grade given (columns)."""
    num = int(max(truth.max(), found.max())) + 1
    return np.bincount(truth * num + found, minlength=num * num).reshape(num, num)


_Grade = Callable[[np.ndarray], np.ndarray]


def _usual(cases: Cases, train: np.ndarray) -> _Grade:
    grade = int(np.bincount(cases.grades[train]).argmax())
    return lambda chosen: np.full(len(chosen), grade)


def _nearest(cases: Cases, train: np.ndarray) -> _Grade:
    flat = cases.thumbnails.reshape(cases.num_cases, -1).astype(np.float32)
    centred = flat - flat.mean(axis=1, keepdims=True)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    return lambda chosen: cases.grades[train][(unit[chosen] @ unit[train].T).argmax(axis=1)]


def _colours(cases: Cases, train: np.ndarray) -> _Grade:
    """Ridge regression of the grade on mean and deviation of each channel."""
    facts = np.array(
        [[*one.mean, *np.sqrt(np.maximum(one.square - one.mean**2, 0))] for one in cases.fingerprints]
    )
    centre, spread = facts[train].mean(axis=0), np.maximum(facts[train].std(axis=0), 1e-6)
    seen = np.concatenate([(facts - centre) / spread, np.ones((len(facts), 1))], axis=1)
    penalty = _PENALTY * np.diag([1.0] * (seen.shape[1] - 1) + [0.0])
    weights = np.linalg.solve(seen[train].T @ seen[train] + penalty, seen[train].T @ cases.grades[train])
    highest = int(cases.grades[train].max())
    return lambda chosen: np.rint(seen[chosen] @ weights).clip(0, highest).astype(np.int64)


_BASELINES = {USUAL: _usual, NEAREST: _nearest, COLOURS: _colours}
