"""What the project promises on SemEval-2017: a run on all of it that is tested on TweetEval, without its copies."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.flows.finished_run import FinishedRun

DATA = os.environ.get("FIELDWORK_DATA", "")

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="FIELDWORK_DATA names no folder with the public data sets"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    """A small network that reads every tweet once: it beats chance, and no baseline that is worth its name."""
    for name in ("semeval2017", "tweeteval_sentiment"):
        if not (Path(DATA) / name).is_dir():
            pytest.skip(f"{name} is not in {DATA}")
    changes = (
        "training.epochs=1", "training.tokens_per_batch=8192", "training.learning_rate=0.01",
        "evaluation.num_bootstraps=50", "evaluation.baselines=[lexicon, majority]", "explanation.num_checked=20",
    )  # fmt: skip
    options = [part for change in changes for part in ("--set", change)]
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("semeval") / "home")
    command = ("run", "social_sentiment", "--preset", "tiny", "--data", "semeval2017", *options)
    return FinishedRun(fieldwork, fieldwork(*command, "--quiet", "--json", "-").require_success())


def test_tweets_of_the_test_are_in_no_training(run):
    rows = run.document["rows"]
    assert (rows["in"], rows["quarantined"], rows["test"]) == (51_486, 0, 2_000)
    places = run.frame(run.result("split")["places"])
    copies = places.filter(part="left_out")["reason"].value_counts()
    # TweetEval's validation tweets are SemEval's, and some were posted again in other words
    assert copies.filter(reason="that say the same as a test post")["count"].item() >= 1_999
    groups = {part: set(places.filter(part=part)["group"]) for part in ("train", "calibration", "test")}
    assert not groups["test"] & (groups["train"] | groups["calibration"])


def test_the_network_beats_chance_outside_noise_and_vader_has_its_known_recall(run):
    chance = run.document["baselines"]["majority"]["test/macro_recall"]
    assert chance["value"] == pytest.approx(1 / 3)
    assert run.document["metrics"]["test/macro_recall"]["low"] > 0.4
    assert run.document["baselines"]["lexicon"]["test/macro_recall"]["value"] == pytest.approx(
        0.597, abs=0.002
    )


def test_probabilities_are_calibrated_and_explanations_add_up(run):
    ece = run.document["metrics"]["test/ece"]
    assert ece["value"] < 0.1
    assert run.document["explanation"]["completeness_error"] < 0.05


def test_tweeteval_gives_no_times_and_the_trend_says_so(run):
    metrics = json.loads((run.bundle / "metrics.json").read_text())
    assert metrics["trend"]["by_day"] is None
    assert sum(one["share"] for one in metrics["trend"]["overall"]) == pytest.approx(1)
