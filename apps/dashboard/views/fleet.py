"""The fleet by urgency: how long each machine still runs, between which ends, and what is proposed."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.dashboard.components.figures import COLOURS, bar_height, figure
from apps.dashboard.components.results import results_table
from apps.dashboard.components.text import escaped
from apps.dashboard.published import Model
from shared.publishing.blocks import show

if TYPE_CHECKING:
    import polars as pl

# Action to words, colour and mark: nobody must tell them apart by colour alone.
ACTIONS = {
    "service_now": ("service now", "red", "square"),
    "plan_service": ("plan a service", "orange", "diamond"),
    "run_on": ("run on", "blue", "circle"),
}
_MOST_BARS = 40
# Of the output contract and what is added here; those without any value are left out.
_COLUMNS = (
    "unit_id",
    "action",
    "rul",
    "rul_text",
    "failure_probability",
    "anomaly_score",
    "driven_by",
    "action_reason",
)


def time_text(value: float, cap: float) -> str:
    """A time with as many digits as a forecast up to the cap is worth, as in the pipeline's own words."""
    return show(float(value), max(0, 1 - math.floor(math.log10(cap))))


def fleet_board(model: Model, forecasts: "pl.DataFrame", *, key: str) -> str:
    """Figure and table of forecasts, most urgent first; returns the machine that the user looks at."""
    if forecasts["rul"].null_count() == forecasts.height:
        _anomalies(model, forecasts, f"{key}/figure")
    else:
        _remaining(model, forecasts, f"{key}/figure")
    row = _table(forecasts, key)
    return str(forecasts["unit_id"][row or 0])


def _remaining(model: Model, forecasts: "pl.DataFrame", key: str) -> None:
    import plotly.graph_objects as go

    shown = forecasts.head(_MOST_BARS)
    unit, scale = shown["time_unit"][0], model.metrics["scale"]
    drawing = go.Figure()
    for action, (words, colour, symbol) in ACTIONS.items():
        own = shown.filter(shown["action"] == action)
        ends = own["rul_high"].fill_null(scale["cap"])
        drawing.add_scatter(
            x=own["rul"].to_list(),
            y=[escaped(name) for name in own["unit_id"]],
            mode="markers",
            name=words,
            marker={"color": COLOURS[colour], "symbol": symbol, "size": 10},
            error_x={
                "array": (ends - own["rul"]).to_list(),
                "arrayminus": (own["rul"] - own["rul_low"]).to_list(),
                "thickness": 2,
                "width": 0,
            },
            text=[escaped(reason) for reason in own["action_reason"]],
            hovertemplate="%{y}<br>%{text}<extra></extra>",
        )
    _open_ends(drawing, shown, scale["cap"])
    _thresholds(drawing, model.metrics["policies"]["decision"], scale["cap"])
    _ordered(drawing, shown)
    drawing.update_xaxes(rangemode="tozero")
    figure(
        drawing,
        _board_title(forecasts.height),
        x=f"remaining life, {unit}, with its {model.config['protocol']['coverage']:.0%} interval",
        key=key,
        height=bar_height(shown.height, row=26) + 40,
        alt="; ".join(
            f"{row[0]}: {row[1]}" for row in shown.head(3).select("unit_id", "action_reason").rows()
        ),
    )


def _board_title(num_machines: int) -> str:
    if num_machines > _MOST_BARS:
        return f"The {_MOST_BARS} most urgent of {num_machines:,} machines"
    return "Machines by urgency"


def _open_ends(drawing: Any, shown: "pl.DataFrame", cap: float) -> None:
    own = shown.filter(shown["rul_high"].is_null())
    drawing.add_scatter(
        x=[cap] * own.height,
        y=[escaped(name) for name in own["unit_id"]],
        mode="markers",
        name="upper end open",
        marker={"color": COLOURS["grey"], "symbol": "triangle-right", "size": 9},
        hoverinfo="skip",
    )


def _thresholds(drawing: Any, decision: Mapping[str, float], cap: float) -> None:
    for name, words, anchor in (("threshold", "service now", "right"), ("plan_by", "plan", "left")):
        drawing.add_vline(
            decision[name],
            line={"dash": "dash", "width": 1, "color": COLOURS["grey"]},
            annotation={
                "text": f"{words} ≤ {time_text(decision[name], cap)}",
                "xanchor": anchor,
                "font": {"size": 11},
            },
            annotation_position="top",
        )


def _anomalies(model: Model, forecasts: "pl.DataFrame", key: str) -> None:
    """Without failures to learn from: how unusual each machine is, and the alarm."""
    import plotly.graph_objects as go

    shown = forecasts.head(_MOST_BARS)
    alarm = model.bundle.json("features/scorer.json")["alarm"]
    drawing = go.Figure()
    for action, (words, colour, _) in ACTIONS.items():
        own = shown.filter(shown["action"] == action)
        drawing.add_bar(
            x=own["anomaly_score"].to_list(),
            y=[escaped(name) for name in own["unit_id"]],
            orientation="h",
            name="look at it" if action == "plan_service" else words,
            marker_color=COLOURS[colour],
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    drawing.add_vline(
        alarm["threshold"],
        line={"dash": "dash", "width": 1, "color": COLOURS["grey"]},
        annotation={"text": f"alarm above {show(alarm['threshold'])}", "font": {"size": 11}},
        annotation_position="top",
    )
    _ordered(drawing, shown)
    figure(
        drawing, _board_title(forecasts.height), x="anomaly score, 1 is usual", key=key,
        height=bar_height(shown.height, row=26) + 40,
    )  # fmt: skip


def _ordered(drawing: Any, shown: "pl.DataFrame") -> None:
    """The most urgent machine at the top."""
    order = [escaped(name) for name in shown["unit_id"]]
    drawing.update_yaxes(categoryorder="array", categoryarray=order[::-1], type="category", ticksuffix=" ")


def _table(forecasts: "pl.DataFrame", key: str) -> int | None:
    import polars as pl

    words = {action: text for action, (text, *_) in ACTIONS.items()}
    unit, horizon = forecasts["time_unit"][0], show(float(forecasts["horizon"][0]))
    st.caption(
        "Choose a machine to see its history and what drives its forecast; the most urgent one is shown first."
    )
    shown = forecasts.with_columns(
        action=pl.col("action").replace_strict(words),
        failure_probability=100 * pl.col("failure_probability"),
        driven_by=pl.Series([_driving(text) for text in forecasts["driving_sensors"]], dtype=pl.String),
    )
    return results_table(
        shown,
        key=f"{key}/table",
        order=[name for name in _COLUMNS if shown[name].null_count() < shown.height],
        columns={
            "unit_id": "machine",
            "rul": st.column_config.NumberColumn(f"remaining, {unit}", format="%.0f"),
            "rul_text": "interval",
            "failure_probability": st.column_config.NumberColumn(
                f"fails within {horizon} {unit}", format="%.0f %%"
            ),
            "anomaly_score": st.column_config.NumberColumn("anomaly", format="%.2f", help="1 is usual."),
            "driven_by": st.column_config.TextColumn("driven by", width="medium"),
            "action_reason": st.column_config.TextColumn("why", width="large"),
        },
        choose=True,
        height=360,
    )


def _driving(text: str | None) -> str | None:
    """The driving sensors of the output contract in words, strongest first."""
    if text is None:
        return None
    return ", ".join(f"{each['sensor']} ({each['contribution']:+.3g})" for each in json.loads(text))
