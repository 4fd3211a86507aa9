"""Scoring a file with the published model: every row is decided or quarantined, and the output keeps its contract."""

import math

import numpy as np
import polars as pl
import pytest

BROKEN = ("row-3", "row-77", "row-150")


@pytest.fixture(scope="module")
def published(published_alone):
    """The command in a home with one published model."""
    return published_alone("credit_scoring")


@pytest.fixture(scope="module")
def new_applications(applications) -> pl.DataFrame:
    """300 applications without an outcome, called row-1 to row-300."""
    table = applications(300, seed=21)
    names = pl.Series("application_id", [f"row-{number}" for number in range(1, 301)])
    return table.with_columns(names).drop("defaulted")


@pytest.fixture
def with_broken_rows(new_applications, tmp_path):
    """The table as CSV with three cells that break the contract in different ways."""
    numeric = [name for name, dtype in new_applications.schema.items() if dtype.is_float()][:2]
    frame = new_applications.with_columns(pl.col(name).cast(pl.String) for name in numeric)
    changes = {"row-3": (numeric[0], "-1e12"), "row-77": (numeric[1], "inf"), "row-150": (numeric[0], "many")}
    for row, (column, value) in changes.items():
        here = pl.col("application_id") == row
        frame = frame.with_columns(pl.when(here).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))
    frame.write_csv(tmp_path / "new.csv")
    return tmp_path / "new.csv"


def score(published, source, out, *options):
    return published("score", "credit_scoring", source, "--out", out, *options)


def test_broken_rows_go_to_quarantine_and_all_others_are_decided(published, with_broken_rows, tmp_path):
    outcome = score(published, with_broken_rows, tmp_path / "decisions.csv", "--explain", "--json", "-")
    document = outcome.require_success().document
    assert document["rows"] == {"in": 300, "quarantined": 3, "scored": 297}
    decisions, quarantine = pl.read_csv(document["output"]), pl.read_parquet(document["quarantine"])
    assert set(quarantine["application_id"]) == set(BROKEN)
    assert set(decisions["application_id"]) | set(BROKEN) == {f"row-{number}" for number in range(1, 301)}
    assert len(decisions) == decisions["application_id"].n_unique() == 297
    reasons = [
        name
        for name in quarantine.columns
        if name not in pl.read_csv(with_broken_rows, infer_schema=False).columns
    ]
    assert reasons, "the quarantine names the rule that each row broke"


def test_decisions_keep_the_output_contract(published, new_applications, tmp_path):
    new_applications.write_parquet(tmp_path / "new.parquet")
    score(published, tmp_path / "new.parquet", tmp_path / "out.csv").require_success()
    check = published("contract", "check", "credit_decisions", tmp_path / "out.csv")
    assert "300 valid, 0 to quarantine" in check.require_success().stdout
    decisions = pl.read_csv(tmp_path / "out.csv")
    assert set(decisions["decision"]) <= {"approve", "review", "decline"}
    declined = decisions.filter(pl.col("decision") == "decline")
    assert len(declined) > 0
    assert declined["reason_1_code"].null_count() == 0, "a refusal without a reason"
    safer = decisions.sort("score_points", descending=True)["probability_of_default"].to_numpy()
    assert safer[0] < safer[-1], "more points are safer"


def test_explanations_add_up_to_the_score(published, new_applications, tmp_path):
    new_applications.write_csv(tmp_path / "new.csv")
    document = score(
        published, tmp_path / "new.csv", tmp_path / "out.parquet", "--explain", "--json", "-"
    ).require_success().document  # fmt: skip
    explained = pl.read_parquet(document["explanations"])
    decisions = pl.read_parquet(tmp_path / "out.parquet")
    assert explained["application_id"].to_list() == decisions["application_id"].to_list()
    p = decisions["probability_of_default"].to_numpy()
    base = np.log(p / (1 - p)) - explained.drop("application_id").to_numpy().sum(axis=1)
    assert np.ptp(base) < 1e-3, "contributions and score differ by the same base for everyone"


def test_format_and_row_order_do_not_change_a_score(published, new_applications, tmp_path):
    new_applications.write_csv(tmp_path / "new.csv")
    new_applications.reverse().write_parquet(tmp_path / "reversed.parquet")
    new_applications[41:42].write_ndjson(tmp_path / "one.jsonl")
    scores = []
    for name in ("new.csv", "reversed.parquet", "one.jsonl"):
        score(published, tmp_path / name, tmp_path / f"{name}.out.parquet").require_success()
        scores.append(pl.read_parquet(tmp_path / f"{name}.out.parquet"))
    whole, turned, one = scores
    both = whole.join(turned, on="application_id", validate="1:1")
    np.testing.assert_allclose(
        both["probability_of_default"], both["probability_of_default_right"], rtol=1e-6
    )
    single = whole.filter(pl.col("application_id") == "row-42")["probability_of_default"].item()
    assert math.isclose(one["probability_of_default"].item(), single, rel_tol=1e-6)


def test_drift_is_seen_in_changed_applicants_only(published, new_applications, tmp_path):
    new_applications.write_csv(tmp_path / "same.csv")
    numeric = [name for name, dtype in new_applications.schema.items() if dtype.is_float()]
    moved = new_applications.with_columns(pl.col(numeric[0]) * 3)
    moved.write_csv(tmp_path / "moved.csv")
    found = {}
    for name in ("same", "moved"):
        command = (tmp_path / f"{name}.csv", tmp_path / f"{name}.out.csv", "--json", "-")
        found[name] = score(published, *command).require_success().document["drift"]
    assert found["same"]["drifted"] is False
    assert found["moved"]["drifted"] is True
    assert numeric[0] in found["moved"]["columns"]


def test_file_names_with_dots_do_not_share_a_quarantine(published, with_broken_rows, tmp_path):
    quarantines = [
        score(published, with_broken_rows, tmp_path / name, "--json", "-")
        .require_success()
        .document["quarantine"]
        for name in ("scores.monday.csv", "scores.tuesday.csv")
    ]
    assert len(set(quarantines)) == 2


def test_scoring_never_writes_over_its_input(published, new_applications, with_broken_rows, tmp_path):
    source = tmp_path / "out.quarantine.parquet"
    raw = pl.read_csv(with_broken_rows, infer_schema=False)
    raw.write_parquet(source)
    score(published, source, tmp_path / "out.csv").require_plain_failure(2, "out.quarantine.parquet")
    assert pl.read_parquet(source).equals(raw)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.drop(table.columns[1]), ["{first}"]),
        (lambda table: table[:0], ["row"]),
        (lambda table: table.with_columns(pl.lit(None).alias("application_id")), ["application_id"]),
        (lambda table: table.with_columns(pl.lit("x").alias(table.columns[1])), ["{first}"]),
    ],
    ids=["column-missing", "no-rows", "no-ids", "wrong-type"],
)
def test_table_that_breaks_the_contract_as_a_whole_is_refused(
    published, new_applications, tmp_path, change, parts
):
    change(new_applications).write_csv(tmp_path / "new.csv")
    outcome = score(published, tmp_path / "new.csv", tmp_path / "out.csv")
    named = [part.format(first=new_applications.columns[1]) for part in parts]
    outcome.require_plain_failure(2, *named, most_lines=3)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("no/such.csv", "out.csv"), ["no/such.csv"]),
        (("{new}", "/no/such/folder/out.csv"), ["--out", "/no/such/folder"]),
        (("{new}", "{new}"), ["OUTPUT other than the INPUT"]),
        (("{new}", "{folder}"), ["--out", "folder"]),
        (("{new}", "{folder}/out.xyz"), ["out.xyz"]),
    ],
)
def test_wrong_places_are_refused_before_the_work(published, new_applications, tmp_path, arguments, parts):
    new_applications.write_csv(tmp_path / "new.csv")
    source, out = (text.format(new=tmp_path / "new.csv", folder=tmp_path) for text in arguments)
    score(published, source, out).require_plain_failure(2, *parts)
    assert pl.read_csv(tmp_path / "new.csv").height == 300


def test_a_table_of_another_lender_names_the_model_that_it_does_not_fit(
    published, new_applications, tmp_path
):
    new_applications.drop("monthly_income").write_csv(tmp_path / "other.csv")
    outcome = score(published, tmp_path / "other.csv", tmp_path / "out.csv")
    outcome.require_plain_failure(
        2, "monthly_income", "The model is version 1, trained on synthetic; --version"
    )


def test_a_file_that_cannot_be_read_does_not_blame_the_model(published, tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    outcome = score(published, tmp_path / "cut.parquet", tmp_path / "out.csv")
    outcome.require_plain_failure(2, "cut.parquet")
    assert "The model is version" not in outcome.stderr
