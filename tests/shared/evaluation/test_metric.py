import json
import math

import pytest

from shared.evaluation.metric import Metric, decimals, number, readable, undefined


def test_interval_must_hold_the_value():
    with pytest.raises(ValueError, match="low <= value <= high"):
        Metric("roc_auc", 0.9, 0.7, 0.8)


def test_last_bit_noise_in_an_interval_is_accepted():
    assert Metric("roc_auc", 1.0, 1.0 + 1e-15, 1.0 + 1e-15).has_interval


def test_half_an_interval_is_refused():
    with pytest.raises(ValueError, match="both ends"):
        Metric("roc_auc", 0.9, 0.7, math.nan)


def test_undefined_metric_needs_a_reason_and_says_it():
    with pytest.raises(ValueError, match="reason"):
        Metric("roc_auc", math.nan)
    metric = undefined("roc_auc", "only one class", n=7)
    assert metric.format() == "undefined (only one class)"
    assert metric.to_json()["value"] is None


def test_json_is_strict_and_round_trips():
    for metric in (
        Metric("test/rmse", 12.5, 11.0, 14.0, "cycles", False, 100),
        Metric("test/rmse", 12.5),
        undefined("test/rmse", "no rows"),
    ):
        text = json.dumps(metric.to_json(), allow_nan=False)
        again = Metric.from_json(metric.name, json.loads(text))
        assert again.to_json() == metric.to_json()
        assert again.name == metric.name


def test_json_has_the_fields_of_the_run_summary():
    fields = Metric("a", 0.79, 0.72, 0.85, "", True, 200).to_json()
    assert fields == {
        "value": 0.79,
        "low": 0.72,
        "high": 0.85,
        "unit": "",
        "higher_is_better": True,
        "n": 200,
    }


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Metric("a", 0.7761, 0.7421, 0.8083), "0.776 (0.742 to 0.808)"),
        (Metric("a", 0.77612, 0.7741, 0.7783), "0.7761 (0.7741 to 0.7783)"),
        (Metric("a", 12.44, 11.0, 13.9, "cycles"), "12.4 cycles (11.0 to 13.9)"),
        (Metric("a", 1234.6, 1100.2, 1390.1, "EUR"), "1235 EUR (1100 to 1390)"),
        (Metric("a", 1.0, 1.0, 1.0), "1.000 (1.000 to 1.000)"),
    ],
)
def test_digits_follow_the_width_of_the_interval(metric, text):
    assert metric.format() == text


def test_number_never_prints_a_negative_zero():
    assert number(-0.0001, 3) == "0.000"
    assert number(-0.0001, 3, signed=True) == "0.000"
    assert number(0.0123, 3, signed=True) == "+0.012"


def test_names_are_spelled_as_readers_know_them():
    assert readable("test/roc_auc") == "ROC-AUC"
    assert readable("logistic_regression") == "logistic regression"


def test_decimals_of_strange_widths():
    assert decimals(0.0) == decimals(math.inf) == 3
    assert decimals(1e-30) == 6
    assert decimals(1e9) == 0
