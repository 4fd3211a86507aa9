"""Recommender: one user with reasons and what-if, what everybody is shown, a file of histories, all models."""

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from apps.dashboard.components.banners import part
from apps.dashboard.components.comparison import comparison_chart, comparison_table
from apps.dashboard.components.kept import kept
from apps.dashboard.components.results import results_table
from apps.dashboard.components.text import markdown_text
from apps.dashboard.components.upload import score_upload
from apps.dashboard.domain import Domain
from apps.dashboard.page import open_page, show_views
from apps.dashboard.published import Model
from apps.dashboard.scoring import Scored, scorer
from apps.dashboard.views.one_user import chosen_history, user_case
from apps.dashboard.views.shown_items import lists_of_everybody

if TYPE_CHECKING:
    import polars as pl

    from pipelines.recommender.score import Scorer

_MODELS = {
    "popularity": "popularity",
    "item_knn": "item neighbours",
    "ease": "EASE",
    "ials": "iALS",
    "mf": "matrix factorisation",
    "gmf": "GMF",
    "mlp": "MLP",
    "neumf_scratch": "NeuMF from scratch",
    "neumf": "pre-trained NeuMF",
    "hybrid": "hybrid NeuMF",
}


def _example(model: Model, folder: Path) -> Path:
    """Users of the training as they are, and visitors who had a part of what one of them had."""
    from pipelines.recommender.example import example_histories

    path = folder / "example_histories.csv"
    example_histories(scorer(DOMAIN, model)).write_csv(path)
    return path


DOMAIN: "Domain[Scorer]" = Domain(
    pipeline="recommender",
    titles={
        "test/ndcg_at_20": "NDCG@20",
        "test/recall_at_20": "Recall@20",
        "test/hit_rate_at_10": "Hit rate@10",
        "test/ndcg_at_10": "NDCG@10",
    },
    baselines=_MODELS,
    example=_example,
)


def main() -> None:
    model = open_page(DOMAIN)
    show_views(
        {
            "One user": lambda: _one(model),
            "What is shown": lambda: _shown(model),
            "A file of histories": lambda: _file(model),
            "All models": lambda: _models(model),
        }
    )


@part
def _one(model: Model) -> None:
    recommender = scorer(DOMAIN, model)
    interactions = chosen_history(model, recommender, key=DOMAIN.key("one"))
    user_case(model, recommender, interactions, key=DOMAIN.key("one"))


@part
def _shown(model: Model) -> None:
    lists_of_everybody(DOMAIN, model)


def _file(model: Model) -> None:
    scored = score_upload(DOMAIN, model)
    if scored is None:
        return
    lists = scored.frame()
    st.markdown("##### Recommendations")
    st.caption("Choose a row to see its user.")
    row = results_table(
        lists,
        key=DOMAIN.key("results"),
        order=["user_id", "rank", "item_id", "reason", "fallback", "score"],
        columns={
            "rank": st.column_config.NumberColumn("place", width="small"),
            "user_id": "user",
            "item_id": "item",
            "reason": st.column_config.TextColumn("reason", width="large"),
            "score": st.column_config.NumberColumn("score", format="%.3f"),
        },
        choose=True,
    )
    if row is not None:
        _of_file(model, scored, str(lists["user_id"][row]))


@part
def _of_file(model: Model, scored: Scored, user: str) -> None:
    """One user of the file, with what is known of them from training."""
    import polars as pl

    st.subheader(markdown_text(user), anchor=False)
    recommender = scorer(DOMAIN, model)
    histories = kept(DOMAIN.key("histories"), str(scored.source), lambda: _histories(scored, recommender))
    user_case(model, recommender, histories.filter(pl.col("user_id") == user), key=DOMAIN.key("of-file"))


def _histories(scored: Scored, recommender: "Scorer") -> "pl.DataFrame":
    from pipelines.recommender.one_user import valid_histories

    return valid_histories(scored.source, recommender)


def _models(model: Model) -> None:
    """Is a neural model worth it here? All of them on the same test users."""
    served = _MODELS[model.metrics["served"]]
    comparison_chart(model, "test/ndcg_at_20", "NDCG@20", _MODELS, served=served, key=DOMAIN.key("models"))
    comparison_table(
        model,
        {**DOMAIN.titles, "test/long_tail_share": "share of the long tail"},
        _MODELS,
        served=served,
        key=DOMAIN.key("models-table"),
    )
    st.caption(
        "The same test users for all; 95 % intervals are a bootstrap over them. Which model is served was chosen on "
        "validation data, so another one may do better here by chance."
    )


if __name__ == "__main__":
    main()
