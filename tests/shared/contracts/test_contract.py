"""Loading: found by name, refused when it promises what is not checked, same digest for same content."""

import json
import os

import pytest
import yaml

from shared.contracts.contract import CONTRACTS_FOLDER, load, parse
from shared.contracts.describe import describe
from shared.contracts.properties import Property
from shared.errors import RequestError

TEXT = {"name": "code", "logicalType": "string"}
NUMBER = {"name": "amount", "logicalType": "number"}


@pytest.mark.parametrize("name", ["credit_applications", "credit-applications", "credit-applications@1.0.0"])
def test_names_accept_dashes_and_versions(name):
    assert load(name).id_version == "credit_applications@1.0.0"


def test_unknown_name_offers_the_close_one():
    with pytest.raises(RequestError, match="credit_applications"):
        load("credit_aplications")


def test_another_version_is_refused():
    with pytest.raises(RequestError, match="Only that version is installed"):
        load("credit_applications@2.0.0")


@pytest.mark.parametrize("name", ["../pyproject.toml", "nowhere/x.odcs.yaml", "a\0b/c", "", "."])
def test_paths_that_are_no_contract_are_request_errors(name):
    with pytest.raises(RequestError):
        load(name)


def test_digest_ignores_layout_and_sees_every_rule(tmp_path):
    source = (CONTRACTS_FOLDER / "credit_applications.odcs.yaml").read_text()
    same = tmp_path / "same.yaml"
    same.write_text(
        "# a comment\n" + yaml.safe_dump(yaml.safe_load(source), sort_keys=True), encoding="utf-8"
    )
    other = tmp_path / "other.yaml"
    other.write_text(source.replace("validValues: [0, 1]", "validValues: [0, 1, 2]"))
    assert load(same).digest == load("credit_applications").digest
    assert load(other).digest != load("credit_applications").digest


def test_document_survives_json_as_in_a_bundle():
    original = load("credit_applications").extended(
        [Property(name="age", logical_type="integer")], suffix="x"
    )
    assert parse(json.loads(json.dumps(original.document()))) == original


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &x [1]\nb: *x\n", "anchors"),
        ("a: 1\na: 2\n", "stated twice"),
        ("- 1\n", "keys"),
        ("a: !!python/object/apply:os.system ['true']\n", "YAML"),
        ("a: [", "YAML"),
        ("1: 2\n", "not text"),
        ("", "keys"),
        ("a: 2024-99-99\n", "YAML"),
    ],
)
def test_hostile_or_broken_yaml_is_refused(tmp_path, text, reason):
    path = tmp_path / "bad.odcs.yaml"
    path.write_text(text)
    with pytest.raises(RequestError, match=reason):
        load(path)


def test_file_that_is_not_utf8_or_too_large_is_refused(tmp_path):
    path = tmp_path / "bad.odcs.yaml"
    path.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(RequestError, match="UTF-8"):
        load(path)
    path.write_bytes(b" " * (4 * 1024 * 1024 + 1))
    with pytest.raises(RequestError, match="at most"):
        load(path)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(RequestError, match="device or pipe"):
            load(path)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ({**TEXT, "requierd": True}, "close: required"),
        ({"name": "x"}, "logicalType"),
        ({"name": "x", "logicalType": "float"}, "logical_type"),
        ({**TEXT, "logicalTypeOptions": {"format": "email"}}, "format"),
        ({**NUMBER, "logicalTypeOptions": {"multipleOf": 5}}, "multipleOf"),
        ({**TEXT, "logicalTypeOptions": {"pattern": "(?=a)"}}, "look-around"),
        ({**TEXT, "logicalTypeOptions": {"pattern": "("}}, "regular expression"),
        ({**TEXT, "logicalTypeOptions": {"minLength": 5, "maxLength": 2}}, "min_length"),
        ({**NUMBER, "logicalTypeOptions": {"minimum": 5, "maximum": 2}}, "below the maximum"),
        ({**NUMBER, "logicalTypeOptions": {"minimum": "5"}}, "bound of type number"),
        ({**NUMBER, "logicalTypeOptions": {"exclusiveMinimum": True}}, "exclusive_minimum"),
        ({"name": "d", "logicalType": "date", "logicalTypeOptions": {"minimum": "yesterday"}}, "date"),
        ({"name": "row_number", "logicalType": "integer"}, "quarantine"),
        ({"name": "a\nb", "logicalType": "integer"}, "printable"),
        ({**TEXT, "quality": [{"type": "sql", "query": "select 1", "mustBe": 0}]}, "never executed"),
        ({**TEXT, "quality": [{"query": "select 1", "mustBe": 0}]}, "never executed"),
        (
            {**TEXT, "quality": [{"type": "custom", "engine": "soda", "implementation": "x"}]},
            "never executed",
        ),
        ({**TEXT, "quality": [{"metric": "nullValues"}]}, "exactly one"),
        ({**TEXT, "quality": [{"metric": "nullValues", "mustBe": 0, "mustNotBe": 1}]}, "exactly one"),
        ({**TEXT, "quality": [{"metric": "nullValues", "mustBe": "none"}]}, "a number"),
        ({**TEXT, "quality": [{"metric": "rowCount", "mustBe": 1}]}, "at the table"),
        ({**TEXT, "quality": [{"metric": "freshness", "mustBe": 1}]}, "metric"),
        ({**TEXT, "quality": [{"metric": "invalidValues", "mustBe": 0}]}, "neither"),
        (
            {
                **TEXT,
                "quality": [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": [True]}}],
            },
            "Quote it",
        ),
        (
            {
                "name": "x",
                "logicalType": "array",
                "customProperties": [{"property": "dtype", "value": "object"}],
            },
            "dtype",
        ),
        ({**TEXT, "customProperties": [{"property": "optionalColumn", "value": "maybe"}]}, "optional"),
        ({**TEXT, "primaryKey": True}, "required"),
    ],
)
def test_a_contract_never_promises_what_is_not_checked(document, column, reason):
    with pytest.raises(RequestError, match=reason):
        parse(document([column]))


@pytest.mark.parametrize(
    "change",
    [
        {"apiVersion": "v3.0.2"},
        {"kind": "Other"},
        {"id": None},
        {"schema": []},
        {"extra": 1},
        {"version": 1.0},
    ],
)
def test_documents_that_are_not_odcs_3_1_are_refused(document, change):
    with pytest.raises(RequestError):
        parse({**document([TEXT]), **change})


@pytest.mark.parametrize("limit", [-1, 101, "5", True])
def test_quarantine_limit_is_a_percentage(document, limit):
    with pytest.raises(RequestError, match="maxQuarantinedPercent"):
        parse(document([TEXT], maxQuarantinedPercent=limit))


def test_repeated_columns_and_rules_on_unknown_columns_are_refused(document):
    with pytest.raises(RequestError, match="distinct"):
        parse(document([TEXT, TEXT]))
    rule = {"metric": "duplicateValues", "arguments": {"properties": ["code", "other"]}, "mustBe": 0}
    with pytest.raises(RequestError, match="other"):
        parse(document([TEXT], quality=[rule]))


def test_text_quality_is_prose_and_mustbe_zero_becomes_a_rule_on_rows(document):
    quality = [
        {"type": "text", "description": "Fine data."},
        {"metric": "nullValues", "mustBe": 0},
        {"metric": "duplicateValues", "mustBe": 0},
        {"metric": "invalidValues", "arguments": {"validValues": ["a"]}, "mustBe": 0},
    ]
    compiled = parse(document([{**TEXT, "quality": quality}]))
    (prop,) = compiled.properties
    assert (prop.required, prop.unique, prop.valid_values) == (True, True, ("a",))
    assert compiled.quality == ()


def test_extension_is_stamped_closed_and_refuses_taken_names():
    base = load("credit_applications")
    own = Property(name="income", logical_type="number", unit="EUR/year")
    extended = base.extended([own], suffix="German credit")
    assert extended.id_version == "credit_applications@1.0.0+German-credit"
    assert extended.digest != base.digest
    assert extended.properties == (*base.properties, own)
    assert not extended.open_columns
    with pytest.raises(RequestError, match="defaulted"):
        base.extended([Property(name="defaulted", logical_type="integer")], suffix="x")
    with pytest.raises(RequestError, match="income"):
        base.extended([own, own], suffix="x")
    with pytest.raises(RequestError, match="openColumns"):
        extended.extended([own], suffix="x")
    with pytest.raises(RequestError, match="suffix"):
        base.extended([own], suffix="--")


def test_extension_closes_a_contract_that_is_open_at_the_schema(document):
    raw = document([TEXT])
    raw["schema"][0]["customProperties"] = [{"property": "openColumns", "value": True}]
    base = parse(raw)
    assert base.open_columns
    assert not base.extended([Property(name="x", logical_type="date")], suffix="x").open_columns


def test_describe_has_one_plain_row_per_column():
    rows = describe(load("credit_decisions"))
    assert [row["column"] for row in rows] == list(load("credit_decisions").column_names)
    assert rows[0]["rule"].startswith("unique")
    assert rows[1]["rule"] == ">= 0 and <= 1"
    assert rows[1]["unit"] == "1"
    assert rows[3]["rule"] == "one of approve, review, decline"
    assert all(isinstance(value, str) for row in rows for value in row.values())


def test_describe_shows_arrays_and_quality(document):
    signal = {
        "name": "ecg",
        "logicalType": "array",
        "customProperties": [
            {"property": "tensorShape", "value": [-1, 2]},
            {"property": "dtype", "value": "float32"},
            {"property": "unit", "value": "mV"},
            {"property": "samplingRateHz", "value": 360},
        ],
    }
    limit = {"metric": "nullValues", "mustBeLessThan": 2, "unit": "percent"}
    first, second = describe(parse(document([signal, {**TEXT, "quality": [limit]}])))
    assert first["type"] == "float32 [any, 2]"
    assert first["rule"] == "360 Hz"
    assert second["rule"] == "nullValues < 2 %"
