"""The protocol: every case is tested once, at the size of its file, by a network that has not seen its patient.

A case counts once: with several structures, with the mean over those that it shows. Structures that nobody drew are not
averaged in as 0 or 1; whether something was found in them all the same has a number of its own. Intervals draw whole
patients anew.
"""

from typing import Any

import numpy as np
import polars as pl

from pipelines.medical_segmentation.baselines import TITLES as BASELINES
from pipelines.medical_segmentation.config import MedicalConfig
from shared.evaluation.binary import ece_noise_floor, ece_statistic
from shared.evaluation.bootstrap import metric_with_interval
from shared.evaluation.compare import paired_bootstrap
from shared.evaluation.metric import Metric, undefined
from shared.evaluation.verdict import Verdict, verdict

NETWORK = "network"
TITLES = {NETWORK: "U-Net", **BASELINES}
HEADLINES = {"dice": True, "iou": True, "hd95": False}
_NUM_WORST = 10
_SHARES = tuple(round(0.05 * step, 2) for step in range(13))
_NO_TRUTH = "no test case shows the structure"


class TestResults:
    """All metrics on the test cases of all folds; tables: see `predictions.predict_fold`."""

    __test__ = False

    def __init__(self, table: pl.DataFrame, pixels: pl.DataFrame, config: MedicalConfig) -> None:
        self.table, self.pixels = table, pixels
        self.models = [NETWORK, *(name for name in BASELINES if name in table.columns)]
        self.settings: dict[str, Any] = {
            "num_replicates": config.evaluation.num_bootstraps,
            "seed": config.seed,
        }
        self.length_unit = "px" if table["unit"][0] in ("pixels", "voxels") else "mm"
        self.shown = table.filter(pl.col("dice").is_not_nan())
        means = [pl.col(name).mean() for name in ("dice", "iou", "hd95", "nsd", *self.models[1:])]
        self.cases = self.shown.group_by("case", maintain_order=True).agg(
            pl.col("patient", "referred").first(),
            pl.col("confidence").min(),
            pl.col("size_truth").sum(),
            *means,
        )

    def metrics(self, model: str) -> dict[str, Metric]:
        """`test/...` metrics of a model: of a baseline only Dice."""
        found = [self._mean("dice", "dice" if model == NETWORK else model)]
        if model == NETWORK:
            found += [
                self._mean("iou", "iou"),
                self._mean("hd95", "hd95", unit=self.length_unit, higher_is_better=False),
                self._mean("nsd", "nsd"),
                self._size_error(),
                self._found_in_none(),
                self._ece(),
                self._mean_of(self.cases.filter(~pl.col("referred")), "dice_kept", "dice"),
                self._referred(),
            ]
        return {metric.name: metric for metric in found}

    def per_structure(self) -> dict[str, dict[str, Any]]:
        """Dice of each structure, by model, and in how many cases it is shown."""
        return {
            str(name): {
                "cases": rows.height,
                "dice": {
                    model: self._mean_of(rows, "dice", "dice" if model == NETWORK else model).to_json()
                    for model in self.models
                },
                "hd95": self._mean_of(
                    rows, "hd95", "hd95", unit=self.length_unit, higher_is_better=False
                ).to_json(),
            }
            for (name,), rows in self.shown.group_by("structure", maintain_order=True)
        }

    def judge(self) -> tuple[Verdict, dict[str, Any]]:
        """The network against its strongest rival by Dice, and all differences."""
        compared = {
            rival: paired_bootstrap(
                lambda _, values: float(np.mean(values)),
                np.zeros(self.cases.height),
                self.cases["dice"].to_numpy(),
                self.cases[rival].to_numpy(),
                name="dice",
                groups=self.cases["patient"].to_numpy(),
                higher_is_better=True,
                **self.settings,
            )
            for rival in self.models[1:]
        }
        judged = verdict(
            "The U-Net",
            self.metrics(NETWORK)["test/dice"],
            compared,
            metric_label="Dice",
            baseline_names={name: f"the {title[0].lower()}{title[1:]}" for name, title in BASELINES.items()},
        )
        return judged, {rival: comparison.to_json() for rival, comparison in compared.items()}

    def referral(self) -> list[dict[str, float]]:
        """Mean Dice of the cases that are kept when a share is referred, least sure first; beside it the order of a
        coin, and the best possible order. Empty where no case shows a structure."""
        if self.cases.is_empty():
            return []
        ordered = self.cases.sort("confidence", descending=True, maintain_order=True)["dice"].to_numpy()
        best = np.sort(ordered)[::-1]
        kept = {share: max(1, round(len(ordered) * (1 - share))) for share in _SHARES}
        return [
            {
                "share": share,
                "dice": float(ordered[:num].mean()),
                "random": float(ordered.mean()),
                "best": float(best[:num].mean()),
            }
            for share, num in kept.items()
        ]

    def worst(self) -> list[str]:
        """The cases with the lowest Dice, worst first."""
        return worst_first(self.cases)["case"].head(_NUM_WORST).to_list()

    def counts(self) -> dict[str, int]:
        """Test cases, patients, and cases that show no structure."""
        return {
            "cases": self.table["case"].n_unique(),
            "patients": self.table["patient"].n_unique(),
            "shown": self.cases.height,
            "empty": self.table["case"].n_unique() - self.cases.height,
        }

    def _mean(self, name: str, column: str, *, unit: str = "", higher_is_better: bool = True) -> Metric:
        return self._mean_of(self.cases, name, column, unit=unit, higher_is_better=higher_is_better)

    def _mean_of(
        self, rows: pl.DataFrame, name: str, column: str, *, unit: str = "", higher_is_better: bool = True
    ) -> Metric:
        if rows.is_empty():
            return undefined(f"test/{name}", _NO_TRUTH, unit=unit, higher_is_better=higher_is_better)
        return metric_with_interval(
            f"test/{name}",
            _average,
            rows[column].to_numpy(),
            groups=rows["patient"].to_numpy(),
            unit=unit,
            higher_is_better=higher_is_better,
            **self.settings,
        )

    def _size_error(self) -> Metric:
        """Median of the size found against the true one, as a share of it."""
        rows = self.shown.with_columns(
            error=(pl.col("size_found") - pl.col("size_truth")).abs() / pl.col("size_truth")
        )
        if rows.is_empty():
            return undefined("test/size_error", _NO_TRUTH, higher_is_better=False)
        return metric_with_interval(
            "test/size_error",
            lambda values: float(np.median(values)),
            rows["error"].to_numpy(),
            groups=rows["patient"].to_numpy(),
            higher_is_better=False,
            **self.settings,
        )

    def _found_in_none(self) -> Metric:
        """Share of the structures that nobody drew in a case, and that were found there."""
        rows = self.table.filter(pl.col("dice").is_nan())
        name = "test/found_where_absent"
        if rows.is_empty():
            return undefined(name, "every test case shows every structure", higher_is_better=False)
        return metric_with_interval(
            name,
            _average,
            (rows["size_found"] > 0).to_numpy().astype(np.float64),
            groups=rows["patient"].to_numpy(),
            higher_is_better=False,
            **self.settings,
        )

    def _referred(self) -> Metric:
        return metric_with_interval(
            "test/referred",
            _average,
            self.cases["referred"].to_numpy().astype(np.float64),
            groups=self.cases["patient"].to_numpy(),
            higher_is_better=False,
            **self.settings,
        )

    def _ece(self) -> Metric:
        return metric_with_interval(
            "test/ece",
            ece_statistic(),
            self.pixels["is_structure"].to_numpy(),
            self.pixels["probability"].to_numpy(),
            groups=self.pixels["patient"].to_numpy(),
            method="basic",
            bounds=(0.0, 1.0),
            **self.settings,
        )


def worst_first(cases: pl.DataFrame) -> pl.DataFrame:
    """Cases by `dice`, lowest first; of equal ones, such as all that were missed, the largest `size_truth` first."""
    return cases.sort("dice", "size_truth", descending=[False, True], maintain_order=True)


def evaluation_document(table: pl.DataFrame, pixels: pl.DataFrame, config: MedicalConfig) -> dict[str, Any]:
    """Everything that report, card, gate and summary say about the numbers, as plain values."""
    results = TestResults(table, pixels, config)
    judged, comparisons = results.judge()
    return {
        "served": NETWORK,
        "metrics": {
            model: {name: metric.to_json() for name, metric in results.metrics(model).items()}
            for model in results.models
        },
        "comparisons": comparisons,
        "verdict": judged.to_json(),
        "per_structure": results.per_structure(),
        "referral": results.referral(),
        "worst": results.worst(),
        "ece_noise_floor": ece_noise_floor(pixels["probability"].to_numpy()),
        "counts": results.counts(),
        "length_unit": results.length_unit,
        "size_unit": table["unit"][0],
    }


def _average(values: np.ndarray) -> float:
    return float(np.mean(values))
