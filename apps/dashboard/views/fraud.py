"""The queue of a day at the analysts' budget, what that budget costs, and one transaction with its customer's past."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from apps.dashboard.components.attribution import Part, attribution_chart
from apps.dashboard.components.cards import facts, value_cards
from apps.dashboard.components.figures import COLOURS, figure
from apps.dashboard.components.results import results_table
from apps.dashboard.components.text import escaped
from apps.dashboard.published import Model
from shared.publishing.blocks import show

if TYPE_CHECKING:
    import polars as pl

    from pipelines.fraud_detection.score import Scorer

# Above so many times the budget no analyst will ever look.
_SHOWN_BUDGETS = 3.0
_SHOWN_PAYMENTS = 40
_QUEUE = [
    "rank_of_day",
    "time",
    "amount",
    "customer_id",
    "terminal_id",
    "score",
    "probability",
    "transaction_id",
]


def budget(model: Model, served: "Scorer", *, key: str) -> int:
    """The slider for the alerts of a day, with what it costs on validation; returns where it stands."""
    decision = served.config.decision
    chosen = int(
        st.slider(
            "Transactions that the analysts look at in a day",
            1,
            int(max(10, _SHOWN_BUDGETS * decision.alerts_per_day)),
            served.decision.alerts_per_day,
            key=key,
        )
    )
    curve = model.metrics.get("cost_curve")
    if curve is None:
        st.caption("Without labels no cost of missed frauds can be stated.")
        return chosen
    alerts, cost = (np.array(curve[name]) for name in ("alerts_per_day", "cost_per_day"))
    cheapest = int(np.argmin(cost))
    there = float(np.interp(chosen, alerts, cost))
    value_cards(
        {
            "Expected cost at this budget": (show(there, 0), "a day"),
            "Cheapest budget": (show(float(alerts[cheapest]), 0), "alerts a day"),
            "Expected cost there": (show(float(cost[cheapest]), 0), "a day"),
            "Looking at nothing": (show(float(cost[0]), 0), "a day"),
        },
        [f"{show(decision.cost_per_alert)} for each alert, {decision.lost_share:.0%} of each missed amount"],
    )
    _cost_figure(alerts, cost, chosen, cheapest, key)
    return chosen


def _cost_figure(alerts: np.ndarray, cost: np.ndarray, chosen: int, cheapest: int, key: str) -> None:
    import plotly.graph_objects as go

    shown = alerts <= max(_SHOWN_BUDGETS * chosen, 1.5 * alerts[cheapest])
    drawing = go.Figure()
    drawing.add_scatter(
        x=alerts[shown],
        y=cost[shown],
        mode="lines",
        name="expected cost",
        line={"color": COLOURS["blue"], "width": 2.5},
        hovertemplate="%{x:.0f} alerts a day: %{y:,.0f} a day<extra></extra>",
    )
    drawing.add_scatter(
        x=[alerts[cheapest]],
        y=[cost[cheapest]],
        mode="markers",
        name="cheapest",
        marker={"color": COLOURS["green"], "size": 11, "symbol": "diamond"},
    )
    drawing.add_vline(x=chosen, line={"color": COLOURS["orange"], "dash": "dash"}, annotation_text="budget")
    figure(
        drawing, "What a day costs by the number of alerts, validation week", x="alerts a day",
        y="currency of the table, a day", key=f"{key}/cost", height=320,
        alt=f"cost is lowest at {alerts[cheapest]:.0f} alerts a day",
    )  # fmt: skip


def queue(
    scores: "pl.DataFrame", served: "Scorer", alerts_per_day: int, *, key: str
) -> "pl.DataFrame | None":
    """The queue of one day, most suspicious first; returns the row that was chosen from it."""
    import polars as pl

    days = scores["time"].dt.date().unique().sort(descending=True).to_list()
    day = st.selectbox("Day (UTC)", days, format_func=str, key=f"{key}/day") if len(days) > 1 else days[0]
    own = scores.filter(pl.col("time").dt.date() == day)
    decision = replace(served.decision, alerts_per_day=alerts_per_day)
    alert = decision.of_the_day(own["score"].to_numpy(), own["rank_of_day"].to_numpy())
    inside = own.filter(pl.Series(alert)).sort("rank_of_day")
    below = alerts_per_day - inside.height
    note = (
        f"; the others of {alerts_per_day} would cost more than they save"
        if below and own.height > below
        else ""
    )
    st.markdown(f"##### Queue of {day}: {inside.height:,} of {own.height:,} transactions{note}")
    if not inside.height:
        st.text("Nothing on this day is worth an analyst's time at the published costs.")
        return None
    st.caption("Choose a row to see why it is here.")
    row = results_table(
        inside,
        key=f"{key}/queue/{day}",
        order=_QUEUE,
        columns={
            "rank_of_day": st.column_config.NumberColumn("rank"),
            "time": st.column_config.DatetimeColumn("time (UTC)", format="YYYY-MM-DD HH:mm:ss"),
            "amount": st.column_config.NumberColumn("amount", format="%.2f"),
            "score": st.column_config.NumberColumn(f"score ({served.unit})", format="%.2f"),
            "probability": st.column_config.NumberColumn("probability of fraud", format="percent"),
        },
        choose=True,
    )
    return inside[row : row + 1] if row is not None else None


def transaction_case(
    model: Model,
    served: "Scorer",
    chosen: "pl.DataFrame",
    features: "pl.DataFrame",
    valid: "pl.DataFrame",
    *,
    key: str,
) -> None:
    """Why one transaction is suspicious, and what its customer usually does. `features`: those of the transaction."""
    from pipelines.fraud_detection.reasons import title_of, value_text

    case = chosen.row(0, named=True)
    st.subheader("Transaction", anchor=False)
    facts(_facts(case, served))
    attribution = served.explain(features)
    values = features.select(served.scaling.names).to_numpy()[0]
    parts = [
        Part(title_of(name), float(added), value_text(name, float(value)))
        for name, added, value in zip(attribution.names, attribution.values[0], values, strict=True)
    ]
    left, right = st.columns([3, 2], gap="large")
    with left:
        attribution_chart(
            model,
            parts,
            "What makes this transaction suspicious",
            unit=f"contribution to the score, {served.unit}",
            raises="speaks for fraud",
            lowers="speaks against it",
            key=f"{key}/why",
        )
    with right:
        st.markdown("##### Beside what is usual")
        usual = dict(zip(served.scaling.names, served.normal(features)[0], strict=True))
        rows = [
            {
                "feature": title_of(name),
                "here": value_text(name, float(features[name][0])),
                "usual": value_text(name, float(usual[name])),
            }
            for name, _ in attribution.top(6, "up")[0]
        ]
        st.dataframe(rows, hide_index=True)
        st.caption("Usual: what the autoencoder, which knows genuine transactions, would have expected here.")
    _past(case, served.history, valid, key)


def _facts(case: Mapping[str, Any], served: "Scorer") -> dict[str, str]:
    probability = case["probability"]
    return {
        "Transaction": str(case["transaction_id"]),
        "Time": f"{case['time']:%Y-%m-%d %H:%M:%S} UTC",
        "Amount": f"{case['amount']:,.2f}",
        "Customer": str(case["customer_id"]),
        "Terminal": str(case["terminal_id"]),
        "Score": f"{case['score']:.2f} {served.unit}",
        "Probability of fraud": "not known without labels" if probability is None else f"{probability:.1%}",
    }


def _past(case: Mapping[str, Any], history: "pl.DataFrame", valid: "pl.DataFrame", key: str) -> None:
    """The customer's last payments, those of the file and of the model's history together."""
    import plotly.graph_objects as go
    import polars as pl

    columns = ["transaction_id", "time", "customer_id", "terminal_id", "amount"]
    together = pl.concat([history.select(columns), valid.select(columns)], how="vertical_relaxed")
    own = together.filter((pl.col("customer_id") == case["customer_id"]) & (pl.col("time") <= case["time"]))
    own = own.unique("transaction_id").sort("time").tail(_SHOWN_PAYMENTS)
    others = own.filter(pl.col("transaction_id") != case["transaction_id"])
    drawing = go.Figure()
    for name, frame, colour, symbol in (
        ("earlier payments", others, "grey", "circle"),
        ("this one", own.filter(pl.col("transaction_id") == case["transaction_id"]), "orange", "diamond"),
    ):
        drawing.add_scatter(
            x=frame["time"].to_list(),
            y=frame["amount"].to_list(),
            mode="markers",
            name=name,
            marker={"color": COLOURS[colour], "symbol": symbol, "size": 11},
            text=[escaped(str(terminal)) for terminal in frame["terminal_id"]],
            hovertemplate="%{x|%Y-%m-%d %H:%M}: %{y:,.2f} at %{text}<extra></extra>",
        )
    figure(
        drawing, f"Last payments of customer {case['customer_id']}", x="time (UTC)", y="amount, currency of the table",
        key=f"{key}/past", height=300, alt=f"{others.height} earlier payments and this one",
    )  # fmt: skip
