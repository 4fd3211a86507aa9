"""How what is scored differs from the training data: of one file, and over time."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from apps.dashboard.components.banners import banner
from apps.dashboard.components.figures import COLOURS, bar_height, figure
from apps.dashboard.components.text import escaped
from apps.dashboard.published import ScoreRun

_STATES = {
    "no drift": ("green", "circle"),
    "drift": ("orange", "diamond"),
    "broke the contract": ("red", "x"),
}


def drift_line(drift: Mapping[str, Any]) -> None:
    """Whether a scored file looks like the training data, in one line."""
    columns = [str(column) for column in drift.get("columns", ())]
    if not drift.get("drifted"):
        banner("good", "No drift: these data look like those of the training.")
        return
    banner("warning", f"Drift against the training data in: {', '.join(columns) or 'the scores'}.")


def drift_strip(runs: Mapping[str, Sequence[ScoreRun]], *, key: str) -> None:
    """Score runs over time, one line for each name: no drift, drift, or a file that broke the contract."""
    import plotly.graph_objects as go

    every = [(name, run) for name, own in runs.items() for run in own]
    drawing = go.Figure()
    for state, (colour, symbol) in _STATES.items():
        own = [(name, run) for name, run in every if _state(run) == state]
        drawing.add_scatter(
            x=[run.at for _, run in own],
            y=[escaped(name) for name, _ in own],
            mode="markers",
            name=state,
            marker={"color": COLOURS[colour], "symbol": symbol, "size": 12},
            text=[_hover(run) for _, run in own],
            hovertemplate="%{text}<extra></extra>",
        )
    names = [escaped(name) for name in runs]
    drawing.update_yaxes(
        categoryorder="array", categoryarray=names[::-1], range=[-0.5, len(names) - 0.5], ticksuffix=" "
    )
    drifted, refused = sum(bool(run.drifted) for _, run in every), sum(run.refused for _, run in every)
    words = f"{len(every)} score runs, {drifted} with drift, {refused} refused"
    height = bar_height(len(names), row=30, least=170)
    figure(drawing, "Score runs", x="time (UTC)", key=key, height=height, alt=words)


def _state(run: ScoreRun) -> str:
    if run.refused:
        return "broke the contract"
    return "drift" if run.drifted else "no drift"


def _hover(run: ScoreRun) -> str:
    lines = [f"{run.at:%Y-%m-%d %H:%M} UTC", run.input]
    if run.refused:
        lines.append(run.reason.splitlines()[0])
    elif run.drifted:
        lines.append(f"drift: {', '.join(run.drifted_columns) or 'the scores'}")
    return "<br>".join(escaped(line) for line in lines)


def no_score_runs(pipeline: str, *, inputs: str = "INPUT") -> None:
    """What to do where nothing was scored yet."""
    st.caption("Nothing was scored with a published model yet. On the command line:")
    st.code(f"fieldwork score {pipeline} {inputs} --out OUTPUT", language="bash")
