"""A published audit of a decision between groups: rates with intervals, and how far apart the groups are."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from apps.dashboard.components.banners import banner
from apps.dashboard.components.figures import COLOURS, figure
from apps.dashboard.components.text import escaped
from shared.publishing.blocks import estimate, interval
from shared.publishing.standard import readable

_RATES = {
    "selection_rate": ("approved, of all", "blue"),
    "true_positive_rate": ("approved, of those who repay", "green"),
    "false_positive_rate": ("approved, of those who default", "orange"),
}
_GAPS = {
    "selection_ratio": "Lowest over highest approval rate",
    "equal_opportunity": "Gap among those who repay",
    "equalised_odds": "Largest gap in error rates",
}


def group_audit(audit: Mapping[str, Any], *, key: str) -> None:
    """One attribute: approval rates by group with 95 % intervals, and the gaps in words."""
    import plotly.graph_objects as go

    name = readable(str(audit["attribute"]))
    groups = sorted(audit["groups"], key=lambda group: not group["group"].startswith("up to"))
    drawing = go.Figure()
    for place, (rate, (title, colour)) in enumerate(_RATES.items()):
        known = [(group, group[rate]) for group in groups if group[rate]["value"] is not None]
        values = [metric["value"] for _, metric in known]
        drawing.add_scatter(
            x=values,
            y=[
                index + 0.2 * (place - 1)
                for index, group in enumerate(groups)
                if group[rate]["value"] is not None
            ],
            mode="markers",
            name=title,
            marker={"color": COLOURS[colour], "size": 10},
            error_x={
                "array": [metric["high"] - metric["value"] for _, metric in known],
                "arrayminus": [metric["value"] - metric["low"] for _, metric in known],
                "thickness": 1.5,
            },
            hovertemplate=f"{title}: %{{x:.1%}}<extra></extra>",
        )
    labels = [escaped(_label(group)) for group in groups]
    drawing.update_yaxes(
        tickvals=list(range(len(groups))), ticktext=labels, autorange="reversed", ticksuffix=" "
    )
    drawing.update_xaxes(range=[-0.02, 1.02], tickformat=".0%")
    figure(
        drawing, f"Approval by {audit['attribute']}", x="share approved, with 95 % interval", key=key,
        height=150 + 64 * len(groups),
    )  # fmt: skip
    _gaps(name, audit["gaps"])


def _label(group: Mapping[str, Any]) -> str:
    few = ", too few" if group["too_small"] else ""
    return f"{group['group']} (n = {group['n']:,}{few})"


def _gaps(name: str, gaps: Mapping[str, Any]) -> None:
    found = [gaps[gap] for gap in _GAPS if gaps[gap]["finding"] == "gap"]
    rows = [_row(title, gaps[gap]) for gap, title in _GAPS.items()]
    st.dataframe(rows, hide_index=True)
    if found:
        banner("warning", f"{name}: a gap between groups that is more than noise.")


def _row(title: str, gap: Mapping[str, Any]) -> dict[str, str]:
    known = gap["value"] is not None
    return {
        "measure": title,
        "value": estimate(gap) if known else "",
        "95 % interval": interval(gap) if known else "",
        "groups": f"{gap['lowest']} against {gap['highest']}" if known else "",
        "finding": str(gap["finding"]),
    }
