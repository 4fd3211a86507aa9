"""What a run published about single test cases, referral and Grad-CAM: how far masks and maps can be trusted."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from apps.dashboard.components.banners import explanation_banner
from apps.dashboard.components.figures import COLOURS, figure
from apps.dashboard.published import Model
from shared.publishing.blocks import estimate, interval, show

_RESULTS = "test_results.parquet"
_BINS = {"start": 0.0, "end": 1.0001, "size": 0.05}


def single_cases(model: Model, *, key: str) -> None:
    """How many test cases have which Dice: the mean hides the single case."""
    import plotly.graph_objects as go

    dice = model.frame(_RESULTS)["value"]
    drawing = go.Figure()
    drawing.add_histogram(
        x=dice,
        xbins=_BINS,
        marker_color=COLOURS["blue"],
        hovertemplate="Dice %{x}: %{y} cases<extra></extra>",
    )
    mean = model.summary.metrics["test/dice"].value
    if mean is not None:
        drawing.add_vline(
            mean, line_width=1.5, line_color=COLOURS["orange"], annotation_text=f" mean {show(mean)}"
        )
    drawing.update_xaxes(range=[0, 1])
    drawing.update_layout(bargap=0.06)
    figure(
        drawing,
        "Dice of single test cases",
        x="Dice of a case (1 is perfect)",
        y="cases",
        key=key,
        height=320,
        legend=False,
        alt=f"Histogram of the Dice of {len(dice)} test cases",
    )


def referral(model: Model, *, key: str) -> None:
    """Dice of the cases that are kept when the least sure go to a human."""
    import plotly.graph_objects as go

    curve = model.metrics["referral"]
    if not curve:
        st.text("No test case shows a structure.")
        return
    share = [100 * point["share"] for point in curve]
    drawing = go.Figure()
    for name, words, colour, dash in (
        ("dice", "least sure first", "blue", "solid"),
        ("best", "best possible order", "green", "dash"),
        ("random", "any order", "grey", "dot"),
    ):
        drawing.add_scatter(
            x=share,
            y=[point[name] for point in curve],
            mode="lines",
            name=words,
            line={"color": COLOURS[colour], "dash": dash, "width": 2.5 if name == "dice" else 1.6},
            hovertemplate="%{x:.0f} % referred: Dice %{y:.3f}<extra>" + words + "</extra>",
        )
    metrics = model.summary.metrics
    referred, kept = metrics["test/referred"].value, metrics["test/dice_kept"].value
    if referred is not None and kept is not None:
        drawing.add_scatter(
            x=[100 * referred],
            y=[kept],
            mode="markers",
            name="threshold in use",
            marker={"color": COLOURS["orange"], "size": 12},
            hovertemplate="threshold in use: %{x:.0f} % referred, Dice %{y:.3f}<extra></extra>",
        )
    title = "Mean Dice of the cases that are kept"
    figure(
        drawing,
        title,
        x="test cases referred to a human, %",
        y="mean Dice of the others",
        key=key,
        height=320,
    )


def structures(model: Model, *, key: str) -> None:
    """Dice and distance of outlines by structure."""
    unit = model.metrics["length_unit"]
    rows = []
    for name, facts in model.metrics["per_structure"].items():
        network = facts["dice"][model.metrics["served"]]
        rows.append(
            {
                "structure": name,
                "test cases": facts["cases"],
                "Dice": _cell(network),
                f"Hausdorff distance, 95 %, {unit}": _cell(facts["hd95"]),
            }
        )
    st.dataframe(rows, hide_index=True, key=key)


def explanation_checks(model: Model) -> None:
    """What the published checks say of the maps."""
    explanation_banner(model)
    document = model.metrics["explanation"]
    faithfulness = document["attribution"]["faithfulness"]
    if faithfulness is None:
        return
    unit = document["attribution"]["unit"]
    lines = [
        _gain(
            f"Removing the cells that the map calls strongest, on {document['cases']} test cases,",
            faithfulness,
            unit,
        )
    ]
    alone = document["others"].get("mask_alone")
    if alone:
        lines.append(_gain("In the order of the found mask alone, which costs nothing, it", alone, unit))
    drawn = document["inside"]["drawn"]
    if drawn:
        lines.append(
            f"{100 * drawn['share']:.0f} % of the map lies inside what a person drew, which takes "
            f"{100 * drawn['of_image']:.0f} % of the image."
        )
    for line in lines:
        st.markdown(f"- {line}")


def _gain(words: str, checks: Mapping[str, Any], unit: str) -> str:
    gain = checks["deletion_gain"]
    between = f"{show(gain['low'], 2)} to {show(gain['high'], 2)}"
    return f"{words} lowers the {unit} by {show(gain['value'], 2)} more than a random order ({between})."


def _cell(metric: Mapping[str, Any]) -> str:
    between = interval(metric)
    return f"{estimate(metric)} ({between})" if between else estimate(metric)
