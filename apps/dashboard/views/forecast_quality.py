"""The network beside the plain ways to forecast, on the same machines, near failure and far from it."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from apps.dashboard.components.comparison import comparison_chart, comparison_table
from apps.dashboard.domain import Domain
from apps.dashboard.published import Model
from shared.publishing.blocks import show

BASELINES = {
    "gradient_boosting": "gradient boosting",
    "linear": "linear regression",
    "age": "mean life less age",
    "constant": "constant",
}
_SERVED, _FIRST = "CNN-LSTM", "test/rmse_clipped"


def forecast_quality(model: Model, domain: Domain[Any]) -> None:
    """All models on the machines of the test, then the network by how near failure is."""
    if model.metrics["policies"] is None:
        st.info(
            "This fleet had too few failures to learn from: nothing but the anomaly score could be judged."
        )
        return
    comparison_chart(
        model,
        "test/rmse_true",
        "RMSE of the remaining life",
        BASELINES,
        served=_SERVED,
        key=domain.key("models"),
    )
    known = {_FIRST: "RMSE up to the cap", "test/rmse_true": "RMSE, true life", **domain.titles}
    known = {name: title for name, title in known.items() if name in model.summary.metrics}
    comparison_table(model, known, BASELINES, served=_SERVED, key=domain.key("models-table"))
    unit, cap = model.summary.metrics[_FIRST].unit, model.metrics["scale"]["cap"]
    st.markdown("##### Near failure and far from it")
    st.dataframe(
        [_row(stage, unit) for stage in model.metrics["per_stage"]], hide_index=True, key=domain.key("stages")
    )
    st.caption(
        f"All readings of the test machines, by thirds of the longest life that can be forecast, {show(cap)} {unit}. "
        f"Intervals promise {model.config['protocol']['coverage']:.0%}."
    )


def _row(stage: Mapping[str, Any], unit: str) -> dict[str, Any]:
    return {
        "stage": stage["stage"],
        "machines": stage["machines"],
        f"RMSE, {unit}": show(stage["rmse"]["network"]),
        f"gradient boosting, {unit}": show(stage["rmse"]["gradient_boosting"]),
        "intervals that hold": f"{stage['coverage']:.0%}",
        f"mean width, {unit}": show(stage["width"]),
    }
