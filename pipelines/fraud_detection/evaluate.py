"""The protocol: every fold is fitted anew and tested once, with the baselines on the same rows.

Reported are means over folds; intervals and paired differences come from drawing whole days of each fold. Transactions
of which it is not known whether they were fraud are left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from pipelines.fraud_detection.baselines import SUPERVISED, UNSUPERVISED, fit_baselines
from pipelines.fraud_detection.config import FraudConfig
from pipelines.fraud_detection.metrics import (
    CARDS_A_DAY,
    DailyValues,
    card_precision_at_k,
    ranks_of_day,
    recall_at_budget,
)
from pipelines.fraud_detection.over_folds import NO_LABELS, OverFolds
from pipelines.fraud_detection.score import Scorer
from shared.evaluation.binary import average_precision, roc_auc
from shared.evaluation.means import Means
from shared.evaluation.metric import Metric, undefined
from shared.evaluation.verdict import Verdict, verdict

AUTOENCODER, SEQUENCE, HEAD = "autoencoder", "sequence_autoencoder", "head"
TITLES = {
    HEAD: "Network with labels",
    AUTOENCODER: "Autoencoder",
    SEQUENCE: "Sequence autoencoder",
    **SUPERVISED,
    **UNSUPERVISED,
}
CARD_PRECISION, RECALL = "card_precision_at_100", "recall_at_budget"
_FACTS = ("transaction_id", "time", "customer_id", "amount", "is_fraud")


def served_of(*, with_head: bool) -> str:
    """The model that is served: the head where there are labels to train it."""
    return HEAD if with_head else AUTOENCODER


def predict_fold(
    scorer: Scorer,
    training: pl.DataFrame,
    test: pl.DataFrame,
    number: int,
    *,
    with_head: bool,
    sequence_scores: np.ndarray | None = None,
) -> pl.DataFrame:
    """Scores of every model for the test of a fold: number of the fold, facts, one column for each model.

    sequence_scores: those of the sequence autoencoder, where there is one.
    """
    scores = {HEAD: scorer.scores(test)} if with_head else {}
    scores[AUTOENCODER] = scorer.anomalies(test)
    if sequence_scores is not None:
        scores[SEQUENCE] = sequence_scores
    fitted = fit_baselines(training, scorer.scaling.names, scorer.config, supervised=with_head)
    scores |= {name: score(test) for name, score in fitted.items()}
    columns = [pl.Series(name, scores[name]) for name in TITLES if name in scores]
    return test.select(pl.lit(number).alias("fold"), *_FACTS).with_columns(columns)


def models_in(table: pl.DataFrame) -> list[str]:
    """The models with scores in a table, the served one first."""
    return [name for name in TITLES if name in table.columns]


def daily_table(table: pl.DataFrame, alerts_per_day: int) -> pl.DataFrame:
    """Values of each test day: fold, day, `model/card_precision_at_100`, and `model/recall_at_budget`, which is null on
    days without a fraud."""
    parts = []
    for (fold,), rows in table.group_by("fold", maintain_order=True):
        y = rows["is_fraud"].to_numpy()
        days = rows.select(day=pl.col("time").dt.truncate("1d")).unique().sort("day")
        part = days.with_columns(fold=pl.lit(fold))
        for model in models_in(table):
            scores = rows[model].to_numpy()
            cards = card_precision_at_k(rows["time"], rows["customer_id"], scores, y)
            found = recall_at_budget(rows["time"], scores, y, alerts_per_day)
            part = part.join(_as_frame(cards, f"{model}/{CARD_PRECISION}"), on="day", how="left")
            part = part.join(_as_frame(found, f"{model}/{RECALL}"), on="day", how="left")
        parts.append(part)
    return (
        pl.concat(parts)
        if parts
        else pl.DataFrame(schema={"day": pl.Datetime("us", "UTC"), "fold": pl.Int32})
    )


def _as_frame(found: DailyValues, name: str) -> pl.DataFrame:
    days = pl.Series("day", found.days, dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame([days, pl.Series(name, found.values, dtype=pl.Float64)])


class TestResults:
    """All metrics of all models on the test transactions of all folds.

    table: as `predict_fold` gives it, all folds below each other.
    """

    __test__ = False

    def __init__(self, table: pl.DataFrame, config: FraudConfig) -> None:
        self.models = models_in(table)
        known = table.filter(pl.col("is_fraud").is_not_null())
        settings = {"num_replicates": config.evaluation.num_bootstraps, "seed": config.seed}
        self.binary = {
            statistic.name: OverFolds.of(known, self.models, statistic, **settings)
            for statistic in (average_precision, roc_auc)
        }
        self.daily = daily_table(known, config.decision.alerts_per_day)
        self._means = {name: self._daily_means(name, settings) for name in (CARD_PRECISION, RECALL)}

    def _daily_means(self, name: str, settings: Mapping[str, int]) -> Means | None:
        columns = [f"{model}/{name}" for model in self.models]
        if self.daily.is_empty():
            return None
        values = self.daily.select(columns).drop_nulls()
        return Means({column: values[column] for column in columns}, **settings)

    def metrics(self, model: str) -> dict[str, Metric]:
        """`test/...` metrics of a model."""
        found = {f"test/{name}": over.metric(model, f"test/{name}") for name, over in self.binary.items()}
        for name, means in self._means.items():
            if means is None:
                found[f"test/{name}"] = undefined(f"test/{name}", NO_LABELS)
            else:
                found[f"test/{name}"] = means.metric(f"{model}/{name}", f"test/{name}")
        return found

    def per_fold(self) -> list[dict[str, Any]]:
        """Values of each fold: model -> metric -> value."""
        num_folds = len(next(iter(self.binary["roc_auc"].values.values())))
        cards = self.daily.group_by("fold", maintain_order=True).mean()
        return [
            {
                model: {name: float(over.values[model][fold]) for name, over in self.binary.items()}
                | {CARD_PRECISION: cards[f"{model}/{CARD_PRECISION}"][fold]}
                for model in self.models
            }
            for fold in range(num_folds)
        ]

    def judge(self, model: str, rivals: Sequence[str]) -> tuple[Verdict, dict[str, Any]]:
        """The verdict on a model against the strongest of its rivals that were tested, and its differences to all."""
        over = self.binary["average_precision"]
        rivals = [rival for rival in rivals if rival in self.models]
        compared = {rival: over.compare(model, rival) for rival in rivals}
        strongest = max(
            rivals, key=lambda rival: np.nan_to_num(self.metrics(rival)["test/average_precision"].value)
        )
        judged = verdict(
            f"The {in_a_sentence(model)}",
            self.metrics(model)["test/average_precision"],
            {strongest: compared[strongest]},
            baseline_names={rival: in_a_sentence(rival) for rival in rivals},
        )
        return judged, {rival: comparison.to_json() for rival, comparison in compared.items()}


def in_a_sentence(model: str) -> str:
    """The title of a model with a small letter, where it is no name."""
    title = TITLES[model]
    return title if title.split()[0] in ("Mahalanobis", "PCA") else title[0].lower() + title[1:]


def evaluation_document(
    table: pl.DataFrame, config: FraudConfig, *, with_head: bool
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Everything that report, card, gate and summary say about the numbers, as plain values; and the table of days."""
    results = TestResults(table, config)
    served = served_of(with_head=with_head)
    unsupervised, compared = results.judge(AUTOENCODER, [SEQUENCE, *UNSUPERVISED])
    sentences = [unsupervised.sentence]
    comparisons = {AUTOENCODER: compared}
    judged = unsupervised
    if with_head:
        judged, comparisons[HEAD] = results.judge(HEAD, [*SUPERVISED, AUTOENCODER, SEQUENCE, *UNSUPERVISED])
        sentences.insert(0, judged.sentence)
    document = {
        "served": served,
        "metrics": {
            model: {name: metric.to_json() for name, metric in results.metrics(model).items()}
            for model in results.models
        },
        "per_fold": results.per_fold(),
        "comparisons": comparisons,
        "verdict": judged.to_json() | {"sentence": " ".join(sentences)},
        "unsupervised_verdict": unsupervised.to_json(),
        "cards_a_day": CARDS_A_DAY,
        "alerts": alerts_on_test(table, served, config),
    }
    return document, results.daily


def alerts_on_test(table: pl.DataFrame, served: str, config: FraudConfig) -> dict[str, float] | None:
    """What the budget buys on the test: alerts and frauds a day, the share of alerts that are frauds."""
    known = table.filter(pl.col("is_fraud").is_not_null())
    if known.is_empty():
        return None
    ranked = pl.concat(
        [
            rows.with_columns(rank=pl.Series(ranks_of_day(rows["time"], rows[served].to_numpy())))
            for _, rows in known.group_by("fold", maintain_order=True)
        ]
    )
    alerts = ranked.filter(pl.col("rank") <= config.decision.alerts_per_day)
    days = known["time"].dt.date().n_unique()
    return {
        "days": days,
        "alerts_per_day": alerts.height / days,
        "frauds_per_day": float(known["is_fraud"].sum()) / days,
        "share_that_are_frauds": float(alerts["is_fraud"].mean()),  # type: ignore[arg-type]
    }
