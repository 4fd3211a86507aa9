"""Wrong requests to social-media sentiment end with exit code 2 and plain lines, before anything is trained."""

import polars as pl
import pytest

from tests.flows.bad_files import share, unreadable_tables

TINY = ("run", "social_sentiment", "--preset", "tiny", "--quiet")
# What was expected, one line for each kind of violation, the way out.
CONTRACT_LINES = 4


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    from pipelines.social_sentiment.generator import generate

    return generate(300, 20, seed=2)[0]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--set", "trainin.epochs=3"], ["trainin.epochs", "training"]),
        (["--set", "training.epochs=0"], ["training.epochs", "greater than or equal to 1"]),
        (["--set", "data.labels=[one]"], ["two distinct labels"]),
        (["--set", "data.labels=[a, a]"], ["two distinct labels"]),
        (["--set", "decision.abstain_share=1"], ["decision.abstain_share", "less than 1"]),
        (["--set", "evaluation.baselines=[svm]"], ["evaluation.baselines", "'tfidf'"]),
        (["--set", "model.width=30"], ["model.width", "multiple of 8"]),
        (["--set", "model.width=24", "--set", "model.heads=5"], ["model.heads", "24 and 5"]),
        (["--set", "model.encoder=no/such/encoder"], ["model.encoder", "no/such/encoder"]),
        (["--set", "data.columns=[text=message]"], ["data.columns", "synthetic"]),
        (["--set", "data.columns=[txt=message]"], ["data.columns", "text"]),
        (["--set", "data.label_names=[4]"], ["data.label_names"]),
        (["--data", "no_such_table"], ["no_such_table", "synthetic, semeval2017"]),
        (["--data", "german_credit"], ["german_credit", "another domain"]),
        (["--data", "no/such/file.csv"], ["no/such/file.csv", "no such file"]),
    ],
    ids=[
        "section", "epochs", "one-label", "label-twice", "nobody-answers", "baseline", "width", "heads", "encoder",
        "columns-of-generator", "name-of-column", "label-names", "source", "other-domain", "no-file",
    ],
)  # fmt: skip
def test_wrong_option_is_refused(fieldwork, options, parts):
    fieldwork(*TINY, *options).require_plain_failure(2, *parts)
    assert not list(fieldwork.home.glob("results/train-*.json"))


def test_public_set_that_is_not_there_names_the_way_to_get_it(fieldwork, monkeypatch):
    monkeypatch.delenv("FIELDWORK_DATA", raising=False)
    fieldwork(*TINY, "--data", "semeval2017").require_plain_failure(
        2, "semeval2017", "fieldwork data fetch semeval2017"
    )


@unreadable_tables(b"text,label", "Café " + pl.col("text").str.replace_all(r"[^ -~]", ""))
def test_unreadable_table_is_a_wrong_request(fieldwork, tmp_path, table, write):
    path = write(tmp_path, table)
    fieldwork(*TINY, "--data", path).require_plain_failure(2, path.name)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.drop("text"), ["text", "data.columns=[text=YOUR_COLUMN]"]),
        (share("text", None), ["text", "5 %"]),
        (share("text", " \t "), ["text", "5 %"]),
        (share("text", "x" * 20_000), ["text", "5 %"]),
        (share("post_id", "p1"), ["post_id", "5 %"]),
        (share("time", "yesterday"), ["time", "5 %"]),
        (share("time", "1066-10-14T00:00:00Z"), ["time", "5 %"]),
        (share("label", "furious"), ["label", "5 %"]),
        (lambda table: pl.concat([table, table]), ["duplicate_row", "5 %"]),
        (lambda table: table.drop("label"), ["posts of each label"]),
        (lambda table: table.with_columns(label=pl.lit(None, dtype=pl.String)), ["posts of each label"]),
        (lambda table: table.with_columns(label=pl.lit("positive")), ["posts of each label", "0 negative"]),
        (lambda table: table.head(12), ["at least 10 posts of each label"]),
        (lambda table: table.with_columns(text=pl.lit("the same")), ["label"]),
    ],
    ids=[
        "no-text", "null-text", "blank-text", "text-too-long", "duplicate-ids", "time-as-words", "time-out-of-range",
        "unknown-label", "whole-table-twice", "no-label-column", "no-labels", "one-label", "far-too-few", "one-text",
    ],
)  # fmt: skip
def test_table_that_cannot_be_learnt_from_is_a_wrong_request(fieldwork, tmp_path, table, change, parts):
    change(table).write_csv(tmp_path / "own.csv")
    outcome = fieldwork(*TINY, "--data", tmp_path / "own.csv")
    outcome.require_plain_failure(2, *parts, most_lines=CONTRACT_LINES)
    assert not (fieldwork.home / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("data.columns=no/such/map.yaml", ["no/such/map.yaml"]),
        ("data.columns=[text=no_such_column]", ["no_such_column"]),
        ("data.labels=[negative, positive]", ["label", "5 %"]),
        ("data.time_unit=weeks", ["data.time_unit", "weeks"]),
        ("protocol.test_share=0.999", ["Expected"]),
    ],
    ids=["no-map", "no-column", "labels-of-another-task", "time-unit", "nearly-all-tests"],
)
def test_setting_that_does_not_fit_the_table_is_a_wrong_request(fieldwork, tmp_path, table, setting, parts):
    table.write_csv(tmp_path / "own.csv")
    outcome = fieldwork(*TINY, "--data", tmp_path / "own.csv", "--set", setting)
    outcome.require_plain_failure(2, *parts, most_lines=CONTRACT_LINES)
    assert not (fieldwork.home / "checkpoints").exists()


def test_contract_check_says_whether_a_run_would_take_the_file(fieldwork, tmp_path, table):
    hashed = table.drop("author")
    hashed.write_csv(tmp_path / "good.csv")
    good = fieldwork("contract", "check", "social_posts", tmp_path / "good.csv").require_success()
    assert f"{len(table):,} rows in, {len(table):,} valid, 0 to quarantine" in good.stdout
    share("text", " ")(hashed).write_csv(tmp_path / "bad.csv")
    bad = fieldwork("contract", "check", "social_posts", tmp_path / "bad.csv")
    bad.require_plain_failure(2, "text", most_lines=CONTRACT_LINES)


def test_scoring_before_anything_was_published_says_what_to_run(fieldwork, tmp_path, table):
    table.write_csv(tmp_path / "own.csv")
    command = ("score", "social_sentiment", tmp_path / "own.csv", "--out", tmp_path / "out.csv")
    fieldwork(*command).require_plain_failure(2, "fieldwork run social_sentiment")
