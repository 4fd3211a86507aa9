"""The page of predictive maintenance as a maintenance planner uses it."""

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

KEY, COSTS, MODELS = "predictive_maintenance", "When to service", "All models"


@pytest.fixture(scope="module")
def fleet():
    """Readings of the generated machines that the model was not trained on."""
    from pipelines.predictive_maintenance.config import tiny
    from pipelines.predictive_maintenance.example import running_fleet

    return running_fleet(tiny())


def upload(page, content: bytes, name: str = "fleet.csv"):
    page.file_uploader(key=f"{KEY}/upload").set_value((name, content, "text/csv")).run()
    return page.button(key=f"{KEY}/score").click().run()


def numbers(page) -> str:
    return " ".join(each.proto.body for each in page.get("html"))


def table_with(page, column: str) -> pl.DataFrame:
    return next(pl.DataFrame(table.value) for table in page.dataframe if column in table.value.columns)


def look_at(page, view: str):
    """Another part of the page in the same session."""
    page.query_params["view"] = view
    return page.run()


def test_the_page_opens_with_the_question_and_what_to_do_next(open_page):
    page = open_page(KEY)
    assert not page.exception
    assert "when is the cheapest moment to service it" in page.markdown[0].value
    assert "RMSE" in numbers(page)
    assert any("machines by urgency" in caption.value for caption in page.caption)


def test_the_board_puts_the_most_urgent_machine_first_and_shows_it_in_full(open_page):
    page = open_page(KEY)
    page.button(key=f"{KEY}/example").click().run()
    assert not page.exception
    board = table_with(page, "rul_text")
    order = ["service now", "plan a service", "run on"]
    actions = [order.index(action) for action in board["action"]]
    assert actions == sorted(actions)
    for _, same in board.group_by("action"):
        assert same["rul_low"].to_list() == sorted(same["rul_low"])
    assert page.subheader[0].value.replace("\\", "") == board["unit_id"][0]
    assert board["action_reason"][0] in [text.value for text in page.text]
    assert board["driven_by"].str.contains(r"\w+ \([+-]").all()
    chosen = page.multiselect(key=f"{KEY}/machine/sensors/{board['unit_id'][0]}").value
    assert [sensor in board["driven_by"][0] for sensor in chosen] == [True] * 3


def test_a_chosen_machine_is_the_one_in_full(open_page, fleet, monkeypatch):
    monkeypatch.setattr(
        "apps.dashboard.components.results.results_table",
        lambda _, **options: 3 if options.get("choose") else None,
    )
    page = upload(open_page(KEY), fleet.write_csv().encode())
    assert not page.exception
    first = page.subheader[0].value.replace("\\", "")
    assert first in set(fleet["unit_id"])
    assert page.multiselect(key=f"{KEY}/machine/sensors/{first}").value


def test_a_failed_explanation_is_warned_of_beside_the_drivers(open_page, fleet, failed_explanation):
    page = upload(open_page(KEY), fleet.write_csv().encode())
    assert not page.exception
    assert any("no better than a random order" in error.value for error in page.error)


def test_without_explanations_the_page_says_how_to_get_them(open_page, fleet):
    page = open_page(KEY)
    page.toggle(key=f"{KEY}/explain").set_value(False).run()
    upload(page, fleet.write_csv().encode())
    assert not page.exception
    assert any("Explain each case" in caption.value for caption in page.caption)
    assert table_with(page, "rul_text")["driven_by"].unique().to_list() == [""]


def test_readings_that_break_the_contract_are_listed_and_the_others_forecast(open_page, fleet):
    broken = fleet.with_columns(time=pl.when(pl.int_range(pl.len()) < 2).then(-1.0).otherwise("time"))
    page = upload(open_page(KEY), broken.write_csv().encode())
    assert not page.exception
    assert table_with(page, "broken_rules").height == 2
    assert table_with(page, "rul_text").height == fleet["unit_id"].n_unique()


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"machine,hour\na,1\n", "unit_id"), (b"", "Expected"), (b"\x89PNG\r\n" + bytes(99), "Expected")],
    ids=["other columns", "empty", "picture"],
)
def test_a_file_of_something_else_gives_one_message(open_page, content, expected):
    page = upload(open_page(KEY), content)
    assert not page.exception
    assert len(page.error) == 1
    assert expected in page.error[0].value.replace("\\", "")


def test_names_of_machines_stay_text(open_page, fleet):
    hostile = "<img src=x onerror=alert(1)> [a](javascript:alert(1))"
    named = fleet.with_columns(unit_id=pl.concat_str(pl.lit(hostile), "unit_id"))
    page = upload(open_page(KEY), named.write_csv().encode())
    assert not page.exception
    assert "<img" not in numbers(page)
    assert page.subheader[0].value.replace("\\", "").startswith(hostile)
    assert page.subheader[0].value.startswith("\\<")


def test_policies_are_compared_and_other_costs_move_the_threshold(open_page, fleet):
    page = upload(open_page(KEY), fleet.write_csv().encode())
    look_at(page, COSTS)
    assert not page.exception
    policies = table_with(page, "policy")
    assert policies["policy"].to_list() == [
        "service by forecast", "fixed interval", "run to failure", "perfect foresight",
    ]  # fmt: skip
    assert "as served" in numbers(page)
    # services as dear as failures: waiting for the failure costs least
    page.number_input(key=f"{KEY}/costs/cost_service").set_value(10.0).run()
    assert not page.exception
    assert "served: " in numbers(page)
    assert "--set decision.cost_service=10" in page.code[-1].value
    assert any("Proposals that change" in text.value for text in page.markdown)


def test_the_network_stands_beside_the_plain_ways_to_forecast(open_page):
    page = open_page(KEY, view=MODELS)
    assert not page.exception
    table = table_with(page, "RMSE up to the cap")
    assert len(table) == 5
    assert table["model"].str.contains("this model").sum() == 1
    assert table_with(page, "stage")["stage"].to_list() == ["near failure", "on the way", "far from failure"]


def _board_without_failures() -> None:
    from types import SimpleNamespace

    import polars as pl
    import streamlit as st

    from apps.dashboard.views.fleet import fleet_board
    from apps.dashboard.views.forecast_quality import forecast_quality
    from apps.dashboard.views.service_costs import costs_view

    bundle = SimpleNamespace(json=lambda name: {"alarm": {"threshold": 2.0}})
    model = SimpleNamespace(bundle=bundle, metrics={"policies": None})
    missing = pl.lit(None, dtype=pl.Float64)
    forecasts = pl.DataFrame({"unit_id": ["a", "b"], "action": ["plan_service", "run_on"]}).with_columns(
        pl.Series("anomaly_score", [3.0, 0.9]),
        *(missing.alias(name) for name in ("rul", "rul_low", "rul_high", "failure_probability")),
        *(pl.lit(None, dtype=pl.String).alias(name) for name in ("rul_text", "driving_sensors")),
        action_reason=pl.lit("Anomaly score."),
        time_unit=pl.lit("hours"),
        horizon=pl.lit(20.0),
    )
    st.text(fleet_board(model, forecasts, key="board"))
    costs_view(model, "hours", forecasts, key="costs")
    forecast_quality(model, None)


def test_a_fleet_that_never_failed_is_shown_by_its_anomalies():
    page = AppTest.from_function(_board_without_failures, default_timeout=60).run()
    assert not page.exception
    assert page.text[0].value == "a"
    assert [info.value.startswith("This fleet had too few failures") for info in page.info] == [True, True]
