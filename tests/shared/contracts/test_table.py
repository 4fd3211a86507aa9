"""Every row ends on one side; what was given is kept; every broken rule is named."""

import datetime

import polars as pl
import pytest

from shared.contracts.contract import load
from shared.contracts.properties import Property
from shared.contracts.report import ContractBroken
from shared.contracts.table import check_table
from shared.errors import RequestError

KEY = {"name": "key", "logicalType": "string", "required": True, "primaryKey": True}


def number(name="x", **fields):
    return {"name": name, "logicalType": "number", **fields}


def rules_of(check):
    return dict(zip(check.quarantined["row_number"], check.quarantined["broken_rules"], strict=True))


def test_good_table_passes_without_violations(contract):
    check = check_table(pl.DataFrame({"key": ["a", "b"], "x": [1, 2]}), contract([KEY, number()]))
    assert check.passed
    assert check.violations == ()
    assert check.require().schema == {"key": pl.String, "x": pl.Float64}
    assert check.quarantined.height == 0
    assert check.quarantined.columns == ["key", "x", "row_number", "broken_rules"]


def test_row_that_breaks_several_rules_lists_them_all_with_values(contract):
    columns = [KEY, number(logicalTypeOptions={"maximum": 10}), {"name": "d", "logicalType": "date"}]
    frame = pl.DataFrame({"key": ["a", None], "x": ["3", "11"], "d": ["2026-01-31", "31.01.2026"]})
    check = check_table(frame, contract(columns))
    assert rules_of(check) == {
        2: "key: required (expected a value, received null); "
        "x: range (expected <= 10, received '11'); "
        "d: type (expected a date like 2026-01-31, received '31.01.2026')"
    }
    assert check.quarantined.select("key", "x", "d").rows() == [(None, "11", "31.01.2026")]
    assert check.valid.rows() == [("a", 3.0, datetime.date(2026, 1, 31))]


@pytest.mark.parametrize(
    ("logical_type", "values", "expected"),
    [
        ("number", ["1", "1.0", " 2 ", "1e3", "-0.5"], [1.0, 1.0, 2.0, 1000.0, -0.5]),
        ("number", ["abc", "", "1,5", "1_000", "0x10"], "type"),
        ("number", ["nan", "inf", "-Infinity", "1e400"], "finite"),
        ("number", [float("nan"), float("inf")], "finite"),
        ("integer", ["1", "1.0", "1e3", "9007199254740993"], [1, 1, 1000, 9007199254740993]),
        ("integer", ["1.5", "9223372036854775808", "true", "1e30"], "type"),
        ("integer", [1.5, 1e30], "type"),
        ("integer", [float("nan"), float("-inf")], "finite"),
        ("integer", [2.0, -3.0], [2, -3]),
        ("integer", [True, False], [1, 0]),
        ("boolean", ["true", "FALSE", "1", "0"], [True, False, True, False]),
        ("boolean", [1, 0], [True, False]),
        ("boolean", [2, -1], "type"),
        ("boolean", ["yes", "2"], "type"),
        ("string", [1, 2], ["1", "2"]),
        ("string", [True, False], ["true", "false"]),
        ("date", ["2024-02-29"], [datetime.date(2024, 2, 29)]),
        ("date", ["2023-02-29", "2024-1-5", "0000-01-01", "+2024-01-05", "12024-01-01"], "type"),
        ("date", [datetime.datetime(2024, 1, 5)], [datetime.date(2024, 1, 5)]),
        ("date", [datetime.datetime(2024, 1, 5, 1)], "type"),
        ("timestamp", ["2024-01-05T25:00:00Z", "2024-01-05", "0000-01-01T00:00:00Z"], "type"),
        ("time", ["10:00", "10:00:01.5"], [datetime.time(10), datetime.time(10, 0, 1, 500000)]),
        ("time", ["25:00", "10"], "type"),
    ],
)
def test_values_convert_without_loss_or_are_quarantined(contract, logical_type, values, expected):
    check = check_table(pl.DataFrame({"x": values}), contract([{"name": "x", "logicalType": logical_type}]))
    if isinstance(expected, str):
        assert check.valid.height == 0
        assert {violation.rule for violation in check.violations} == {expected}
        assert check.violations[0].count == len(values)
    else:
        assert check.valid["x"].to_list() == expected
        assert check.violations == ()


def test_timestamps_become_utc_whatever_their_offset(contract):
    texts = [
        "2024-01-05 10:00:00",
        "2024-01-05T10:00:00Z",
        "2024-01-05T12:00:00+02:00",
        "2024-01-05T12:00:00.000000000+0200",
    ]
    compiled = contract([{"name": "t", "logicalType": "timestamp"}])
    moment = datetime.datetime(2024, 1, 5, 10, tzinfo=datetime.UTC)
    assert check_table(pl.DataFrame({"t": texts}), compiled).valid["t"].to_list() == [moment] * 4
    berlin = (
        pl.Series([moment]).dt.convert_time_zone("Europe/Berlin").cast(pl.Datetime("ns", "Europe/Berlin"))
    )
    assert check_table(pl.DataFrame({"t": berlin}), compiled).valid["t"].to_list() == [moment]


@pytest.mark.parametrize("dtype", [pl.UInt64, pl.Int128, pl.Decimal(38, 0)])
def test_integers_that_do_not_fit_are_quarantined_not_wrapped(contract, dtype):
    frame = pl.DataFrame({"x": pl.Series([2**63, 5]).cast(dtype)})
    check = check_table(frame, contract([{"name": "x", "logicalType": "integer"}]))
    assert check.valid["x"].to_list() == [5]
    assert list(rules_of(check)) == [1]


@pytest.mark.parametrize(
    ("logical_type", "values"),
    [
        ("number", [[1.0]]),
        ("number", [True]),
        ("number", [datetime.date(2024, 1, 1)]),
        ("string", [1.5]),
        ("string", [{"a": 1}]),
        ("date", [20240105]),
        ("array", ["[1]"]),
        ("time", [3]),
    ],
)
def test_wholly_wrong_type_is_one_problem_of_the_table(contract, logical_type, values):
    check = check_table(pl.DataFrame({"x": values}), contract([{"name": "x", "logicalType": logical_type}]))
    (violation,) = check.violations
    assert (violation.rule, violation.column, violation.blocking) == ("type", "x", True)
    with pytest.raises(ContractBroken, match="Received a column of"):
        check.require()


def test_special_codes_are_exempt_from_the_value_rules_only(contract):
    codes = [{"property": "specialCodes", "value": [-9, -8]}]
    column = number(logicalTypeOptions={"minimum": 0}, customProperties=codes, required=True)
    check = check_table(pl.DataFrame({"x": ["-9", "-8.0", "-7", None, "5"]}), contract([column]))
    assert check.valid["x"].to_list() == [-9.0, -8.0, 5.0]
    assert [violation.rule for violation in check.violations] == ["required", "range"]


def test_nan_passes_only_where_the_contract_says_so(contract):
    column = number(
        logicalTypeOptions={"maximum": 1}, customProperties=[{"property": "finite", "value": False}]
    )
    check = check_table(pl.DataFrame({"x": [float("nan"), 0.5, 2.0]}), contract([column]))
    assert list(rules_of(check)) == [3]


def test_infinity_is_one_fault_and_out_of_range_only_where_it_is_allowed(contract):
    strict = number(logicalTypeOptions={"maximum": 1})
    loose = {**strict, "customProperties": [{"property": "finite", "value": False}]}
    frame = pl.DataFrame({"x": [float("inf"), float("-inf")]})
    assert [item.rule for item in check_table(frame, contract([strict])).violations] == ["finite"]
    (violation,) = check_table(frame, contract([loose])).violations
    assert (violation.rule, violation.rows) == ("range", (1,))


def test_text_rules_count_characters_not_bytes(contract):
    column = {
        "name": "x",
        "logicalType": "string",
        "logicalTypeOptions": {"maxLength": 3, "pattern": "^[^x]*$"},
    }
    check = check_table(pl.DataFrame({"x": ["日本語", "äöü", "😀😀😀", "long", "xx"]}), contract([column]))
    assert rules_of(check) == {
        4: "x: length (expected at most 3 characters, received 'long')",
        5: "x: pattern (expected text that matches ^[^x]*$, received 'xx')",
    }


def test_conflicting_keys_are_all_quarantined_and_copies_keep_the_first(contract):
    frame = pl.DataFrame({"key": ["a", "b", "a", "b", "c", "c", "c"], "x": [1, 2, 9, 2, 3, 3, 4]})
    check = check_table(frame, contract([KEY, number()]))
    assert check.valid.rows() == [("b", 2.0)]
    assert {row: text.split(" (")[0] for row, text in rules_of(check).items()} == {
        1: "key: unique",
        3: "key: unique",
        4: "all columns: duplicate_row",
        5: "key: unique",
        6: "key: unique",
        7: "key: unique",
    }


def test_keys_are_compared_after_conversion_and_nulls_are_no_key(contract):
    column = {"name": "x", "logicalType": "integer", "unique": True}
    check = check_table(pl.DataFrame({"x": ["1", "1.0", None, None, "2"]}), contract([column]))
    assert list(rules_of(check)) == [1, 2]
    assert check.valid["x"].to_list() == [None, None, 2]


def test_copies_are_told_by_all_columns_also_undeclared_ones(contract):
    frame = pl.DataFrame({"key": ["a", "a", "b", "b"], "note": [[1], [2], [3], [3]]})
    check = check_table(frame, contract([KEY], openColumns=True))
    assert check.valid["note"].to_list() == [[3]]
    assert [violation.rule for violation in check.violations] == ["unique", "duplicate_row"]


def test_composite_key_is_unique_as_a_whole(contract):
    parts = [
        {"name": name, "logicalType": "integer", "required": True, "primaryKey": True} for name in ("a", "b")
    ]
    check = check_table(
        pl.DataFrame({"a": [1, 1, 2, 1], "b": [1, 2, 1, 1], "c": [1, 2, 3, 4]}), contract(parts)
    )
    assert list(rules_of(check)) == [1, 4]
    assert check.violations[0].column == "a, b"


def test_missing_column_names_the_close_one(contract):
    check = check_table(pl.DataFrame({"Amount": [1]}), contract([number("amount")]))
    with pytest.raises(ContractBroken, match=r"no such column \(close: Amount\)"):
        check.require()
    assert check.num_rows == 1
    assert check.ignored_columns == ("Amount",)


def test_optional_column_may_be_absent_but_not_broken(contract):
    optional = [{"property": "optionalColumn", "value": True}]
    compiled = contract([KEY, number(required=True, customProperties=optional)])
    assert check_table(pl.DataFrame({"key": ["a"]}), compiled).passed
    assert not check_table(pl.DataFrame({"key": ["a"], "x": [None]}), compiled).passed


def test_extra_columns_pass_an_open_contract_and_are_ignored_by_a_closed_one(contract):
    frame = pl.DataFrame({"mine": [[1]], "key": ["a"], "yours": [2]})
    opened = check_table(frame, contract([KEY], openColumns=True))
    closed = check_table(frame, contract([KEY]))
    assert opened.require().columns == ["key", "mine", "yours"]
    assert closed.require().columns == ["key"]
    assert closed.ignored_columns == ("mine", "yours")


def test_quarantine_file_that_was_corrected_can_be_given_again(contract):
    compiled = contract([KEY, number()], openColumns=True)
    bad = check_table(pl.DataFrame({"key": ["a", "b"], "x": ["1", "?"]}), compiled).quarantined
    again = check_table(bad, compiled)
    assert again.quarantined.columns == ["key", "x", "row_number", "broken_rules"]
    fixed = check_table(bad.with_columns(x=pl.lit("2")), compiled)
    assert fixed.require().columns == ["key", "x"]
    assert set(fixed.ignored_columns) == {"row_number", "broken_rules"}


def test_column_that_a_csv_header_repeats_is_a_problem(contract):
    frame = pl.read_csv(b"key,x,x\na,1,2\n")
    with pytest.raises(ContractBroken, match="x: duplicate_column"):
        check_table(frame, contract([KEY, number()], openColumns=True)).require()


def test_python_objects_are_refused_even_in_an_open_contract(contract):
    frame = pl.DataFrame({"key": ["a", "a"], "o": pl.Series([object(), object()], dtype=pl.Object)})
    with pytest.raises(ContractBroken, match="Python objects"):
        check_table(frame, contract([KEY], openColumns=True)).require()


def test_empty_table_is_refused(contract):
    for frame in (
        pl.DataFrame(),
        pl.DataFrame({"key": []}),
        pl.DataFrame({"key": []}, schema={"key": pl.String}),
    ):
        check = check_table(frame, contract([KEY]))
        assert check.num_rows == 0
        assert check.quarantined_percent == 0
        with pytest.raises(ContractBroken, match="at least one row"):
            check.require()


def test_one_row_passes_or_fails_alone(contract):
    compiled = contract([KEY], maxQuarantinedPercent=100)
    assert check_table(pl.DataFrame({"key": ["a"]}), compiled).require().height == 1
    with pytest.raises(ContractBroken, match="1 of 1"):
        check_table(pl.DataFrame({"key": [None]}), compiled).require()


def test_all_null_columns_convert_and_break_only_required(contract):
    frame = pl.DataFrame({"key": ["a", "b"], "x": [None, None], "t": [None, None]})
    compiled = contract([KEY, number(), {"name": "t", "logicalType": "timestamp", "required": True}])
    check = check_table(frame, compiled)
    assert check.valid.schema["x"] == pl.Float64
    assert [(violation.rule, violation.column, violation.count) for violation in check.violations] == [
        ("required", "t", 2)
    ]


@pytest.mark.parametrize(("num_bad", "passes"), [(5, True), (6, False)])
def test_limit_is_inclusive(contract, num_bad, passes):
    values = ["?"] * num_bad + ["1"] * (100 - num_bad)
    check = check_table(pl.DataFrame({"x": values}), contract([number()]))
    assert check.passed is passes
    assert check.quarantined_percent == num_bad


def test_error_is_short_and_holds_rules_rows_and_limit_but_no_values(contract):
    columns = [number(f"column_{index}") for index in range(9)]
    frame = pl.DataFrame({f"column_{index}": ["secret"] * 20 for index in range(9)})
    with pytest.raises(ContractBroken) as caught:
        check_table(frame, contract(columns)).require()
    message = str(caught.value)
    assert isinstance(caught.value, RequestError)
    assert caught.value.exit_code == 2
    assert "at most 5 % broken rows. Received 20 of 20 (100 %)" in message
    assert "column_0: type (20 times, first in rows 1, 2, 3, 4, 5)" in message
    assert "and 5 more rules" in message
    assert "secret" not in message
    assert len(message.splitlines()) == 7
    assert len(caught.value.violations) == 9


def test_hostile_values_are_cut_and_cleaned_in_reasons(contract):
    column = {"name": "x", "logicalType": "integer"}
    frame = pl.DataFrame({"x": ["\x1b[31mred\r\n\u202eevil", "9" * 10_000, "{}"]})
    check = check_table(frame, contract([column]))
    texts = "".join(check.quarantined["broken_rules"]) + "".join(check.violations[0].examples)
    assert texts.isprintable()
    assert max(len(text) for text in check.quarantined["broken_rules"]) < 120
    assert check.quarantined["x"].to_list() == frame["x"].to_list()


def test_record_of_a_check_is_plain_json(contract):
    check = check_table(pl.DataFrame({"x": ["?", "1"], "y": [1, 2]}), contract([number()]))
    record = check.to_json()
    assert record["contract"] == "orders@1.0.0"
    assert (record["rows"], record["quarantined"], record["ignored_columns"]) == (2, 1, ["y"])
    assert record["violations"][0]["examples"] == ("'?'",)


def test_reasons_stay_with_their_rows_beyond_one_batch_and_group(contract, monkeypatch):
    monkeypatch.setattr("shared.contracts.quarantine.ROWS_PER_BATCH", 3)
    monkeypatch.setattr("shared.contracts.quarantine.RULES_PER_GROUP", 2)
    columns = [number(f"c{index}") for index in range(5)]
    frame = pl.DataFrame({f"c{index}": [f"v{index}.{row}" for row in range(8)] for index in range(5)})
    check = check_table(frame.with_columns(c0=pl.Series(["1"] * 7 + ["bad"])), contract(columns))
    for row, text in rules_of(check).items():
        reasons = text.split("; ")
        assert len(reasons) == (5 if row == 8 else 4)
        assert f"c4: type (expected a number, received 'v4.{row - 1}')" == reasons[-1]


def test_ten_thousand_open_columns_pass_through():
    frame = pl.DataFrame(
        {f"feature {index}": [0.5, 1.5] for index in range(10_000)} | {"application_id": ["ä", "b"]}
    )
    check = check_table(frame, load("credit_applications"))
    assert check.require().width == 10_001
    own = [Property(name=f"feature {index}", logical_type="number", maximum=1) for index in range(500)]
    extended = check_table(frame, load("credit_applications").extended(own, suffix="wide"))
    assert extended.valid.width == 501
    assert extended.quarantined["broken_rules"][0].count("; ") == 499
    assert len(extended.ignored_columns) == 9_500


def test_training_rows_without_label_and_scoring_tables_without_the_column():
    compiled = load("credit_applications")
    assert check_table(pl.DataFrame({"application_id": [1, 2], "age": [30, 40]}), compiled).passed
    labelled = pl.DataFrame({"application_id": ["a", "b", "c"], "defaulted": [1, None, 2]})
    check = check_table(labelled, compiled)
    assert check.valid["defaulted"].to_list() == [1, None]
    assert list(rules_of(check)) == [3]
