"""Sentiment: what was found out about the model on its test posts. Examples, and how far counts can be trusted."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from apps.dashboard.components.banners import explanation_banner
from apps.dashboard.components.cards import value_cards
from apps.dashboard.components.figures import COLOURS, figure
from apps.dashboard.components.marked import marked_text, marks_legend
from apps.dashboard.components.text import markdown_text
from apps.dashboard.published import Model
from pipelines.social_sentiment.wording import between, marked_pieces, points, post_sentence, share
from shared.publishing.blocks import estimate, interval, show

_GALLERIES = {
    "surest_right": "Surest, and right",
    "surest_wrong": "Surest, and wrong",
    "abstained": "Left to a human",
}


def gallery(model: Model, *, key: str) -> None:
    """Test posts with their words marked, and the words that speak most for each label."""
    document = model.metrics["explanation"]
    known = [name for name in _GALLERIES if document["examples"][name]]
    explanation_banner(model)
    name = st.segmented_control(
        "Posts",
        known,
        default=known[0] if known else None,
        format_func=lambda each: _GALLERIES[each],
        key=f"{key}/which",
    )
    marks_legend()
    for post in document["examples"][name] if name else ():
        marked_text(marked_pieces(post["text"], post["spans"], post["contributions"]))
        st.caption(markdown_text(post_sentence(post)))
    st.markdown("##### Words that speak most for each label")
    st.caption(
        f"Mean contribution in logits over the test posts that were explained; words seen at least "
        f"{document['seen_at_least']} times."
    )
    labels = model.metrics["labels"]
    for column, label in zip(st.columns(min(len(labels), 4)), labels, strict=False):
        with column:
            rows = [
                {label: one["word"], "mean": one["mean"], "posts": one["count"]}
                for one in document["words"][label]
            ]
            if rows:
                st.dataframe(
                    rows,
                    hide_index=True,
                    column_config={"mean": st.column_config.NumberColumn(format="%.2f")},
                )
            else:
                st.text(f"{label}: no word was seen often enough.")


def trust(model: Model, *, key: str) -> None:
    """Shares beside those that people gave, what is left to a human, and how good it is by topic."""
    metrics = model.metrics
    st.markdown("##### Shares of all test posts, beside what people said")
    st.dataframe([_overall(row) for row in metrics["trend"]["overall"]], hide_index=True)
    st.caption(
        "Shares hold while posts of a label are written as they were in calibration: not with a new topic, a new joke "
        "or another platform. Have a sample of recent posts read every few months. Posts are not people."
    )
    _kept(metrics["kept"], metrics["abstention"], key=key)
    _by_topic(metrics["by_topic"])


def _overall(row: Mapping[str, Any]) -> dict[str, str]:
    holds = row["share_low"] <= row["share_labelled"] <= row["share_high"]
    return {
        "label": row["label"],
        "corrected share": share(row["share"]),
        "95 % interval": between(row["share_low"], row["share_high"]),
        "labels counted": share(row["share_counted"]),
        "people said": share(row["share_labelled"]),
        "corrected, error": points(row["share"] - row["share_labelled"]),
        "counted, error": points(row["share_counted"] - row["share_labelled"]),
        "interval holds it": "yes" if holds else "no",
    }


def _kept(kept: Sequence[Mapping[str, float]], abstention: Mapping[str, Any], *, key: str) -> None:
    """What leaving the least sure posts to a human is worth."""
    import plotly.graph_objects as go

    st.markdown("##### What leaving posts to a human is worth")
    value_cards(
        {
            "Left to a human": (share(abstention["abstained"]["value"]), "of posts"),
            "Accuracy of the others": (estimate(abstention["accuracy_kept"]), ""),
        },
        ["at the threshold in use", f"95 % interval {interval(abstention['accuracy_kept'])}"],
    )
    drawing = go.Figure()
    for name, title, colour in (("accuracy", "accuracy", "blue"), ("macro_recall", "macro-recall", "orange")):
        drawing.add_scatter(
            x=[100 * (1 - row["share"]) for row in kept],
            y=[100 * row[name] for row in kept],
            name=title,
            mode="lines+markers",
            line={"color": COLOURS[colour]},
            hovertemplate="%{x:.0f} %: %{y:.1f} %<extra></extra>",
        )
    drawing.add_vline(100 * abstention["abstained"]["value"], line_dash="dot", line_color=COLOURS["grey"])
    figure(
        drawing,
        "The others, when the least sure are left to a human",
        x="posts left to a human in %",
        y="of the others in %",
        key=f"{key}/kept",
        alt="accuracy and macro-recall of the posts that are kept",
    )


def _by_topic(found: Sequence[Mapping[str, Any]]) -> None:
    st.markdown("##### By topic")
    if not found:
        st.text("The test posts have no topics, or too few posts in each.")
        return
    rows = [
        {
            "topic": one["name"],
            "test posts": one["posts"],
            "accuracy": estimate(one["accuracy"]),
            "95 % interval": interval(one["accuracy"]),
        }
        | {f"recall {label}": show(value, 2) for label, value in one["recalls"].items()}
        for one in found
    ]
    st.dataframe(rows, hide_index=True)
