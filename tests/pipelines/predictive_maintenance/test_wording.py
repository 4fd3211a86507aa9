"""What planners read is true: rounded outwards, open where nothing is known, with the reason of the decision."""

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.predictive_maintenance.alarm import Alarm
from pipelines.predictive_maintenance.policy import Decision
from pipelines.predictive_maintenance.targets import Scale
from pipelines.predictive_maintenance.wording import Words, by_anomaly, by_forecast

WORDS = Words(Scale(cap=125.0, horizon=30.0), "cycles")


@pytest.mark.parametrize(
    ("cap", "low", "high", "expected"),
    [
        (125.0, 40.6, 70.2, "40 to 71 cycles"),
        (125.0, 40.6, None, ">= 40 cycles"),
        (125.0, 125.0, None, ">= 125 cycles"),
        (125.0, 0.0, 0.4, "0 to 1 cycles"),
        (5000.0, 1234.5, 2345.1, "1,234 to 2,346 cycles"),
        (4.0, 1.27, 2.31, "1.2 to 2.4 cycles"),
        (0.5, 0.2, 0.301, "0.20 to 0.31 cycles"),
    ],
    ids=["both ends", "open", "at the cap", "at failure", "large", "small", "below one"],
)
def test_intervals_in_words(cap, low, high, expected):
    assert Words(Scale(cap, cap / 4), "cycles").interval(low, high) == expected


@given(low=st.floats(0, 125), width=st.floats(0, 125))
def test_the_interval_in_words_holds_the_interval_in_numbers(low, width):
    first, last = WORDS.interval(low, low + width).removesuffix(" cycles").split(" to ")
    assert float(first) <= low + 1e-6
    assert float(last.replace(",", "")) >= low + width - 1e-6
    assert float(last.replace(",", "")) - float(first) <= width + 2


def test_each_action_names_the_number_that_it_follows_from():
    table = pl.DataFrame(
        {"forecast": [10.0, 40.0, 100.0], "low": [2.0, 30.0, 80.0], "high": [20.0, 60.0, math.nan]}
    )
    now, plan, on = by_forecast(table, Decision(threshold=18.0, plan_by=48.0), WORDS)
    assert (now.action, plan.action, on.action) == ("service_now", "plan_service", "run_on")
    assert now.reason == (
        "About 10 cycles left (2 to 20 cycles), at or below the 18 cycles at which a service costs least."
    )
    assert "within 30 cycles of the 18 cycles" in plan.reason
    assert "About 100 cycles left (>= 80 cycles), more than the 48 cycles" in on.reason
    assert on.interval == ">= 80 cycles"


def test_an_alarm_says_how_much_of_usual_operation_it_leaves_quiet():
    quiet, loud = by_anomaly([1.5, 3.0], Alarm(threshold=2.0, quiet_share=0.95, num_machines=19))
    assert (quiet.action, loud.action) == ("run_on", "plan_service")
    assert loud.reason.startswith("Anomaly score 3.00, above 2.00: 95%")
    assert quiet.interval is None


def test_a_machine_that_has_failed_is_not_told_how_long_it_will_run():
    [found] = by_forecast(
        pl.DataFrame({"forecast": [100.0], "low": [80.0], "high": [math.nan]}), Decision(18.0, 48.0), WORDS
    )
    failed = found.of_failed().with_remarks(["Short history: 3 of 50 readings."])
    assert failed.action == "service_now"
    assert failed.reason.startswith("It failed at this reading")
    assert failed.reason.endswith("Short history: 3 of 50 readings.")
    assert "100 cycles" not in failed.reason
