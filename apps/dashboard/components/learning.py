"""How learning went: over steps, with every seed, beside what it has to beat."""

from collections.abc import Mapping
from typing import Any

from apps.dashboard.components.figures import COLOURS, figure
from apps.dashboard.components.text import escaped

_BAND = "rgba(47, 127, 193, .2)"


def learning_curve(curve: Mapping[str, Any], title: str, *, y: str, rival: str, key: str) -> None:
    """curve: steps, iqm with low and high, seeds (values by seed), and rule, the value of the rival."""
    import plotly.graph_objects as go

    steps = curve["steps"]
    drawing = go.Figure()
    for number, (seed, values) in enumerate(curve["seeds"].items()):
        drawing.add_scatter(
            x=steps, y=values, mode="lines", line={"color": COLOURS["blue"], "width": 1}, opacity=0.45,
            name="single seeds", legendgroup="seeds", showlegend=number == 0,
            hovertemplate=f"seed {escaped(str(seed))}: %{{y:,.4g}}<extra></extra>",
        )  # fmt: skip
    drawing.add_scatter(
        x=[*steps, *steps[::-1]], y=[*curve["high"], *curve["low"][::-1]], fill="toself", fillcolor=_BAND,
        mode="lines", line={"width": 0}, name="95 % interval", hoverinfo="skip",
    )  # fmt: skip
    drawing.add_scatter(
        x=steps, y=curve["iqm"], mode="lines+markers", line={"color": COLOURS["blue"], "width": 2.5},
        marker={"size": 5}, name="interquartile mean of the seeds",
        hovertemplate="%{x:,} steps: %{y:,.4g}<extra></extra>",
    )  # fmt: skip
    if curve.get("rule") is not None and steps:
        drawing.add_scatter(
            x=[0, steps[-1]], y=[curve["rule"]] * 2, mode="lines", name=escaped(rival), hoverinfo="skip",
            line={"color": COLOURS["orange"], "dash": "dash", "width": 2},
        )  # fmt: skip
    words = (
        f"from {curve['iqm'][0]:,.4g} to {curve['iqm'][-1]:,.4g}; {rival} {curve['rule']:,.4g}"
        if steps
        else ""
    )
    figure(drawing, title, x="environment steps of a seed", y=y, key=key, alt=words)
