"""When to service: the rule that is served, and what each policy costs on recorded lives."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.dashboard.components.cards import facts
from apps.dashboard.components.comparison import interval_chart
from apps.dashboard.published import Model
from apps.dashboard.views.fleet import time_text
from apps.dashboard.views.own_costs import PER, own_costs
from shared.publishing.blocks import estimate, interval, show

if TYPE_CHECKING:
    import polars as pl

_POLICIES = {
    "forecast": "service by forecast",
    "fixed_interval": "fixed interval",
    "run_to_failure": "run to failure",
    "perfect": "perfect foresight",
}


def costs_view(model: Model, unit: str, forecasts: "pl.DataFrame | None", *, key: str) -> None:
    """Published policies, the cost curve at the planner's own costs, and what these change in a scored fleet."""
    policies = model.metrics["policies"]
    if policies is None:
        st.info("This fleet had too few failures to learn from, so no policy could be played on its lives.")
        return
    cap = model.metrics["scale"]["cap"]
    _rule(policies, cap, unit)
    _played(policies, unit, f"{key}/policies")
    if "curve" in policies:
        own_costs(policies, cap, unit, forecasts, key=key)
    else:
        st.caption(
            "This version was published without its cost curve: train again to weigh costs of your own."
        )


def _rule(policies: Mapping[str, Any], cap: float, unit: str) -> None:
    costs, decision = policies["costs"], policies["decision"]
    facts(
        {
            "Service now": f"at {time_text(decision['threshold'], cap)} {unit} left or less",
            "Plan a service": f"at {time_text(decision['plan_by'], cap)} {unit} left or less",
            "From order to service": f"{show(costs['lead_time'])} {unit}",
            "A failure costs": show(costs["cost_failure"]),
            "A planned service costs": show(costs["cost_service"]),
        }
    )


def _played(policies: Mapping[str, Any], unit: str, key: str) -> None:
    """All policies on the recorded lives of the training machines, at the costs of the model."""
    found = {title: policies["policies"][name] for name, title in _POLICIES.items()}
    rates = {title: _per_thousand(policy["cost_rate"]) for title, policy in found.items()}
    interval_chart(
        rates,
        "What each policy costs",
        own=_POLICIES["forecast"],
        x=f"cost for 1,000 {unit} in operation, 95 % intervals",
        key=key,
        from_zero=True,
    )
    rows = [
        {
            "policy": title,
            f"cost for 1,000 {unit}": f"{estimate(rates[title])} ({interval(rates[title])})",
            "failures": policy["failures"],
            "services": policy["services"],
            f"mean time in operation, {unit}": round(policy["mean_time"], 1),
        }
        for title, policy in found.items()
    ]
    st.dataframe(rows, hide_index=True, key=f"{key}/table")
    st.caption(
        f"Played on {policies['lives']:,} recorded lives of the training machines, {policies['failed_lives']:,} of "
        "which ended in a failure; each forecast by a network that had not seen it, with a threshold or an interval "
        "from other machines. No policy can cost less than perfect foresight."
    )


def _per_thousand(metric: Mapping[str, Any]) -> dict[str, Any]:
    ends = {name: None if metric[name] is None else PER * metric[name] for name in ("value", "low", "high")}
    return {**metric, **ends}
