"""Predictive maintenance: the fleet by urgency with each machine's history, when to service, all models."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.dashboard.components.banners import part
from apps.dashboard.components.kept import kept
from apps.dashboard.components.upload import score_upload
from apps.dashboard.domain import Domain
from apps.dashboard.page import open_page, show_views
from apps.dashboard.published import Model
from apps.dashboard.scoring import Scored, scorer
from apps.dashboard.views.fleet import fleet_board
from apps.dashboard.views.forecast_quality import BASELINES, forecast_quality
from apps.dashboard.views.machine import machine_case
from apps.dashboard.views.service_costs import costs_view
from shared.errors import RequestError

if TYPE_CHECKING:
    import polars as pl

    from pipelines.predictive_maintenance.schema import ReadingsSchema
    from pipelines.predictive_maintenance.score import Scorer
    from pipelines.predictive_maintenance.timeline import Timeline
    from shared.contracts.contract import Contract


def _schema(model: Model) -> "ReadingsSchema":
    from pipelines.predictive_maintenance.schema import ReadingsSchema

    return ReadingsSchema.model_validate(model.bundle.json("features/scorer.json")["schema"])


def _contract(model: Model) -> "Contract":
    return _schema(model).contract()


def _example(model: Model, folder: Path) -> Path:
    """The generator's test machines in the middle of their lives."""
    if model.summary.source != "synthetic":
        raise RequestError(
            f"This version learnt from {model.summary.source}, and no other machines have its sensors: choose a file."
        )
    from pipelines.predictive_maintenance.example import running_fleet

    path = folder / "example_fleet.csv"
    running_fleet(scorer(DOMAIN, model).config).write_csv(path)
    return path


DOMAIN: "Domain[Scorer]" = Domain(
    pipeline="predictive_maintenance",
    titles={
        "test/rmse_clipped": "RMSE up to the cap",
        "test/interval_coverage": "Share of intervals that hold",
        "test/fails_average_precision": "Average precision of failing",
        "test/nasa_score": "NASA score",
        "test/anomaly_roc_auc": "ROC-AUC of the anomaly score",
    },
    baselines=BASELINES,
    example=_example,
    contract=_contract,
)


def main() -> None:
    model = open_page(DOMAIN)
    show_views(
        {
            "Fleet": lambda: _fleet(model),
            "When to service": lambda: _costs(model),
            "All models": lambda: forecast_quality(model, DOMAIN),
        }
    )


def _fleet(model: Model) -> None:
    scored = score_upload(DOMAIN, model)
    if scored is None:
        st.caption("Score the readings of a fleet, or the example, to see its machines by urgency.")
        return
    _board(model, scored)


@part
def _board(model: Model, scored: Scored) -> None:
    """The machines of the scored file by urgency, and the chosen one in full."""
    import polars as pl

    forecasts = _forecasts(scored)
    unit_id = fleet_board(model, forecasts, key=DOMAIN.key("board"))
    with st.spinner("Forecasting the readings of this machine ..."):
        life = kept(
            DOMAIN.key("timeline"), (str(scored.output), unit_id), lambda: _timeline(model, scored, unit_id)
        )
    machine_case(
        model,
        forecasts.row(by_predicate=pl.col("unit_id") == unit_id, named=True),
        life,
        _contributions(scored, unit_id),
        key=DOMAIN.key("machine"),
    )


def _forecasts(scored: Scored) -> "pl.DataFrame":
    from pipelines.predictive_maintenance.board import by_urgency

    return kept(DOMAIN.key("forecasts"), str(scored.output), lambda: by_urgency(scored.frame()))


def _timeline(model: Model, scored: Scored, unit_id: str) -> "Timeline":
    from pipelines.predictive_maintenance.timeline import timeline, valid_readings

    forecaster = scorer(DOMAIN, model)
    readings = kept(
        DOMAIN.key("readings"), str(scored.output), lambda: valid_readings(scored.source, forecaster)
    )
    return timeline(forecaster, readings, unit_id)


def _contributions(scored: Scored, unit_id: str) -> dict[str, float] | None:
    import polars as pl

    explained = scored.explained()
    if explained is None:
        return None
    row: dict[str, Any] = explained.row(by_predicate=pl.col("unit_id") == unit_id, named=True)
    return {name: value for name, value in row.items() if name != "unit_id"}


@part
def _costs(model: Model) -> None:
    held: tuple[int, Scored] | None = st.session_state.get(DOMAIN.key("scored"))
    forecasts = _forecasts(held[1]) if held is not None and held[0] == model.version else None
    costs_view(model, _schema(model).time_unit, forecasts, key=DOMAIN.key("costs"))


if __name__ == "__main__":
    main()
