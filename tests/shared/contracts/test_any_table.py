"""For any valid table nothing is found; for any single planted fault exactly that row, column and rule is."""

import datetime

import pandera.errors
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from shared.contracts.contract import parse
from shared.contracts.frame_schema import frame_schema
from shared.contracts.table import check_table


def column(name, logical_type, options=None, **fields):
    return {"name": name, "logicalType": logical_type, "logicalTypeOptions": options or {}, **fields}


quick = settings(deadline=None, max_examples=25)
DAY = datetime.date(2020, 1, 1)
CONTRACT = parse(
    {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "readings",
        "name": "readings",
        "version": "1.0.0",
        "status": "active",
        "schema": [
            {
                "name": "rows",
                "properties": [
                    column("key", "string", {"minLength": 1}, required=True, primaryKey=True),
                    column("level", "number", {"minimum": 0, "exclusiveMaximum": 100}, required=True),
                    column("count", "integer", {"exclusiveMinimum": -1}),
                    column("kind", "string", {"pattern": "^[a-zé]+$", "maxLength": 4}, required=True),
                    column("flag", "boolean"),
                    column("day", "date", {"minimum": "2020-01-01"}),
                    column("at", "timestamp", {"maximum": "2030-01-01T00:00:00Z"}),
                    column(
                        "code",
                        "integer",
                        quality=[
                            {"metric": "invalidValues", "arguments": {"validValues": [1, 2]}, "mustBe": 0}
                        ],
                    ),
                ],
            }
        ],
    }
)
ROW = {
    "level": st.floats(0, 100, exclude_max=True),
    "count": st.none() | st.integers(0, 2**62),
    "kind": st.text("abcé", min_size=1, max_size=4),
    "flag": st.none() | st.booleans(),
    "day": st.none() | st.dates(DAY),
    "at": st.none() | st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2029, 1, 1)),
    "code": st.none() | st.sampled_from([1, 2]),
}
SCHEMA = {
    "key": pl.String,
    "level": pl.Float64,
    "count": pl.Int64,
    "kind": pl.String,
    "flag": pl.Boolean,
    "day": pl.Date,
    "at": pl.Datetime("us"),
    "code": pl.Int64,
}
# rule -> column -> values that break exactly this rule
FAULTS = {
    "required": {"level": [None], "kind": [None], "key": [None]},
    "type": {
        "level": ["x", ""],
        "count": ["1.5", "1e99"],
        "flag": ["maybe"],
        "day": ["2024-13-01"],
        "at": ["now"],
    },
    "finite": {"level": ["nan", "inf", "-inf"], "count": ["NaN"]},
    "range": {
        "level": ["-1e-9", "100"],
        "count": ["-1"],
        "day": ["2019-12-31"],
        "at": ["2030-01-01T00:00:01Z"],
    },
    "valid_values": {"code": ["0", "3"]},
    "pattern": {"kind": ["A", "a b", "😀"]},
    "length": {"kind": ["abcab"], "key": [""]},
}


@st.composite
def tables(draw):
    rows = draw(st.lists(st.fixed_dictionaries(ROW), min_size=1, max_size=12))
    keys = draw(st.lists(st.text(min_size=1), min_size=len(rows), max_size=len(rows), unique=True))
    return pl.DataFrame([{"key": key} | row for key, row in zip(keys, rows, strict=True)], schema=SCHEMA)


def as_text(frame):
    """The same table as a CSV reader without type inference would give it."""
    return frame.with_columns(
        pl.col("level", "count", "code", "flag", "day").cast(pl.String),
        pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6f"),
    )


@quick
@given(tables())
def test_valid_table_passes_typed_or_as_text(frame):
    check = check_table(frame, CONTRACT)
    assert check.violations == ()
    assert_frame_equal(check.require(), frame.with_columns(pl.col("at").dt.replace_time_zone("UTC")))
    assert_frame_equal(check_table(as_text(frame), CONTRACT).require(), check.valid)


@quick
@given(tables())
def test_pandera_agrees_that_valid_rows_are_valid(frame):
    valid = check_table(frame, CONTRACT).valid
    frame_schema(CONTRACT).validate(valid)


@pytest.mark.parametrize("rule", FAULTS)
@quick
@given(data=st.data())
def test_one_planted_fault_is_named_and_nothing_else_is_touched(rule, data):
    frame = as_text(data.draw(tables()))
    name = data.draw(st.sampled_from(list(FAULTS[rule])))
    position = data.draw(st.integers(0, frame.height - 1))
    value = data.draw(st.sampled_from(FAULTS[rule][name]))
    values = frame[name].to_list()
    values[position] = value
    broken = frame.with_columns(pl.Series(name, values, dtype=pl.String))
    check = check_table(broken, CONTRACT)
    (violation,) = check.violations
    assert (violation.rule, violation.column, violation.count) == (rule, name, 1)
    assert violation.rows == (position + 1,)
    assert check.quarantined["row_number"].to_list() == [position + 1]
    assert check.quarantined["broken_rules"][0].startswith(f"{name}: {rule} (expected ")
    assert_frame_equal(check.quarantined.select(broken.columns), broken[position : position + 1])
    others = (
        check_table(frame, CONTRACT).valid.with_row_index().filter(pl.col("index") != position).drop("index")
    )
    assert_frame_equal(check.valid, others)


@quick
@given(data=st.data())
def test_planted_duplicate_is_named(data):
    frame = data.draw(tables())
    position = data.draw(st.integers(0, frame.height - 1))
    copied = pl.concat([frame, frame[position : position + 1]])
    check = check_table(copied, CONTRACT)
    assert [violation.rule for violation in check.violations] == ["duplicate_row"]
    assert check.quarantined["row_number"].to_list() == [frame.height + 1]
    changed = copied.with_columns(level=pl.Series([*copied["level"][:-1], (copied["level"][-1] + 50) % 100]))
    check = check_table(changed, CONTRACT)
    assert [violation.rule for violation in check.violations] == ["unique"]
    assert check.quarantined["row_number"].to_list() == [position + 1, frame.height + 1]


junk = st.none() | st.text(max_size=6) | st.sampled_from(["1", "nan", "2024-01-01", "true", "a", "-1", "1e5"])


@quick
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(SCHEMA, junk)), max_size=10))
def test_any_text_table_is_split_without_loss_and_pandera_accepts_the_valid_part(rows):
    frame = pl.DataFrame(rows, schema=dict.fromkeys(SCHEMA, pl.String))
    check = check_table(frame, CONTRACT)
    assert check.valid.height + check.quarantined.height == frame.height
    kept = [
        number for number in range(1, frame.height + 1) if number not in set(check.quarantined["row_number"])
    ]
    assert check.valid["key"].to_list() == [rows[number - 1]["key"] for number in kept]
    assert all(check.quarantined["broken_rules"])
    frame_schema(CONTRACT).validate(check.valid)


def test_pandera_accepts_what_it_cannot_say(contract):
    code = {"property": "specialCodes", "value": [-9]}
    columns = [
        column("k", "integer", unique=True),
        column("x", "number", {"minimum": 0}, customProperties=[code]),
        column("n", "number", {"maximum": 1}, customProperties=[{"property": "finite", "value": False}]),
        column("p", "string", {"pattern": "b$"}),
    ]
    frame = pl.DataFrame({"k": [None, None], "x": [-9, 1], "n": [float("nan"), 1], "p": ["ab", "b"]})
    compiled = contract(columns)
    frame_schema(compiled).validate(check_table(frame, compiled).require())


@pytest.mark.parametrize(
    ("name", "value"), [("level", 100.0), ("kind", "A"), ("kind", "abcab"), ("code", 3), ("day", None)]
)
def test_pandera_schema_can_fail(name, value):
    row = {"key": "a", "level": 1.0, "count": 1, "kind": "a", "flag": True, "day": DAY, "at": None, "code": 1}
    good = check_table(pl.DataFrame([row], schema=SCHEMA), CONTRACT).valid
    bad = good.with_columns(pl.lit(value, dtype=good.schema[name]).alias(name))
    schema = frame_schema(CONTRACT)
    if name == "day":
        schema.validate(bad)
    else:
        with pytest.raises(pandera.errors.SchemaError):
            schema.validate(bad)
