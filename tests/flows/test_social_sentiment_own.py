"""Posts of one's own and tasks of TweetEval: other columns, labels and languages, broken rows, and no author's name."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.flows.finished_run import FinishedRun

TINY = ("run", "social_sentiment", "--preset", "tiny")
LITTLE_EVIDENCE = (
    "--set", "evaluation.num_bootstraps=50", "--set", "evaluation.baselines=[lexicon, majority]",
    "--set", "explanation.num_checked=20", "--set", "explanation.num_steps=8",
)  # fmt: skip
COLUMNS = "[post_id=id, text=message, time=when, author=who, topic=brand, label=mood]"
NUM_BROKEN = 4


def own_table(num_posts: int, seed: int) -> pl.DataFrame:
    """As a listening tool exports them: other names, labels 0 and 4, emoji, some rows that nobody can use."""
    from pipelines.social_sentiment.generator import generate

    posts = generate(num_posts, 20, seed)[0].filter(pl.col("label") != "neutral")
    own = posts.select(
        pl.int_range(1, pl.len() + 1).alias("id"),
        message="text",
        when=pl.col("time").dt.epoch("ms"),
        who=pl.lit("@Jane_Roe_") + pl.col("author").str.extract(r"(\d+)x"),
        brand="topic",
        mood=pl.when(pl.col("label") == "negative").then(0).otherwise(4),
        likes=pl.lit(3),
    )
    row = pl.int_range(pl.len())
    return own.with_columns(
        message=pl.when(row == 5).then(pl.lit(" \n ")).otherwise("message"),
        when=pl.when(row == 6).then(pl.lit(9_999_999_999_999_999)).otherwise("when"),
        mood=pl.when(row == 7).then(9).otherwise("mood"),
        id=pl.when(row == 8).then(None).otherwise("id"),
    )


@pytest.fixture(scope="module")
def own_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    folder = tmp_path_factory.mktemp("own")
    own_table(900, seed=3).write_csv(folder / "export.csv")
    fieldwork = fieldwork_in(folder / "home")
    knobs = (
        "--set", f"data.columns={COLUMNS}", "--set", "data.time_unit=ms",
        "--set", "data.label_names=[0=bad, 4=good]", "--set", "data.labels=[bad, good]",
    )  # fmt: skip
    outcome = fieldwork(*TINY, *LITTLE_EVIDENCE, "--data", folder / "export.csv", *knobs, "--json", "-")
    return FinishedRun(fieldwork, outcome.require_success())


@pytest.fixture(scope="module")
def task_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    """A task of TweetEval in a folder: text without time, topic or author; two networks."""
    from pipelines.social_sentiment.generator import generate

    folder = tmp_path_factory.mktemp("task")
    names = {"negative": "anger", "neutral": "optimism", "positive": "joy"}
    posts = generate(700, 20, seed=4)[0]
    (folder / "mapping.txt").write_text("".join(f"{n}\t{name}\n" for n, name in enumerate(names.values())))
    places = posts["label"].replace_strict({label: str(n) for n, label in enumerate(names)})
    for split, rows in {"train": slice(0, 500), "val": slice(500, 700)}.items():
        (folder / f"{split}_text.txt").write_text("\n".join(posts["text"][rows]) + "\n")
        (folder / f"{split}_labels.txt").write_text("\n".join(places[rows]) + "\n")
    fieldwork = fieldwork_in(folder / "home")
    command = (*TINY, *LITTLE_EVIDENCE, "--data", folder, "--set", "training.num_seeds=2", "--json", "-")
    return FinishedRun(fieldwork, fieldwork(*command).require_success())


def test_two_labels_of_ones_own_are_those_of_the_task(own_run):
    document = own_run.document
    assert document["contract"] == "social_posts@1.0.0+bad-good"
    assert {"test/recall_bad", "test/recall_good"} < document["metrics"].keys()
    assert document["baselines"].keys() == {"majority"}, "the lexicon does not know these labels"
    assert document["baselines"]["majority"]["test/macro_recall"]["value"] == 0.5


def test_rows_that_break_the_contract_are_in_quarantine_with_the_rule(own_run):
    assert own_run.document["rows"]["quarantined"] == NUM_BROKEN
    rows = own_run.frame(own_run.result("ingest")["quarantine"])
    assert sorted(rows["row_number"].to_list()) == [6, 7, 8, 9]
    assert {rule.split(":")[0].split()[0] for rule in rows["broken_rules"].cast(pl.String)}
    report = (own_run.bundle / "report.html").read_text()
    assert "likes" in report, "a column that is not used is named"


def test_authors_are_digests_in_the_table_and_in_quarantine(own_run):
    ingested = own_run.result("ingest")
    for ref in (ingested["table"], ingested["quarantine"]):
        assert own_run.frame(ref)["author"].str.contains("^[0-9a-f]{32}$").all()
    for path in own_run.fieldwork.home.rglob("*"):
        if path.is_file() and path.suffix != ".parquet":
            assert b"Jane_Roe_" not in path.read_bytes(), path


def test_scores_of_a_table_of_the_same_form_need_neither_labels_nor_times(own_run, tmp_path):
    new = own_table(300, seed=5).drop("mood", "when", "brand")
    new.write_csv(tmp_path / "new.csv")
    command = (
        "score",
        "social_sentiment",
        tmp_path / "new.csv",
        "--out",
        tmp_path / "out.csv",
        "--version",
        "1",
    )
    outcome = own_run.fieldwork(*command, "--json", "-").require_success()
    document = outcome.document
    assert document["trend"] is None
    assert "trend        " not in outcome.stdout + outcome.stderr
    assert document["rows"]["quarantined"] == 2
    quarantine = pl.read_parquet(document["quarantine"])
    assert quarantine["row_number"].to_list() == [6, 9]
    assert not quarantine.select(pl.col(pl.String).str.contains("Jane_Roe_").any()).row(0).count(True)
    found = pl.read_csv(tmp_path / "out.csv")
    assert found.height == new.height - 2
    assert set(found["label"]) <= {"bad", "good"}
    assert found["deciding_words"].null_count() == found.height


def test_a_tweeteval_task_keeps_its_splits_and_names(task_run):
    document = task_run.document
    assert document["contract"] == "social_posts@1.0.0+anger-optimism-joy"
    assert document["rows"]["test"] == 200
    assert document["rows"]["train"] + document["rows"]["validation"] <= 500
    assert task_run.result("split")["kind"] == "given"


def test_networks_of_other_seeds_show_how_far_luck_decides(task_run):
    metrics = json.loads((task_run.bundle / "metrics.json").read_text())
    assert metrics["seeds"]["macro_recall"].keys() == {"network", "seed_1"}
    assert metrics["seeds"]["standard_deviation"] is not None
    assert len(list((task_run.fieldwork.home / "results").glob("train-*.json"))) == 2


def test_posts_without_times_have_shares_of_the_whole_and_no_trend(task_run):
    metrics = json.loads((task_run.bundle / "metrics.json").read_text())
    assert metrics["trend"]["by_day"] is None
    assert [one["label"] for one in metrics["trend"]["overall"]] == ["anger", "optimism", "joy"]
    assert Path(task_run.document["report"]).is_file()
