"""What a planner's own costs of failures and services would change: the threshold, the cost, the proposals."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from apps.dashboard.components.cards import value_cards
from apps.dashboard.components.figures import COLOURS, figure
from apps.dashboard.components.results import results_table
from apps.dashboard.views.fleet import ACTIONS, time_text
from shared.publishing.blocks import show

if TYPE_CHECKING:
    import polars as pl

    from pipelines.predictive_maintenance.costs import CostCurve

PER = 1000.0  # units of time in operation that costs are given for


class _Costs(NamedTuple):
    failure: float
    service: float


class _Thresholds(NamedTuple):
    """In the fleet's time unit: the one that the model serves, and the cheapest one at other costs."""

    served: float
    cheapest: float

    @property
    def agree(self) -> bool:
        return abs(self.served - self.cheapest) < 1e-9


def own_costs(
    policies: Mapping[str, Any], cap: float, unit: str, forecasts: "pl.DataFrame | None", *, key: str
) -> None:
    """The cost curve at costs that are given here, and what they change in the scored fleet `forecasts`."""
    from pipelines.predictive_maintenance.costs import CostCurve

    st.markdown("##### With costs of your own")
    costs = _asked(policies["costs"], key)
    curve = CostCurve.of(policies)
    thresholds = _Thresholds(policies["decision"]["threshold"], curve.cheapest(*costs))
    _cards(curve, costs, thresholds, cap, unit)
    _figure(curve, costs, thresholds, unit, f"{key}/curve")
    st.caption(
        "Played on the same recorded lives, with one threshold for all of them: a little more favourable than the "
        "comparison above. To serve these costs:"
    )
    st.code(
        "fieldwork run predictive_maintenance --data SOURCE "
        f"--set decision.cost_failure={costs.failure:g} --set decision.cost_service={costs.service:g}",
        language="bash",
        wrap_lines=True,
    )
    if forecasts is not None and not thresholds.agree:
        _changes(forecasts, policies, thresholds.cheapest, f"{key}/changes")


def _asked(costs: Mapping[str, float], key: str) -> _Costs:
    asked = {
        "cost_failure": "A failure costs",
        "cost_service": "A planned service costs",
    }
    given = []
    with st.container(horizontal=True):
        for name, title in asked.items():
            value = st.number_input(
                title,
                0.01,
                1e12,
                float(costs[name]),
                key=f"{key}/{name}",
                help="In any currency, both in the same.",
                width=220,
            )
            given.append(float(value or costs[name]))
    return _Costs(*given)


def _cards(curve: "CostCurve", costs: _Costs, thresholds: _Thresholds, cap: float, unit: str) -> None:
    cheapest, served = (PER * curve.rate_at(threshold, *costs) for threshold in thresholds)
    value_cards(
        {
            "Cheapest: service now at": (time_text(thresholds.cheapest, cap), f"{unit} left or less"),
            "Cost with that": (_three_digits(cheapest), f"for 1,000 {unit}"),
            "Cost as served": (_three_digits(served), f"for 1,000 {unit}"),
        },
        ["as served" if thresholds.agree else f"served: {time_text(thresholds.served, cap)} {unit}"],
    )


def _figure(curve: "CostCurve", costs: _Costs, thresholds: _Thresholds, unit: str, key: str) -> None:
    import plotly.graph_objects as go

    drawing = go.Figure()
    drawing.add_scatter(
        x=curve.threshold.tolist(),
        y=(PER * curve.by_forecast.cost_rate(*costs)).tolist(),
        mode="lines",
        name="service by forecast",
        line={"color": COLOURS["blue"], "width": 2.5},
        hovertemplate="at %{x:,.4~g} left or less: %{y:,.4~g}<extra></extra>",
    )
    for outcomes, words, colour in (
        (curve.run_to_failure, "run to failure", "orange"),
        (curve.perfect, "perfect foresight", "green"),
    ):
        drawing.add_scatter(
            x=[float(curve.threshold[0]), float(curve.threshold[-1])],
            y=[PER * float(outcomes.cost_rate(*costs))] * 2,
            mode="lines",
            name=words,
            line={"color": COLOURS[colour], "dash": "dash", "width": 1.5},
            hovertemplate="%{y:,.4~g}<extra></extra>",
        )
    marks = {"served": thresholds.served, "cheapest": thresholds.cheapest}
    if thresholds.agree:
        marks = {"served, cheapest": thresholds.served}
    for words, value in marks.items():
        # names stand apart however near the thresholds are
        anchor = "left" if value == max(marks.values()) else "right"
        drawing.add_vline(
            value,
            line={"dash": "dot", "width": 1.5, "color": COLOURS["grey"]},
            annotation={"text": words, "font": {"size": 11}, "xanchor": anchor},
            annotation_position="top",
        )
    drawing.update_yaxes(rangemode="tozero")
    figure(
        drawing, "Cost by the threshold at which a service is ordered", x=f"forecast remaining life, {unit}",
        y=f"cost for 1,000 {unit} in operation", key=key, height=380,
        alt=f"Cheapest at {show(thresholds.cheapest)} {unit}, served at {show(thresholds.served)} {unit}.",
    )  # fmt: skip


def _three_digits(value: float) -> str:
    return show(float(f"{value:.3g}"))


def _changes(forecasts: "pl.DataFrame", policies: Mapping[str, Any], wanted: float, key: str) -> None:
    """The machines of the scored fleet that other costs would treat otherwise."""
    import polars as pl

    from pipelines.predictive_maintenance.board import proposed_at

    then = proposed_at(forecasts, policies, wanted)
    changed = then.filter(pl.col("action") != pl.col("action_then"))
    st.markdown(f"##### Proposals that change in the scored fleet: {changed.height:,} of {then.height:,}")
    if changed.is_empty():
        return
    words = {action: text for action, (text, *_) in ACTIONS.items()}
    results_table(
        changed.with_columns(pl.col("action", "action_then").replace_strict(words)),
        key=key,
        order=["unit_id", "rul_text", "action", "action_then"],
        columns={
            "unit_id": "machine",
            "rul_text": "remaining life",
            "action": "as served",
            "action_then": "with these costs",
        },
    )
