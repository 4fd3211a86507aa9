"""The board goes through a fleet by urgency, and other thresholds propose what a run with them would propose."""

import polars as pl
import pytest

from pipelines.predictive_maintenance.board import by_urgency, proposed_at
from pipelines.predictive_maintenance.example import running_fleet
from pipelines.predictive_maintenance.policy import Decision


def forecasts(*rows: tuple[str, str, float | None, float | None, float]) -> pl.DataFrame:
    """Of (machine, action, rul, rul_low, anomaly_score)."""
    names = {"unit_id": pl.String, "action": pl.String, "rul": pl.Float64, "rul_low": pl.Float64}
    return pl.DataFrame(rows, schema={**names, "anomaly_score": pl.Float64}, orient="row")


POLICIES = {"decision": Decision(10.0, 30.0).to_json()}


def test_actions_come_first_then_the_shortest_lower_end_then_the_estimate():
    table = forecasts(
        ("runs", "run_on", 60.0, 40.0, 1.0),
        ("soon", "service_now", 9.0, 0.0, 1.0),
        ("sooner", "service_now", 5.0, 0.0, 1.0),
        ("later", "service_now", 8.0, 3.0, 9.0),
        ("planned", "plan_service", 20.0, 0.0, 1.0),
    )
    assert by_urgency(table)["unit_id"].to_list() == ["sooner", "soon", "later", "planned", "runs"]


def test_without_remaining_lives_the_most_unusual_machine_comes_first():
    table = forecasts(
        ("usual", "run_on", None, None, 0.9),
        ("alarm", "plan_service", None, None, 3.0),
        ("higher alarm", "plan_service", None, None, 5.0),
    )
    assert by_urgency(table)["unit_id"].to_list() == ["higher alarm", "alarm", "usual"]


def test_another_threshold_moves_proposals_and_keeps_the_horizon_of_planning():
    table = forecasts(
        ("a", "service_now", 8.0, 0.0, 1.0),
        ("b", "plan_service", 15.0, 2.0, 1.0),
        ("c", "run_on", 45.0, 30.0, 1.0),
    )
    then = proposed_at(table, POLICIES, 16.0)["action_then"].to_list()
    assert then == ["service_now", "service_now", "run_on"]
    assert proposed_at(table, POLICIES, 25.0)["action_then"].to_list()[2] == "plan_service"
    assert proposed_at(table, POLICIES, 10.0)["action_then"].to_list() == table["action"].to_list()


def test_a_machine_that_has_failed_is_serviced_at_any_threshold():
    table = forecasts(("failed", "service_now", 70.0, 50.0, 1.0))
    assert proposed_at(table, POLICIES, 0.0)["action_then"].to_list() == ["service_now"]


def test_the_example_holds_machines_that_were_not_trained_on_before_their_end(small):
    readings = running_fleet(small.config)
    units = readings["unit_id"].unique()
    assert len(units) == pytest.approx(small.config.protocol.test_share * small.config.data.num_units, abs=2)
    last = readings.group_by("unit_id").agg(pl.col("failed").last())
    assert last["failed"].sum() == 0
