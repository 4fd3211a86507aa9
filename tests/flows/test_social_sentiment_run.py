"""One run of social-media sentiment: the JSON that users build on, scores that are those of the evaluation, and no
name of an author anywhere.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.flows.finished_run import FinishedRun

TINY = ("run", "social_sentiment", "--preset", "tiny")
STEPS = ["ingest", "split", "train", "calibrate", "evaluate", "trend", "explain", "assemble", "publish"]
HEADLINES = ["test/macro_recall", "test/macro_f1", "test/accuracy", "test/ece"]
LABELS = ("negative", "neutral", "positive")
TEXT_FILES = {".json", ".md", ".html", ".yaml", ".txt"}


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("social_sentiment") / "home")
    return FinishedRun(fieldwork, fieldwork(*TINY, "--json", "-").require_success())


@pytest.fixture(scope="module")
def tested_posts(first_run: FinishedRun) -> pl.DataFrame:
    places = first_run.frame(first_run.result("split")["places"])
    posts = first_run.frame(first_run.result("ingest")["table"])
    return posts.filter(places["part"] == "test")


@pytest.fixture(scope="module")
def scored(
    first_run: FinishedRun, tested_posts: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The test posts, in another order, scored with explanations."""
    folder = tmp_path_factory.mktemp("scored")
    tested_posts.select("post_id", "text", "time", "topic")[::-1].write_csv(folder / "posts.csv")
    command = (
        "score",
        "social_sentiment",
        folder / "posts.csv",
        "--out",
        folder / "out.parquet",
        "--explain",
    )
    outcome = first_run.fieldwork(*command).require_success()
    assert f"trend        {folder / 'out.trend.parquet'}" in outcome.stdout
    return folder / "out.parquet"


def test_json_says_what_was_run_on_what(first_run):
    document = first_run.document
    names = [document[key] for key in ("pipeline", "preset", "source", "contract")]
    contract = "social_posts@1.0.0+negative-neutral-positive"
    assert names == ["social_sentiment", "tiny", "synthetic", contract]
    assert list(document["seconds"]) == STEPS
    assert all(document["rows"][part] > 0 for part in ("in", "train", "validation", "test"))
    assert document["training"]["epochs"] == 3
    assert document["explanation"]["completeness_error"] < 0.05


def test_every_model_has_every_headline_with_interval(first_run):
    models = {"served": first_run.document["metrics"], **first_run.document["baselines"]}
    assert models.keys() == {"served", "tfidf_logistic_regression", "lexicon", "majority"}
    for metrics in models.values():
        assert list(metrics)[:4] == HEADLINES
        assert {f"test/recall_{label}" for label in LABELS} < metrics.keys()
        for metric in metrics.values():
            assert 0 <= metric["low"] <= metric["value"] <= metric["high"] <= 1
            assert 0 < metric["n"] <= first_run.document["rows"]["test"]
    assert models["majority"]["test/macro_recall"]["value"] == pytest.approx(1 / 3)
    assert models["served"]["test/macro_recall"]["low"] > 1 / 3


def test_bundle_holds_what_scoring_needs_and_nothing_pickled(first_run):
    first_run.require_bundle(
        "profile.json", "test_labels.parquet", "features/scorer.json", "features/tokenizer.json"
    )


def test_no_name_of_an_author_is_anywhere_in_the_home(first_run):
    """The generator calls people author12x3; digests alone remain."""
    name = re.compile(r"author\d+x\d+")
    for path in first_run.fieldwork.home.rglob("*"):
        if path.suffix in TEXT_FILES:
            assert not name.search(path.read_text(errors="replace")), path
        elif path.suffix == ".parquet":
            found = pl.read_parquet(path).select(pl.selectors.string())
            assert not any(column.str.contains(name.pattern).any() for column in found), path
    authors = first_run.frame(first_run.result("ingest")["table"])["author"]
    assert authors.str.contains("^[0-9a-f]{32}$").all()


def test_card_says_who_must_not_be_judged_and_what_probabilities_hold_for(first_run):
    card = (first_run.bundle / "model_card.md").read_text()
    for part in ("Judging individuals", "Sarcasm", "Dialects", "terms of a platform", "Languages: en",
                 "mixture of labels", "left to a human", "what says the same is in one part"):  # fmt: skip
        assert part in card
    assert "weak label" not in card


def test_scores_are_those_of_the_evaluation_in_the_order_of_the_file(first_run, tested_posts, scored):
    sentiment = pl.read_parquet(scored)
    assert sentiment["post_id"].to_list() == tested_posts["post_id"][::-1].to_list()
    table = first_run.frame(first_run.result("evaluate")["table"])[::-1]
    names = [LABELS[number] for number in table["network"]]
    assert sentiment["label"].to_list() == names
    assert sentiment["abstain"].to_list() == table["abstains"].to_list()
    likeliest = sentiment.select(pl.max_horizontal("^probability_.*$")).to_series()
    np.testing.assert_allclose(likeliest, table["sure_network"], atol=1e-6)
    assert sentiment["deciding_words"].null_count() == 0


def test_the_trend_of_the_scored_posts_is_that_of_the_evaluation(first_run, scored):
    trend = pl.read_parquet(scored.with_name("out.trend.parquet"))
    evaluated = first_run.frame(first_run.result("trend")["table"])
    assert trend.height == evaluated.height > 0
    assert trend.select("topic", "day", "label").equals(evaluated.select("topic", "day", "label"))
    for name in ("share", "share_counted", "share_low", "share_high"):
        np.testing.assert_allclose(trend[name], evaluated[name], atol=1e-4)


def test_second_identical_run_computes_nothing(first_run):
    first_run.require_reuse(TINY, STEPS)


def test_report_shows_every_part(first_run):
    report = (first_run.bundle / "report.html").read_text()
    for part in (
        "Verdict",
        "how it changes",
        "words decide it",
        "What to leave to a human",
        "Limits and misuse",
    ):
        assert part in report
    assert (
        "nan" not in re.sub(r"<svg.*?</svg>|<script.*?</script>", "", report, flags=re.DOTALL).lower().split()
    )


def test_another_rule_of_decision_trains_nothing_again(first_run):
    changed = ("--set", "decision.label_by=accuracy", "--set", "decision.abstain_share=0.3")
    outcome = first_run.fieldwork(*TINY, *changed, "--json", "-").require_success()
    assert "\n  train      reused" in outcome.stderr
    assert "\n  calibrate  reused" not in outcome.stderr
    assert outcome.document["model"]["version"] == 2
    assert "macro-recall differs by" in outcome.stderr, "the champion was tested on the same posts"
