"""Fraud detection: the queue of a day at the analysts' budget, and why each transaction is in it."""

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from apps.dashboard.components.banners import explanation_banner, part
from apps.dashboard.components.figures import COLOURS, bar_height, figure
from apps.dashboard.components.kept import kept
from apps.dashboard.components.upload import score_upload
from apps.dashboard.domain import Domain
from apps.dashboard.page import open_page, show_views
from apps.dashboard.published import Model
from apps.dashboard.scoring import Scored, scorer
from apps.dashboard.views.fraud import budget, queue, transaction_case

if TYPE_CHECKING:
    import polars as pl

    from pipelines.fraud_detection.score import Scorer


def _example(model: Model, folder: Path) -> Path:
    """The last day that the model looks back on: a day as it came in, with the past that belongs to it."""
    import polars as pl

    history = model.frame("features/history.parquet")
    last = history.filter(pl.col("time").dt.date() == history["time"].dt.date().max())
    path = folder / "last_day.csv"
    last.select("transaction_id", "time", "customer_id", "terminal_id", "amount").write_csv(path)
    return path


DOMAIN: "Domain[Scorer]" = Domain(
    pipeline="fraud_detection",
    titles={
        "test/average_precision": "Average precision",
        "test/roc_auc": "ROC-AUC",
        "test/card_precision_at_100": "Card precision@100",
        "test/recall_at_budget": "Recall at the alert budget",
    },
    baselines={
        "autoencoder": "autoencoder without labels",
        "gradient_boosting": "gradient boosting",
        "isolation_forest": "isolation forest",
        "logistic_regression": "logistic regression",
        "mahalanobis": "Mahalanobis",
        "max_z": "largest z-score",
        "pca": "PCA",
    },
    example=_example,
    example_title="the last day of the model's history",
)


def main() -> None:
    model = open_page(DOMAIN)
    show_views(
        {
            "Today's queue": lambda: _queue(model),
            "Alert budget": lambda: _budget(model),
            "What alerts rest on": lambda: _importance(model),
        }
    )


def _queue(model: Model) -> None:
    scored = score_upload(DOMAIN, model)
    if scored is not None:
        _cases(model, scored)


@part
def _cases(model: Model, scored: Scored) -> None:
    served = scorer(DOMAIN, model)
    alerts = budget(model, served, key=DOMAIN.key("alerts"))
    chosen = queue(scored.frame(), served, alerts, key=DOMAIN.key("queue"))
    if chosen is not None:
        valid, features = kept(DOMAIN.key("features"), scored.output, lambda: _features(served, scored))
        row = features.filter(features["transaction_id"] == chosen["transaction_id"][0])[:1]
        transaction_case(model, served, chosen, row, valid, key=DOMAIN.key("case"))


def _features(served: "Scorer", scored: Scored) -> tuple["pl.DataFrame", "pl.DataFrame"]:
    """The transactions of the file that keep the contract, and what the model sees of each."""
    from pipelines.fraud_detection.data import read_to_score
    from pipelines.fraud_detection.score import INPUT_CONTRACT
    from shared.contracts.contract import load
    from shared.contracts.table import check_table

    valid = check_table(read_to_score(scored.source, served.config.data).frame, load(INPUT_CONTRACT)).valid
    return valid, served.features_of(valid)


@part
def _budget(model: Model) -> None:
    budget(model, scorer(DOMAIN, model), key=DOMAIN.key("budget"))


def _importance(model: Model) -> None:
    """Over the test transactions on which the explanations were checked."""
    import plotly.graph_objects as go

    from pipelines.fraud_detection.reasons import title_of

    explanation_banner(model)
    attribution = model.metrics["explanation"]["attribution"]
    ranked = sorted(attribution["importance"].items(), key=lambda item: item[1])
    drawing = go.Figure(
        go.Bar(
            x=[value for _, value in ranked],
            y=[title_of(name) for name, _ in ranked],
            orientation="h",
            marker_color=COLOURS["blue"],
        )
    )
    drawing.update_yaxes(ticksuffix=" ")
    st.caption(
        f"{attribution['rows']} test transactions against {attribution['baseline']}; {attribution['method']}."
    )
    figure(
        drawing, "Mean size of each feature's contribution", x=f"contribution to the score, {attribution['unit']}",
        key=DOMAIN.key("importance"), height=bar_height(len(ranked), row=24), legend=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
