"""The protocol: every recording is tested once, by a detector that has seen neither it nor its patient.

All beats count, also those of poor signal; Q, which says that nobody could tell, is neither normal nor abnormal.
Intervals draw whole patients anew. What a score could do is told apart from what a threshold did that was fixed before
the test.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from pipelines.ecg_anomaly.baselines import TITLES as BASELINES
from pipelines.ecg_anomaly.config import EcgConfig
from pipelines.ecg_anomaly.ec57 import ec57_card
from pipelines.ecg_anomaly.labels import CLASSES
from pipelines.ecg_anomaly.predictions import SCORE
from shared.evaluation.binary import average_precision, roc_auc, sensitivity_at
from shared.evaluation.bootstrap import metric_with_interval
from shared.evaluation.cells import BinaryStatistic
from shared.evaluation.compare import Comparison, paired_bootstrap
from shared.evaluation.metric import Metric, undefined
from shared.evaluation.verdict import Verdict, verdict

DETECTOR = "detector"
TITLES = {DETECTOR: "Autoencoder + earliness", **BASELINES}
NORMAL, ABNORMAL = "N", ("S", "V", "F")
HEADLINES = {"auroc": True, "auroc_v": True, "auroc_s": True, "false_alarm_rate": False}
SHARES = (0.01, 0.05)
# What is said of single recordings needs some beats of each kind.
FEWEST_BEATS = 5
_LOWER = "false_alarm_rate"


class TestResults:
    """All metrics of all models on the test beats of all folds; table: see `predictions.predict_fold`."""

    __test__ = False

    def __init__(self, table: pl.DataFrame, config: EcgConfig) -> None:
        self.table = table
        self.known = table.filter(pl.col("beat_class").is_in((NORMAL, *ABNORMAL)))
        self.models = [DETECTOR, *(name for name in BASELINES if name in table.columns)]
        self.settings: dict[str, Any] = {
            "num_replicates": config.evaluation.num_bootstraps,
            "seed": config.seed,
        }
        self._found: dict[str, dict[str, Metric]] = {}

    def metrics(self, model: str) -> dict[str, Metric]:
        """`test/...` metrics of a model: AUROC over all abnormal beats and of each class, average precision; of the
        detector also false alarms and sensitivities at its threshold, and what its score could do."""
        if model not in self._found:
            found = [
                self._ranking("auroc", roc_auc, ABNORMAL, model),
                *(self._ranking(f"auroc_{one.lower()}", roc_auc, (one,), model) for one in ABNORMAL),
                self._ranking("average_precision", average_precision, ABNORMAL, model),
            ]
            if model == DETECTOR:
                found += self._at_threshold()
            found += [
                self._ranking(
                    f"sensitivity_{one.lower()}_at_{share:.0%}".removesuffix("%"),
                    sensitivity_at(share),
                    (one,),
                    model,
                )
                for one in ABNORMAL
                for share in SHARES
            ]
            self._found[model] = {metric.name: metric for metric in found}
        return self._found[model]

    def judge(self) -> tuple[Verdict, dict[str, dict[str, Any]]]:
        """The detector against its strongest rival by AUROC, and all differences, of all abnormal beats, V and S."""
        kinds = {"auroc": ABNORMAL, "auroc_v": ("V",), "auroc_s": ("S",)}
        compared = {
            name: {rival: self._compare(name, classes, rival) for rival in self.models[1:]}
            for name, classes in kinds.items()
        }
        judged = verdict(
            "The autoencoder with earliness",
            self.metrics(DETECTOR)["test/auroc"],
            compared["auroc"],
            metric_label="AUROC",
            baseline_names={name: _in_a_sentence(title) for name, title in BASELINES.items()},
        )
        return judged, {
            name: {rival: one.to_json() for rival, one in rivals.items()} for name, rivals in compared.items()
        }

    def per_record(self) -> list[dict[str, Any]]:
        """Of each recording: beats by class, false-alarm rate, sensitivity of each class, AUROC and average precision
        of the detector; None where there are too few beats to say."""
        return [
            _record_card(str(name), rows)
            for (name,), rows in self.known.group_by("record", maintain_order=True)
        ]

    def counts(self) -> dict[str, Any]:
        """Recordings, patients and beats of each class of the test."""
        beats = {one: int((self.table["beat_class"] == one).sum()) for one in CLASSES}
        return {
            "records": self.table["record"].n_unique(),
            "patients": self.table["patient"].n_unique(),
            "beats": beats,
            "unknown": int(self.table["beat_class"].null_count()),
        }

    def _rows(self, classes: tuple[str, ...]) -> pl.DataFrame:
        return self.known.filter(pl.col("beat_class").is_in((NORMAL, *classes)))

    def _ranking(self, name: str, statistic: BinaryStatistic, classes: tuple[str, ...], model: str) -> Metric:
        rows = self._rows(classes)
        return metric_with_interval(
            f"test/{name}",
            statistic,
            _is_abnormal(rows),
            rows[_column(model)].to_numpy(),
            groups=rows["patient"].to_numpy(),
            **self.settings,
        )

    def _at_threshold(self) -> list[Metric]:
        parts = {"false_alarm_rate": NORMAL} | {f"sensitivity_{one.lower()}": one for one in ABNORMAL}
        found = [self._flagged(name, one, "flagged") for name, one in parts.items()]
        return [*found, self._flagged("false_alarm_rate_textbook", NORMAL, "flagged_textbook")]

    def _flagged(self, name: str, kind: str, column: str) -> Metric:
        rows = self.known.filter(pl.col("beat_class") == kind)
        better = not name.startswith(_LOWER)
        if rows.is_empty():
            return undefined(f"test/{name}", f"there is no beat of class {kind}", higher_is_better=better)
        return metric_with_interval(
            f"test/{name}",
            _mean,
            rows[column].to_numpy().astype(np.float64),
            groups=rows["patient"].to_numpy(),
            higher_is_better=better,
            bounds=(0.0, 1.0),
            **self.settings,
        )

    def _compare(self, name: str, classes: tuple[str, ...], rival: str) -> Comparison:
        rows = self._rows(classes)
        return paired_bootstrap(
            roc_auc,
            _is_abnormal(rows),
            rows[SCORE].to_numpy(),
            rows[rival].to_numpy(),
            name=name,
            groups=rows["patient"].to_numpy(),
            **self.settings,
        )


def evaluation_document(
    table: pl.DataFrame, found: pl.DataFrame, marked: Mapping[str, int], config: EcgConfig
) -> dict[str, Any]:
    """Everything that report, card, gate and summary say about the numbers, as plain values.

    table: see `TestResults`. found: the beats that the peak detector found in the same recordings, judged by the same
    detectors (`predictions.judged_beats`). marked: beats of each class that somebody marked in them.
    """
    results = TestResults(table, config)
    judged, comparisons = results.judge()
    per_record = results.per_record()
    return {
        "served": DETECTOR,
        "metrics": {
            model: {name: metric.to_json() for name, metric in results.metrics(model).items()}
            for model in results.models
        },
        "comparisons": comparisons,
        "verdict": judged.to_json(),
        "per_record": per_record,
        "over_records": {
            name: over_records([one[name] for one in per_record])
            for name in ("auroc", "average_precision", "false_alarm_rate")
        },
        "ec57": ec57_card(table),
        "end_to_end": end_to_end(found, marked),
        "counts": results.counts(),
    }


def end_to_end(found: pl.DataFrame, marked: Mapping[str, int]) -> dict[str, Any]:
    """What comes of recordings of which nobody marked the beats: share of the marked beats of each class that are found
    and flagged, of normal ones flagged, and of what is found that is no marked beat."""
    flagged = found.filter("flagged")["beat_class"]
    classes = found["beat_class"]
    shares = {
        one: {
            "marked": count,
            "found": float((classes == one).sum()) / count,
            "flagged": float((flagged == one).sum()) / count,
        }
        for one, count in marked.items()
        if count
    }
    return {
        "classes": shares,
        "beats": found.height,
        "not_marked": float(classes.null_count()) / max(found.height, 1),
        "flagged": float(found["flagged"].mean() or 0.0),  # type: ignore[arg-type]
    }


def over_records(values: list[float | None]) -> dict[str, float | int | None]:
    """Median, lowest and highest of what could be said of single recordings, and of how many that is."""
    known = [value for value in values if value is not None]
    return {
        "median": float(np.median(known)) if known else None,
        "lowest": min(known, default=None),
        "highest": max(known, default=None),
        "records": len(known),
    }


def _record_card(name: str, rows: pl.DataFrame) -> dict[str, Any]:
    y, scores = _is_abnormal(rows), rows[SCORE].to_numpy()
    beats = {one: int((rows["beat_class"] == one).sum()) for one in (NORMAL, *ABNORMAL)}
    is_flagged, classes = rows["flagged"].to_numpy(), rows["beat_class"].to_numpy()
    flagged = {
        one: float(is_flagged[classes == one].mean()) if count >= FEWEST_BEATS else None
        for one, count in beats.items()
    }
    can_rank = min(int(y.sum()), int((1 - y).sum())) >= FEWEST_BEATS
    return {
        "record": name,
        "beats": beats,
        "quality": float(rows["signal_quality"].median()),  # type: ignore[arg-type]
        "false_alarm_rate": flagged.pop(NORMAL),
        "sensitivity": flagged,
        "auroc": roc_auc(y, scores) if can_rank else None,
        "average_precision": average_precision(y, scores) if can_rank else None,
    }


def _is_abnormal(rows: pl.DataFrame) -> np.ndarray:
    abnormal: np.ndarray = (rows["beat_class"] != NORMAL).to_numpy().astype(np.int64)
    return abnormal


def _column(model: str) -> str:
    return SCORE if model == DETECTOR else model


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values))


def _in_a_sentence(title: str) -> str:
    """A title with a small letter, where it is no abbreviation."""
    return title if title.split()[0].isupper() else title[0].lower() + title[1:]
