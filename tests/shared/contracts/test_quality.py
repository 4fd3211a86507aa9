"""Quality rules are measured on valid rows, in rows or percent, and warn or stop as their severity says."""

import polars as pl
import pytest

from shared.contracts.quality import OPERATORS, QualityRule
from shared.contracts.report import ContractBroken
from shared.contracts.table import check_table

FRAME = pl.DataFrame({"x": ["a", "b", "b", "N/A", None]})


def text(quality):
    return {"name": "x", "logicalType": "string", "quality": [quality]}


@pytest.mark.parametrize(
    ("quality", "measured"),
    [
        ({"metric": "nullValues"}, 1),
        ({"metric": "nullValues", "unit": "percent"}, 20),
        ({"metric": "duplicateValues"}, 1),
        ({"metric": "missingValues", "arguments": {"missingValues": ["N/A", None]}}, 2),
        ({"metric": "missingValues", "arguments": {"missingValues": ["N/A"]}}, 1),
        ({"metric": "missingValues", "arguments": {"missingValues": [None]}}, 1),
        ({"metric": "invalidValues", "arguments": {"validValues": ["a", "b"]}}, 1),
        ({"metric": "invalidValues", "arguments": {"pattern": "^[a-z]$"}}, 1),
        (
            {
                "metric": "invalidValues",
                "arguments": {"validValues": ["a"], "pattern": "^[a-z]$"},
                "unit": "percent",
            },
            60,
        ),
    ],
)
def test_metric_counts_what_it_says(contract, quality, measured):
    compiled = contract([text(quality | {"mustBe": 99})])
    (violation,) = check_table(FRAME, compiled).violations
    assert (violation.rule, violation.column) == (quality["metric"], "x")
    assert violation.received == f"{measured} {'%' if 'unit' in quality else 'rows'}"
    assert check_table(FRAME, contract([text(quality | {"mustBe": measured})])).passed


def test_row_count_and_composite_duplicates_at_the_table(contract):
    frame = pl.DataFrame({"a": [1, 1, 1], "b": [1, 1, 2]})
    columns = [{"name": name, "logicalType": "integer"} for name in ("a", "b")]
    repeats = {"metric": "duplicateValues", "arguments": {"properties": ["a", "b"]}, "mustBeLessThan": 1}
    rows = {"metric": "rowCount", "mustBeGreaterThan": 3}
    check = check_table(frame, contract(columns, quality=[repeats, rows]))
    assert [(item.rule, item.column, item.received) for item in check.violations] == [
        ("duplicateValues", "a, b", "1 rows"),
        ("rowCount", None, "3 rows"),
    ]
    with pytest.raises(ContractBroken, match="rowCount: Expected > 3 rows"):
        check.require()


def test_composite_key_stated_as_quality_quarantines_rows(contract):
    frame = pl.DataFrame({"a": [1, 1, 2], "b": [1, 1, 2], "c": [1, 2, 3]})
    columns = [{"name": name, "logicalType": "integer"} for name in ("a", "b", "c")]
    exact = {"metric": "duplicateValues", "arguments": {"properties": ["a", "b"]}, "mustBe": 0}
    assert check_table(frame, contract(columns, quality=[exact])).quarantined["row_number"].to_list() == [
        1,
        2,
    ]


def test_warning_is_reported_and_does_not_stop(contract):
    quality = {"metric": "nullValues", "mustBe": 0, "severity": "warning"}
    check = check_table(FRAME, contract([text(quality)]))
    assert [item.rule for item in check.violations] == ["nullValues"]
    assert check.require().height == 5


def test_quality_is_measured_on_valid_rows(contract):
    column = {
        "name": "x",
        "logicalType": "integer",
        "quality": [
            {"metric": "nullValues", "mustBeLessOrEqualTo": 0},
            {"metric": "duplicateValues", "mustBeLessThan": 1},
        ],
    }
    frame = pl.DataFrame({"x": ["1", "?", "?", "2"]})
    check = check_table(
        frame, contract([column], maxQuarantinedPercent=50, quality=[{"metric": "rowCount", "mustBe": 2}])
    )
    assert check.passed
    assert [item.rule for item in check.violations] == ["type"]


def test_special_codes_and_dates_are_valid_values_of_the_right_type(contract):
    codes = {
        "name": "n",
        "logicalType": "integer",
        "customProperties": [{"property": "specialCodes", "value": [-9]}],
        "quality": [{"metric": "invalidValues", "arguments": {"validValues": [1]}, "mustBeLessThan": 1}],
    }
    rate = {
        "name": "r",
        "logicalType": "number",
        "quality": [{"metric": "invalidValues", "arguments": {"validValues": [0, 1]}, "mustBeLessThan": 1}],
    }
    day = {
        "name": "d",
        "logicalType": "date",
        "quality": [
            {"metric": "invalidValues", "arguments": {"validValues": ["2024-01-01"]}, "mustBeLessThan": 1}
        ],
    }
    compiled = contract([codes, rate, day])
    assert check_table(pl.DataFrame({"n": [1, -9], "r": [0, 1], "d": ["2024-01-01"] * 2}), compiled).passed
    assert not check_table(pl.DataFrame({"n": [1, 2], "r": [0, 1], "d": ["2024-01-01"] * 2}), compiled).passed
    assert not check_table(
        pl.DataFrame({"n": [1, 1], "r": [0, 1], "d": ["2024-01-01", "2024-01-02"]}), compiled
    ).passed


@pytest.mark.parametrize(
    ("operator", "operand", "holds"),
    [
        ("mustBe", 2, [0, 1, 0]),
        ("mustNotBe", 2, [1, 0, 1]),
        ("mustBeGreaterThan", 2, [0, 0, 1]),
        ("mustBeGreaterOrEqualTo", 2, [0, 1, 1]),
        ("mustBeLessThan", 2, [1, 0, 0]),
        ("mustBeLessOrEqualTo", 2, [1, 1, 0]),
        ("mustBeBetween", (2, 3), [0, 1, 1]),
        ("mustNotBeBetween", (2, 3), [1, 0, 0]),
    ],
)
def test_every_operator_compares_as_odcs_says(operator, operand, holds):
    rule = QualityRule(metric="rowCount", operator=operator, operand=operand)
    assert [rule.holds(measured) for measured in (1, 2, 3)] == [bool(value) for value in holds]
    assert operator in OPERATORS
    assert rule.expected
