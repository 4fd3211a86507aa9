"""The model beside all others on the same test data: one metric with its intervals, the best first."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from apps.dashboard.components.figures import COLOURS, bar_height, figure
from apps.dashboard.components.text import escaped
from apps.dashboard.published import Model
from shared.publishing.blocks import direction, estimate, interval
from shared.publishing.standard import readable
from shared.publishing.summary import MetricValue


def comparison_chart(
    model: Model, metric: str, title: str, names: Mapping[str, str], *, served: str, key: str
) -> None:
    """A mark with its 95 % interval for each model that has a value; `served` names this one."""
    rows = {
        _title(name, names, served): each.model_dump()
        for name, each in ordered(model, metric)
        if each.value is not None
    }
    own = model.summary.metrics[metric].model_dump()
    notes = ", ".join(part for part in (own["unit"], direction(own)) if part)
    axis = f"{title} with 95 % interval, n = {own['n']:,}{f' ({notes})' if notes else ''}"
    interval_chart(rows, f"{title} of all models", own=_title("", names, served), x=axis, key=key)


def interval_chart(
    rows: Mapping[str, Mapping[str, Any]], title: str, *, own: str, x: str, key: str, from_zero: bool = False
) -> None:
    """Metrics in the form of the summary by name, in this order from the top; the one called `own` stands out."""
    import plotly.graph_objects as go

    drawing = go.Figure()
    for name, metric in rows.items():
        value = metric["value"]
        low, high = (value if metric[end] is None else metric[end] for end in ("low", "high"))
        drawing.add_scatter(
            x=[value],
            y=[escaped(name)],
            mode="markers",
            marker={
                "color": COLOURS["blue" if name == own else "grey"],
                "size": 11,
                "symbol": "diamond" if name == own else "circle",
            },
            error_x={"array": [high - value], "arrayminus": [value - low], "thickness": 1.5},
            hovertemplate=f"%{{y}}: {estimate(metric)} ({interval(metric)})<extra></extra>",
        )
    order = [escaped(name) for name in rows]
    drawing.update_yaxes(categoryorder="array", categoryarray=order[::-1], ticksuffix=" ")
    if from_zero:
        drawing.update_xaxes(rangemode="tozero")
    words = "; ".join(f"{name} {estimate(metric)}" for name, metric in rows.items())
    figure(drawing, title, x=x, key=key, height=bar_height(len(rows)), legend=False, alt=words)


def comparison_table(
    model: Model, titles: Mapping[str, str], names: Mapping[str, str], *, served: str, key: str
) -> None:
    """Every model with the metrics of `titles` and their intervals, in the order of the first of them."""
    first = next(iter(titles))
    rows = []
    for name, _ in ordered(model, first):
        metrics = model.summary.baselines[name] if name else model.summary.metrics
        cells = {title: _cell(metrics.get(metric)) for metric, title in titles.items()}
        rows.append({"model": _title(name, names, served), **cells})
    st.dataframe(rows, hide_index=True, key=key)


def ordered(model: Model, metric: str) -> list[tuple[str, MetricValue]]:
    """Models with their values, best first, those without a value last; the empty name is this model."""
    mine = model.summary.metrics
    known = {"": mine, **model.summary.baselines}
    found = [(name, metrics[metric]) for name, metrics in known.items() if metric in metrics]
    sign = -1.0 if mine[metric].higher_is_better else 1.0
    return sorted(found, key=lambda row: float("inf") if row[1].value is None else sign * row[1].value)


def _title(name: str, names: Mapping[str, str], served: str) -> str:
    return names.get(name, readable(name)) if name else f"{served} (this model)"


def _cell(metric: MetricValue | None) -> str:
    document = {"value": None} if metric is None else metric.model_dump()
    between = interval(document)
    return f"{estimate(document)} ({between})" if between else estimate(document)
