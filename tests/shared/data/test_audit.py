import json
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.data.audit import audit_split
from shared.data.splits import Split, row_keys, split_by_hash, split_by_time
from shared.errors import FieldworkError, RequestError

FEATURES = ["amount", "colour", "weak"]


def table(seed: int = 0, num_rows: int = 400) -> pl.DataFrame:
    """Independent rows with a target that the features predict only weakly."""
    generator = np.random.default_rng(seed)
    target = generator.integers(0, 2, num_rows)
    return pl.DataFrame(
        {
            "amount": generator.lognormal(size=num_rows),
            "colour": generator.choice(["red", "green", "blue"], num_rows),
            "weak": target + generator.normal(0, 1.5, num_rows),
            "person": generator.permutation(num_rows),
            "day": [date(2024, 1, 1) + timedelta(days=int(day)) for day in range(num_rows)],
            "target": target,
        }
    )


def split_of(frame: pl.DataFrame) -> Split:
    return split_by_time(frame["day"])


def found(frame: pl.DataFrame, split: Split, **options) -> dict[str, str]:
    options = {"features": FEATURES, "target": "target", "group": "person", "time": "day"} | options
    return {finding.check: finding.severity for finding in audit_split(frame, split, **options).findings}


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_clean_data_give_no_finding(seed):
    frame = table(seed)
    report = audit_split(
        frame, split_of(frame), features=FEATURES, target="target", group="person", time="day"
    )
    assert report.findings == ()
    assert report.require().clean
    assert len(report.checks) == 8


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 239), st.integers(240, 399))
def test_every_planted_duplicate_row_across_parts_is_caught(source, copy):
    frame = table()
    features = frame.select(FEATURES)
    planted = features.with_columns(
        pl.when(pl.int_range(pl.len()) == copy)
        .then(pl.lit(features[name][source]))
        .otherwise(pl.col(name))
        .alias(name)
        for name in FEATURES
    )
    frame = frame.with_columns(planted.get_columns())
    report = audit_split(frame, split_of(frame), features=FEATURES)
    (finding,) = report.findings
    assert (finding.check, finding.severity, finding.examples) == ("duplicate_rows", "leak", (f"row {copy}",))


def test_split_by_row_key_never_has_duplicates_across_parts():
    frame = pl.concat([table(), table()])
    assert "duplicate_rows" not in found(
        frame, split_by_hash(row_keys(frame, FEATURES)), group=None, time=None
    )


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 319), st.integers(320, 399))
def test_every_planted_group_overlap_is_caught(first, second):
    frame = table()
    people = frame["person"].to_numpy().copy()
    people[second] = people[first]
    assert found(frame.with_columns(pl.Series("person", people)), split_of(frame)) == {
        "group_overlap": "leak"
    }


def test_rows_without_a_group_belong_to_nobody():
    frame = table().with_columns(pl.lit(None, dtype=pl.Int64).alias("person"))
    assert found(frame, split_of(frame)) == {}


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 239), st.integers(240, 399))
def test_every_swap_that_breaks_the_order_of_time_is_caught(early, late):
    frame = table()
    days = frame["day"].to_list()
    days[early], days[late] = days[late], days[early]
    assert found(frame.with_columns(pl.Series("day", days)), split_of(frame)) == {"time_order": "leak"}


def test_equal_time_in_two_parts_is_a_leak():
    frame = table().with_columns(pl.Series("day", np.arange(400) // 7))
    split = Split(np.arange(240), np.arange(240, 320), np.arange(320, 400))
    assert found(frame, split) == {"time_order": "leak"}


def test_row_in_two_parts_is_caught():
    frame = table()
    split = Split(np.arange(241), np.arange(240, 320), np.arange(320, 400))
    assert found(frame, split)["row_overlap"] == "leak"


LEAKS = {
    "copy": lambda target: pl.Series(target),
    "reversed": lambda target: pl.Series(-3.5 * target),
    "noisy": lambda target: pl.Series(target + np.random.default_rng(1).normal(0, 0.15, len(target))),
    "text": lambda target: pl.Series(np.where(target == 1, "paid late", "paid")),
    "absence": lambda target: pl.Series([None if value else 1.0 for value in target]),
    "nan": lambda target: pl.Series([float("nan") if value else 1.0 for value in target]),
    "hidden level": lambda target: pl.Series(np.where(target == 1, 7, np.arange(len(target)) % 2 * 13)),
    "boolean": lambda target: pl.Series(target == 1),
    "many levels": lambda target: pl.Series(
        [f"{'x' if value else 'y'}{row % 9}" for row, value in enumerate(target)]
    ),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_every_planted_target_leak_is_caught_by_name(kind):
    frame = table()
    frame = frame.with_columns(LEAKS[kind](frame["target"].to_numpy()).alias("leak"))
    report = audit_split(frame, split_of(frame), features=[*FEATURES, "leak"], target="target")
    (finding,) = [finding for finding in report.findings if finding.check == "target_leak"]
    assert finding.examples == ("leak",)
    with pytest.raises(FieldworkError, match=r"\[target_leak\] Target leak suspect: leak \(AUC"):
        report.require()


def test_target_among_the_features_is_caught():
    frame = table()
    assert found(frame, split_of(frame), features=[*FEATURES, "target"])["target_leak"] == "leak"


def test_leak_of_one_of_several_classes_is_caught_once():
    frame = table().with_columns(pl.Series("target", np.arange(400) % 3).cast(pl.String))
    frame = frame.with_columns((pl.col("target") == "2").alias("leak"))
    report = audit_split(frame, split_of(frame), features=[*FEATURES, "leak"], target="target")
    assert [finding.examples for finding in report.findings] == [("leak",)]


def test_nearly_unique_texts_are_ids_but_no_target_leak():
    frame = table().with_columns(pl.Series("reference", [f"R{row * 7919 % 400}" for row in range(400)]))
    assert found(frame, split_of(frame), features=[*FEATURES, "reference"]) == {"id_like": "warning"}


@pytest.mark.parametrize(
    "ids", [range(1000, 1400), [(row * 7) % 400 for row in range(400)], range(0, 40_000, 100)]
)
def test_running_numbers_are_id_like(ids):
    frame = table().with_columns(pl.Series("number", list(ids)))
    assert found(frame, split_of(frame), features=[*FEATURES, "number"]) == {"id_like": "warning"}


def test_amounts_in_whole_units_and_sorted_measurements_are_not_id_like():
    amounts = np.random.default_rng(99).integers(0, 10**6, 400)
    frame = table().with_columns(pl.Series("euros", amounts), pl.Series("level", np.arange(400) / 7))
    assert found(frame, split_of(frame), features=[*FEATURES, "euros", "level"]) == {}


def test_part_without_a_class_cannot_be_evaluated():
    frame = table().with_columns(pl.Series("target", [1, 0] * 160 + [0] * 80))
    assert found(frame, split_of(frame)) == {"class_missing": "error"}
    constant = table().with_columns(pl.lit(1).alias("target"))
    assert found(constant, split_of(constant)) == {"class_missing": "error"}


def test_contradictory_labels_are_reported_but_do_not_stop():
    frame = table().with_columns(pl.Series("target", [0, 1] * 200))
    features = frame.select(FEATURES)
    frame = frame.with_columns(pl.concat([features[:1], features[:1], features[2:]]).get_columns())
    report = audit_split(frame, split_of(frame), features=FEATURES, target="target")
    (finding,) = report.findings
    assert (finding.check, finding.severity, finding.count) == ("contradictory_labels", "warning", 2)
    assert report.require() is report


def test_few_rows_do_not_make_a_leak_by_chance():
    frame = table(num_rows=16)
    split = Split(np.arange(8), np.arange(8, 12), np.arange(12, 16))
    assert "target_leak" not in found(
        frame.with_columns(pl.col("target").alias("leak")), split, features=["leak"]
    )


def test_continuous_target_is_not_taken_for_classes():
    frame = table().with_columns(pl.col("weak").alias("target"))
    assert found(frame, split_of(frame), features=["amount", "colour"]) == {}


def test_accepted_checks_may_fail_and_the_report_is_json():
    frame = table()
    frame = frame.with_columns(pl.col("target").alias("leak"))
    report = audit_split(frame, split_of(frame), features=[*FEATURES, "leak"], target="target")
    assert report.require(accepted=["target_leak"]) is report
    data = json.loads(json.dumps(report.to_json()))
    assert data["clean"] is False
    assert data["findings"][0]["examples"] == ["leak"]


def test_wrong_columns_and_a_split_of_another_table_are_refused():
    frame = table()
    with pytest.raises(RequestError, match="nothing"):
        audit_split(frame, split_of(frame), features=["nothing"])
    with pytest.raises(RequestError, match="no features"):
        audit_split(frame, split_of(frame), features=[])
    with pytest.raises(RequestError, match="another table"):
        audit_split(frame[:300], split_of(frame), features=FEATURES)
