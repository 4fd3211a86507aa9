"""Sentiment: shares and how they change, a list of posts to choose from, one post with its words marked."""

from typing import TYPE_CHECKING

import streamlit as st

from apps.dashboard.components.banners import banner, explanation_banner
from apps.dashboard.components.cards import value_cards
from apps.dashboard.components.figures import COLOURS, bar_height, figure
from apps.dashboard.components.marked import marked_text, marks_legend
from apps.dashboard.components.results import results_table
from apps.dashboard.components.shares import Series, share_forest, share_panels
from apps.dashboard.components.text import escaped, markdown_text
from apps.dashboard.published import Model
from pipelines.social_sentiment.wording import ALL_POSTS, between, move_sentence, number, share
from shared.publishing.blocks import Kind, show

if TYPE_CHECKING:
    import polars as pl

    from pipelines.social_sentiment.reading import Reading

_MOST_CARDS = 6
_MOST_TOPICS = 5
_FEWEST_PERIODS = 4


def shares_overview(shares: "pl.DataFrame", labels: list[str], *, key: str) -> None:
    """All posts together, each topic, and each over time; shares: see `periods.shares_by_period`."""
    import polars as pl

    from pipelines.social_sentiment.periods import says_little

    whole = shares.filter(pl.col("period") == "whole")
    _cards(whole.filter(pl.col("topic").is_null()))
    if says_little(whole):
        banner(
            "warning", "The intervals are so wide that these shares say little: train on more labelled posts."
        )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        label = st.segmented_control(
            "Share of",
            labels,
            default=labels[0],
            required=True,
            format_func=markdown_text,
            key=f"{key}/label",
        )
        periods = _periods(shares)
        period = _asked_period(periods, key=key) if periods else None
    of_label = shares.filter(pl.col("label") == label)
    groups = _by_topic(of_label.filter(pl.col("period") == "whole"))
    share_forest(groups, f"Share of {label} posts by topic, in all", key=f"{key}/forest")
    if not period:
        st.text("No trend: the posts have no time, or all lie in one day.")
        return
    over_time = of_label.filter(pl.col("period") == period)
    _moves(over_time, str(label), period)
    _panels(over_time, [each.name for each in groups], f"Share of {label} posts by {period}", key=key)


def _cards(rows: "pl.DataFrame") -> None:
    shown = rows.sort("share", descending=True).head(_MOST_CARDS).iter_rows(named=True)
    cards = {row["label"]: row for row in shown}
    value_cards(
        {name: (share(row["share"]), "of posts") for name, row in cards.items()},
        [
            f"95 % interval {between(row['share_low'], row['share_high'])}; counted {share(row['share_counted'])}"
            for row in cards.values()
        ],
    )


def _periods(shares: "pl.DataFrame") -> dict[str, int]:
    """Those by which there is a change to see, with their number."""
    import polars as pl

    known = dict(shares.group_by("period").agg(pl.col("begins").n_unique()).iter_rows())
    return {name: known[name] for name in ("day", "week", "month") if known.get(name, 0) > 1}


def _asked_period(periods: dict[str, int], *, key: str) -> str:
    usual = _usual(periods)
    return (
        st.segmented_control("By", list(periods), default=usual, required=True, key=f"{key}/period") or usual
    )


def _usual(periods: dict[str, int]) -> str:
    """The longest of which there are some: their intervals are the narrowest."""
    return next(
        (name for name in ("month", "week") if periods.get(name, 0) >= _FEWEST_PERIODS), next(iter(periods))
    )


def _by_topic(rows: "pl.DataFrame") -> list[Series]:
    """All posts first, then the topics, those with most posts first."""
    import polars as pl

    size = pl.col("num_posts").sum().over("topic")
    ordered = rows.sort(
        pl.col("topic").is_null(), size, "topic", "begins", descending=[True, True, False, False]
    )
    return [
        Series(ALL_POSTS if topic is None else topic, own)
        for (topic,), own in ordered.group_by("topic", maintain_order=True)
    ]


def _moves(rows: "pl.DataFrame", label: str, period: str) -> None:
    from pipelines.social_sentiment.periods import moved

    found = moved(rows)
    if not found:
        banner(
            "neutral",
            f"Between the first and the last {period} no topic's share of {label} posts moved outside noise.",
        )
        return
    lines = [move_sentence(move, label) for move in found[:_MOST_TOPICS]]
    banner("warning", "\n".join([f"Moved outside noise between the first and the last {period}:", *lines]))


def _panels(rows: "pl.DataFrame", names: list[str], title: str, *, key: str) -> None:
    chosen = names
    if len(names) > _MOST_TOPICS + 1:
        chosen = st.multiselect("Topics", names, default=names[: _MOST_TOPICS + 1], key=f"{key}/topics")
    series = {each.name: each for each in _by_topic(rows)}
    drawn = [series[name] for name in chosen if name in series]
    if drawn:
        share_panels(drawn, title, key=f"{key}/panels")


def choose_post(posts: "pl.DataFrame", labels: list[str], *, key: str) -> str | None:
    """A list of posts, filtered; returns the text of the chosen one. posts: see `reading.posts_beside`."""
    import polars as pl

    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        label = st.segmented_control("Label", labels, format_func=markdown_text, key=f"{key}/label")
        topics = posts["topic"].drop_nulls().unique().sort().to_list()
        topic = (
            st.selectbox("Topic", topics, index=None, placeholder="all", key=f"{key}/topic", width=220)
            if topics
            else None
        )
        human = st.toggle("Only those left to a human", key=f"{key}/human")
    wanted = [
        *([pl.col("label") == label] if label else []),
        *([pl.col("topic") == topic] if topic else []),
        *([pl.col("to_a_human")] if human else []),
    ]
    shown = (posts.filter(*wanted) if wanted else posts).sort(
        "probability", descending=True, maintain_order=True
    )
    st.caption(f"{shown.height:,} of {posts.height:,} posts, the surest first. Choose one to see its words.")
    row = results_table(
        shown,
        key=f"{key}/table",
        columns={
            "text": st.column_config.TextColumn(width="large"),
            "probability": st.column_config.NumberColumn(format="%.2f"),
            "to_a_human": st.column_config.CheckboxColumn("to a human"),
            "deciding_words": st.column_config.TextColumn("deciding words"),
            "time": st.column_config.DatetimeColumn("time (UTC)", format="YYYY-MM-DD HH:mm"),
        },
        order=[
            name for name in shown.columns if name != "post_id" and shown[name].null_count() < shown.height
        ],
        choose=True,
    )
    return None if row is None else str(shown["text"][row])


def reading_card(model: Model, reading: "Reading", *, key: str) -> None:
    """The label of one post, how sure it is, and its words marked."""
    kind: Kind = "warning" if reading.abstains else "neutral"
    said = f"Read as {reading.label}, with probability {show(reading.probabilities[reading.label], 2)}."
    banner(kind, f"{said} Not sure enough: a person should read it." if reading.abstains else said)
    explanation_banner(model)
    left, right = st.columns([3, 2], gap="large")
    with left:
        marked_text(reading.pieces)
        marks_legend()
        words = " · ".join(reading.deciding) or "none"
        st.text(
            f"Deciding words: {words}\nMargin of the label over the others: {number(reading.base)} without words, "
            f"{number(reading.output)} with them (logits). Users and links are read as placeholders."
        )
    with right:
        _probabilities(reading, key=key)


def _probabilities(reading: "Reading", *, key: str) -> None:
    import plotly.graph_objects as go

    names = [escaped(label) for label in reading.probabilities]
    values = list(reading.probabilities.values())
    colours = [
        COLOURS["blue"] if label == reading.label else COLOURS["grey"] for label in reading.probabilities
    ]
    drawing = go.Figure(
        go.Bar(
            x=values, y=names, orientation="h", marker_color=colours, text=[show(value, 2) for value in values],
            textposition="outside", cliponaxis=False, hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
    )  # fmt: skip
    drawing.update_xaxes(range=[0, 1.1], tickvals=[0, 0.5, 1])
    drawing.update_yaxes(autorange="reversed", ticksuffix=" ")
    figure(
        drawing, "How sure it is", x="calibrated probability", key=f"{key}/probabilities", legend=False,
        height=bar_height(len(names), row=34), alt=f"{reading.label} {show(reading.probabilities[reading.label], 2)}",
    )  # fmt: skip
