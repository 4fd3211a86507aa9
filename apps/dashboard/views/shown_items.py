"""What a recommender shows to everybody together: coverage, popularity, and who is served how well."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.dashboard.components.cards import value_cards
from apps.dashboard.components.figures import COLOURS, figure
from apps.dashboard.components.results import download, results_table
from apps.dashboard.components.text import escaped
from apps.dashboard.domain import Domain
from apps.dashboard.published import Model
from apps.dashboard.scoring import scorer
from shared.publishing.blocks import estimate, interval, show

if TYPE_CHECKING:
    import polars as pl

_GROUPS = {
    "fewest": "third with the fewest items",
    "middle": "third between them",
    "most": "third with the most items",
}
_SHOWN = {"All items": None, "Shown": True, "Never shown": False}


def lists_of_everybody(domain: Domain[Any], model: Model) -> None:
    """Published coverage, items by popularity and exposure, groups of users."""
    _coverage(model)
    table, num_lists = _exposure(model.digest, domain, model)
    _scatter(table, num_lists, domain.key("exposure"))
    _items(table, domain)
    _groups(model, domain.key("groups"))


def _coverage(model: Model) -> None:
    """Of lists of ten for the test users, beside popularity, which is the plainest way to fill a list."""
    lists = model.metrics["lists"]
    mine, plain = lists[model.metrics["served"]], lists["popularity"]
    tail = model.config["evaluation"]["tail_share"]
    value_cards(
        {
            "Coverage": (f"{mine['coverage']:.1%}", "of the items"),
            "Concentration (Gini)": (show(mine["gini"], 2), "0 to 1"),
            "Long tail": (f"{mine['tail_share']:.1%}", "of what is shown"),
        },
        [
            f"stand in at least one list of ten; with popularity alone {plain['coverage']:.1%}",
            f"0: all shown equally often, 1: a few take everything; popularity {show(plain['gini'], 2)}",
            f"the least popular items with {tail:.0%} of what was taken; popularity {plain['tail_share']:.1%}",
        ],
    )


@st.cache_data(max_entries=8, show_spinner="Making the lists of the training users ...")
def _exposure(digest: str, _domain: Domain[Any], _model: Model) -> "tuple[pl.DataFrame, int]":
    from pipelines.recommender.exposure import exposure

    return exposure(scorer(_domain, _model))


def _scatter(table: "pl.DataFrame", num_lists: int, key: str) -> None:
    import plotly.graph_objects as go

    drawing = go.Figure()
    for words, colour, symbol, own in (
        ("in at least one list", "blue", "circle", table.filter(table["lists"] > 0)),
        ("never shown", "orange", "x", table.filter(table["lists"] == 0)),
    ):
        drawing.add_scatter(
            x=own["users"].to_list(),
            y=(own["lists"] / num_lists).to_list(),
            mode="markers",
            name=f"{words} ({own.height:,})",
            marker={"color": COLOURS[colour], "size": 8, "symbol": symbol, "opacity": 0.75},
            text=[escaped(title) for title in own["title"]],
            hovertemplate="%{text}<br>had by %{x}, in %{y:.1%} of the lists<extra></extra>",
        )
    drawing.update_yaxes(tickformat=".0%", rangemode="tozero")
    drawing.update_xaxes(rangemode="tozero")
    never = int((table["lists"] == 0).sum())
    figure(
        drawing,
        "What is shown beside what was taken",
        x="users who had the item in training",
        y="share of lists that show it",
        key=key,
        height=400,
        alt=f"{table.height - never:,} items are shown in {num_lists:,} lists, {never:,} are in none.",
    )
    st.caption(f"Lists of {num_lists:,} training users, as they are served; a mark is an item.")


def _items(table: "pl.DataFrame", domain: Domain[Any]) -> None:
    import polars as pl

    chosen = st.segmented_control(
        "Items",
        list(_SHOWN),
        default="All items",
        required=True,
        key=domain.key("shown"),
        label_visibility="collapsed",
    )
    wanted = _SHOWN[str(chosen)]
    rows = table if wanted is None else table.filter((pl.col("lists") > 0) == wanted)
    results_table(
        rows.sort("lists", "users", descending=True),
        key=domain.key("items"),
        order=["title", "users", "lists"],
        columns={
            "title": "item",
            "users": st.column_config.NumberColumn("had by", format="localized"),
            "lists": st.column_config.NumberColumn("in lists", format="localized"),
        },
        height=380,
    )
    download(table, "exposure", "Download all items", key=domain.key("exposure-table"))


def _groups(model: Model, key: str) -> None:
    st.markdown("##### Who is served how well")
    rows = [_group_row(group) for group in model.metrics["users"]]
    st.dataframe(rows, hide_index=True, key=key)
    new = model.metrics["fold_in"]
    st.caption(
        f"NDCG@20 on the test part. Users treated as new, of whom the model has the history alone: "
        f"{estimate(new['folded_in'])} ({interval(new['folded_in'])}), against {estimate(new['trained'])} "
        f"({interval(new['trained'])}) for the same users as known ones."
    )


def _group_row(group: Mapping[str, Any]) -> dict[str, Any]:
    metric = group["ndcg_at_20"]
    least, most = group["items"]
    return {
        "users": _GROUPS[group["group"]],
        "items before": f"{least:,} to {most:,}",
        "NDCG@20": estimate(metric),
        "95 % interval": interval(metric),
        "test users": metric["n"],
    }
