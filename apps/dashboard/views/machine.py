"""One machine: what was forecast over its time, how its sensors moved, and which of them drive the forecast."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.dashboard.components.attribution import Part, attribution_chart
from apps.dashboard.components.figures import COLOURS, figure
from apps.dashboard.components.text import escaped, markdown_text
from apps.dashboard.published import Model
from apps.dashboard.views.fleet import time_text
from shared.publishing.blocks import show

if TYPE_CHECKING:
    from pipelines.predictive_maintenance.timeline import Timeline

_DRIVING = 3
_SERIES = ("blue", "orange", "green", "purple", "red", "grey")


def machine_case(
    model: Model,
    forecast: Mapping[str, Any],
    life: "Timeline",
    contributions: Mapping[str, float] | None,
    *,
    key: str,
) -> None:
    """Everything about one machine.

    forecast: its row of the output contract. contributions: of each channel to what is explained; None where nothing
    was explained.
    """
    st.subheader(markdown_text(str(forecast["unit_id"])), anchor=False)
    st.text(str(forecast["action_reason"]))
    unit = str(forecast["time_unit"])
    _drivers(model, life, contributions, unit, f"{key}/drivers")
    if "forecast" in life.forecasts.columns:
        _forecast_over_time(model, life, unit, f"{key}/forecast")
    _sensors_over_time(life, contributions or {}, unit, key)
    _anomaly_over_time(life, unit, f"{key}/anomaly")


def _forecast_over_time(model: Model, life: "Timeline", unit: str, key: str) -> None:
    import plotly.graph_objects as go

    table, cap = life.forecasts, model.metrics["scale"]["cap"]
    time, ends = table["time"].to_list(), table["high"].fill_nan(cap).fill_null(cap).to_list()
    coverage = f"{model.config['protocol']['coverage']:.0%} interval"
    drawing = go.Figure()
    drawing.add_scatter(x=time, y=ends, mode="lines", line_width=0, showlegend=False, hoverinfo="skip")
    drawing.add_scatter(
        x=time, y=table["low"].to_list(), mode="lines", line_width=0, fill="tonexty", name=coverage,
        fillcolor="rgba(47, 127, 193, 0.2)", hoverinfo="skip",
    )  # fmt: skip
    drawing.add_scatter(
        x=time,
        y=table["forecast"].to_list(),
        mode="lines",
        name="forecast",
        line={"color": COLOURS["blue"], "width": 2},
        hovertemplate=f"at %{{x:,.0f}}: about %{{y:,.0f}} {unit} left<extra></extra>",
    )
    decision = model.metrics["policies"]["decision"]
    for value, words in ((decision["threshold"], "service now"), (decision["plan_by"], "plan")):
        drawing.add_hline(
            value,
            line={"dash": "dash", "width": 1, "color": COLOURS["grey"]},
            annotation={"text": words, "font": {"size": 11}},
            annotation_position="bottom left",
        )
    _failures(drawing, life)
    drawing.update_yaxes(range=[0, 1.05 * cap])
    last = table.row(-1, named=True)
    figure(
        drawing,
        "Forecast at each reading",
        x=f"time of the machine, {unit}",
        y=f"remaining life, {unit}",
        key=key,
        height=330,
        alt=f"Last forecast: about {time_text(last['forecast'], cap)} {unit} left.",
    )
    st.caption(
        f"Forecasts end at {time_text(cap, cap)} {unit}: beyond it they say only that failure is not near."
    )


def _anomaly_over_time(life: "Timeline", unit: str, key: str) -> None:
    import plotly.graph_objects as go

    table = life.forecasts
    drawing = go.Figure()
    drawing.add_scatter(
        x=table["time"].to_list(),
        y=table["anomaly_score"].to_list(),
        mode="lines",
        line={"color": COLOURS["purple"], "width": 2},
        hovertemplate="at %{x:,.0f}: %{y:.2f}<extra></extra>",
    )
    drawing.add_hline(1.0, line={"dash": "dot", "width": 1, "color": COLOURS["grey"]})
    _failures(drawing, life)
    drawing.update_yaxes(rangemode="tozero")
    figure(
        drawing, "How unusual its sensors are", x=f"time of the machine, {unit}", y="anomaly score, 1 is usual",
        key=key, height=240, legend=False, alt=f"Last anomaly score: {show(table['anomaly_score'][-1])}.",
    )  # fmt: skip


def _drivers(
    model: Model, life: "Timeline", contributions: Mapping[str, float] | None, unit: str, key: str
) -> None:
    if contributions is None:
        st.caption("Score the file with “Explain each case” to see which sensors drive the forecast.")
        return
    now = {row["name"]: row for row in life.latest.iter_rows(named=True)}
    parts = [
        Part(row["title"], value, f"{show(row['value'])} {row['unit']} (usual {show(row['usual'])})")
        for name, value in contributions.items()
        if (row := now.get(name)) is not None
    ]
    has_forecast = "forecast" in life.forecasts.columns
    if has_forecast:
        title, raises, lowers = "What drives the forecast", "prolongs its life", "shortens its life"
        axis = f"difference from a healthy machine, {unit}"
    else:
        title, raises, lowers = "What is unusual", "unusual", "as expected"
        axis = "part of the anomaly score"
    attribution_chart(
        model, parts, title, unit=axis, raises=raises, lowers=lowers, key=key, higher_is_good=has_forecast
    )


def _sensors_over_time(life: "Timeline", contributions: Mapping[str, float], unit: str, key: str) -> None:
    import plotly.graph_objects as go

    titles = dict(life.latest.select("name", "title").rows())
    order = sorted(titles, key=lambda name: -abs(contributions.get(name, 0.0)))
    chosen: Sequence[str] = st.multiselect(
        "Sensors over time",
        order,
        default=order[:_DRIVING],
        format_func=lambda name: titles[name],
        max_selections=len(_SERIES),
        key=f"{key}/sensors/{life.forecasts['unit_id'][0]}",
    )
    drawing = go.Figure()
    for name, colour in zip(chosen, _SERIES, strict=False):
        drawing.add_scatter(
            x=life.deviations["time"].to_list(),
            y=life.deviations[name].to_list(),
            mode="lines",
            name=escaped(titles[name]),
            line={"color": COLOURS[colour], "width": 2},
            hovertemplate="at %{x:,.0f}: %{y:+.1f} sd<extra></extra>",
        )
    drawing.add_hline(0.0, line={"dash": "dot", "width": 1, "color": COLOURS["grey"]})
    _failures(drawing, life)
    figure(
        drawing,
        "How far its sensors are from usual",
        x=f"time of the machine, {unit}",
        y="standard deviations",
        key=f"{key}/deviations",
        height=290,
    )
    st.caption(
        "Means of the last ten readings; 0 is the mean of the training machines in the same operating regime."
    )


def _failures(drawing: Any, life: "Timeline") -> None:
    for time in life.failures:
        drawing.add_vline(
            time,
            line={"width": 1, "color": COLOURS["red"]},
            annotation={"text": "failed", "font": {"size": 11}},
            annotation_position="top left",
        )
