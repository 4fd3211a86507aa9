"""The protocol: test posts are judged once, by models that have seen neither them nor copies of them.

The headline is the macro-recall of TweetEval: the mean of the recalls of the labels, which always naming one label
brings to 1 / K. Intervals draw posts anew, near-copies together.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from pipelines.social_sentiment.baselines import TITLES as BASELINES
from pipelines.social_sentiment.classes import (
    ClassResults,
    ClassStatistic,
    accuracy,
    confusion_matrix,
    f1_of,
    macro_f1,
    macro_recall,
    recall_of,
    recalls,
)
from pipelines.social_sentiment.config import SentimentConfig
from pipelines.social_sentiment.predictions import NETWORK, SEED
from shared.evaluation.binary import ece_noise_floor, ece_statistic
from shared.evaluation.bootstrap import metric_with_interval
from shared.evaluation.metric import Metric
from shared.evaluation.reliability import calibration_table
from shared.evaluation.verdict import Verdict, verdict

TITLES = {NETWORK: "Transformer", **BASELINES}
HEADLINES = {"macro_recall": True, "macro_f1": True, "accuracy": True, "ece": False}
_STATISTICS: dict[str, ClassStatistic] = {
    "macro_recall": macro_recall,
    "macro_f1": macro_f1,
    "accuracy": accuracy,
}
_KEPT = tuple(round(1 - 0.05 * step, 2) for step in range(13))
_FEWEST_POSTS = 30


class TestResults:
    """All metrics on the test posts; table: see `predictions.predict_test`. labels: names, in their order."""

    __test__ = False

    def __init__(self, table: pl.DataFrame, labels: Sequence[str], config: SentimentConfig) -> None:
        self.table, self.labels = table, tuple(labels)
        self.models = [name for name in TITLES if name in table.columns]
        self.seeds = [name for name in table.columns if name.startswith(SEED)]
        self.settings: dict[str, Any] = {
            "num_replicates": config.evaluation.num_bootstraps,
            "seed": config.seed,
        }
        said = [*self.models, *self.seeds, "adapted", "likeliest"]
        self.results = self._of(table, said)

    def metrics(self, model: str) -> dict[str, Metric]:
        """`test/...` metrics of a model: averages, recall and F1 of each label, calibration error."""
        found = [
            self.results.metric(model, statistic, f"test/{name}") for name, statistic in _STATISTICS.items()
        ]
        for number, label in enumerate(self.labels):
            found.append(self.results.metric(model, recall_of(number), f"test/recall_{label}"))
            found.append(self.results.metric(model, f1_of(number), f"test/f1_{label}"))
        likeliest = "likeliest" if model == NETWORK else model
        found.append(self._ece(likeliest, f"sure_{model}", "test/ece"))
        return {metric.name: metric for metric in found}

    def judge(self) -> tuple[Verdict, dict[str, dict[str, Any]]]:
        """The network against its strongest rival by macro-recall, and all differences."""
        compared = {
            name: {rival: self.results.compare(NETWORK, rival, statistic, name) for rival in self.models[1:]}
            for name, statistic in _STATISTICS.items()
        }
        judged = verdict(
            "The transformer",
            self.metrics(NETWORK)["test/macro_recall"],
            compared["macro_recall"],
            metric_label="macro-recall",
            baseline_names={name: _in_a_sentence(title) for name, title in BASELINES.items()},
        )
        return judged, {
            name: {rival: one.to_json() for rival, one in rivals.items()} for name, rivals in compared.items()
        }

    def over_seeds(self) -> dict[str, Any]:
        """Macro-recall of networks of other seeds, beside the served one: mean, standard deviation, and each."""
        found = {name: float(macro_recall(self.results.confusion(name))) for name in (NETWORK, *self.seeds)}
        values = np.array(list(found.values()))
        spread = float(values.std(ddof=1)) if len(values) > 1 else None
        return {"macro_recall": found, "mean": float(values.mean()), "standard_deviation": spread}

    def shift(self, prior: np.ndarray) -> dict[str, Any]:
        """Accuracy, macro-recall and calibration error before and after the correction for the shares in the test.

        Before: the likeliest label where labels are as often as in calibration, `prior` (K,).
        """
        before = self._of_labels("likeliest", f"sure_{NETWORK}")
        after = self._of_labels("adapted", "sure_adapted")
        share = np.bincount(self.table["truth"].to_numpy(), minlength=len(self.labels)) / self.table.height
        compared = self.results.compare("adapted", "likeliest", accuracy, "accuracy")
        return {
            "prior": dict(zip(self.labels, prior.tolist(), strict=True)),
            "test": dict(zip(self.labels, share.tolist(), strict=True)),
            "distance": float(0.5 * np.abs(prior - share).sum()),
            "before": before,
            "after": after,
            "accuracy_gain": compared.to_json(),
        }

    def kept(self) -> list[dict[str, float]]:
        """Accuracy and macro-recall of the posts that are kept when the least sure are left to a human; beside it a
        random order."""
        ordered = self.table.sort("sureness", descending=True, maintain_order=True)
        truth, said = ordered["truth"].to_numpy(), ordered[NETWORK].to_numpy()
        rows = []
        for share in _KEPT:
            num = max(1, round(share * len(truth)))
            confusion = confusion_matrix(truth[:num], said[:num], len(self.labels))
            rows.append(
                {
                    "share": share,
                    "accuracy": float(accuracy(confusion)),
                    "macro_recall": float(macro_recall(confusion)),
                    "random": float((truth == said).mean()),
                }
            )
        return rows

    def abstention(self) -> dict[str, Metric]:
        """At the threshold that was fixed before: share of posts left to a human, and what holds of the others."""
        abstains = self.table["abstains"].to_numpy()
        share = metric_with_interval(
            "test/abstained",
            lambda column: float(np.mean(column)),
            abstains.astype(np.float64),
            groups=self.table["group"].to_numpy(),
            higher_is_better=False,
            **self.settings,
        )
        kept = self._of(self.table.filter(~pl.col("abstains")), [NETWORK])
        return {
            "abstained": share,
            "accuracy_kept": kept.metric(NETWORK, accuracy, "test/accuracy_kept"),
            "macro_recall_kept": kept.metric(NETWORK, macro_recall, "test/macro_recall_kept"),
        }

    def slices(self, column: str) -> list[dict[str, Any]]:
        """Macro-recall, accuracy and shares of the labels by topic or year, for those with enough posts."""
        return list(self._slices(column))

    def reliability(self) -> list[dict[str, Any]]:
        """How often the likeliest label was right, by its probability."""
        right = (self.table["truth"] == self.table["likeliest"]).to_numpy()
        table = calibration_table(right.astype(np.int64), self.table[f"sure_{NETWORK}"].to_numpy())
        return [one.to_json() for one in table]

    def _slices(self, column: str) -> Iterator[dict[str, Any]]:
        if column not in self.table.columns:
            return
        key = pl.col("time").dt.year() if column == "time" else pl.col(column)
        for (name,), rows in self.table.group_by(key.alias("slice"), maintain_order=True):
            if name is None or rows.height < _FEWEST_POSTS:
                continue
            found = self._of(rows, [NETWORK])
            share = np.bincount(rows["truth"].to_numpy(), minlength=len(self.labels)) / rows.height
            yield {
                "name": str(name),
                "posts": rows.height,
                "macro_recall": found.metric(NETWORK, macro_recall, "test/macro_recall").to_json(),
                "accuracy": found.metric(NETWORK, accuracy, "test/accuracy").to_json(),
                "shares": dict(zip(self.labels, share.tolist(), strict=True)),
                "recalls": dict(zip(self.labels, recalls(found.confusion(NETWORK)).tolist(), strict=True)),
            }

    def _of(self, table: pl.DataFrame, models: Sequence[str]) -> ClassResults:
        return ClassResults(
            table["truth"].to_numpy(),
            {name: table[name].to_numpy() for name in models},
            len(self.labels),
            groups=table["group"].to_numpy(),
            **self.settings,
        )

    def _of_labels(self, column: str, sure: str) -> dict[str, Any]:
        found = {
            "accuracy": self.results.metric(column, accuracy, "test/accuracy"),
            "macro_recall": self.results.metric(column, macro_recall, "test/macro_recall"),
            "ece": self._ece(column, sure, "test/ece"),
        }
        return {name: metric.to_json() for name, metric in found.items()}

    def _ece(self, said: str, sure: str, name: str) -> Metric:
        right = (self.table["truth"] == self.table[said]).to_numpy().astype(np.int64)
        return metric_with_interval(
            name,
            ece_statistic(),
            right,
            self.table[sure].to_numpy(),
            groups=self.table["group"].to_numpy(),
            bounds=(0.0, 1.0),
            method="basic",
            **self.settings,
        )


def evaluation_document(
    table: pl.DataFrame, labels: Sequence[str], prior: np.ndarray, config: SentimentConfig
) -> dict[str, Any]:
    """Everything measured on the test posts, as plain values. prior: (K,), shares of the labels in calibration."""
    found = TestResults(table, labels, config)
    judged, compared = found.judge()
    sure = table[f"sure_{NETWORK}"].to_numpy()
    return {
        "metrics": {
            model: {name: metric.to_json() for name, metric in found.metrics(model).items()}
            for model in found.models
        },
        "labels": list(labels),
        "verdict": judged.to_json(),
        "compared": compared,
        "seeds": found.over_seeds(),
        "confusion": {model: found.results.confusion(model).astype(int).tolist() for model in found.models},
        "shift": found.shift(prior),
        "kept": found.kept(),
        "abstention": {name: metric.to_json() for name, metric in found.abstention().items()},
        "reliability": found.reliability(),
        "ece_noise_floor": ece_noise_floor(sure),
        "by_topic": found.slices("topic"),
        "by_year": found.slices("time"),
        "counts": {
            "posts": table.height,
            "groups": table["group"].n_unique(),
            "labels": {label: int((table["truth"] == number).sum()) for number, label in enumerate(labels)},
        },
    }


def _in_a_sentence(title: str) -> str:
    keep = title[:2].isupper() or title.startswith("TF")
    return title if keep else f"the {title[0].lower()}{title[1:]}"
