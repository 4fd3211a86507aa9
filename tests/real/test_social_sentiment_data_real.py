"""SemEval-2017 and TweetEval as they lie: read whole, test tweets found in training, the lexicon's score."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import recall_score

from pipelines.social_sentiment.audit import audit_division
from pipelines.social_sentiment.baselines import LEXICON, MAJORITY, fit_baselines
from pipelines.social_sentiment.config import DataConfig, ProtocolConfig, TextConfig
from pipelines.social_sentiment.data import source_paths
from pipelines.social_sentiment.ingest import Read, read_posts
from pipelines.social_sentiment.protocol import SAYS_TEST, Division, divide
from pipelines.social_sentiment.schema import LABELS
from pipelines.social_sentiment.text import prepare

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("FIELDWORK_DATA" not in os.environ, reason="needs FIELDWORK_DATA"),
]
CONFIG = ProtocolConfig()
ROWS = {
    "twitter-2013dev-A.tsv": 1654, "twitter-2013test-A.tsv": 3547, "twitter-2013train-A.tsv": 9684,
    "twitter-2014sarcasm-A.tsv": 86, "twitter-2014test-A.tsv": 1853, "twitter-2015test-A.tsv": 2390,
    "twitter-2015train-A.tsv": 489, "twitter-2016dev-A.tsv": 1999, "twitter-2016devtest-A.tsv": 2000,
    "twitter-2016test-A.tsv": 20_632, "twitter-2016train-A.tsv": 6000,
}  # fmt: skip


@pytest.fixture(scope="module")
def read() -> Read:
    return read_posts("semeval2017", DataConfig(), seed=0)


@pytest.fixture(scope="module")
def division(read) -> Division:
    return divide(read.posts, CONFIG, seed=0)


def lines(path: Path) -> int:
    text = path.read_text(encoding="utf-8")
    return text.count("\n") + (not text.endswith("\n"))


def test_all_rows_of_all_files_are_read_or_counted(read):
    files = [path for path in source_paths("semeval2017", DataConfig()) if path.suffix == ".tsv"]
    assert {path.name: lines(path) for path in files} == ROWS
    notes = read.posts.notes
    assert f"{sum(ROWS.values()):,} rows in 11 files of SemEval-2017." in notes
    assert "680 rows repeat an id with the same label: read once." in notes
    assert "84 ids come with different labels: their 168 rows are left out." in notes
    assert read.checked.quarantined.height == 0
    parts = dict(read.posts.frame["part"].value_counts().rows())
    assert parts == {"train": sum(ROWS.values()) - 680 - 168, "test": 2000}


def test_texts_are_as_they_were_written(read):
    texts = read.posts.frame["text"]
    assert not texts.str.contains(r"\\u[0-9a-fA-F]{4}").any()
    assert not texts.str.contains('""', literal=True).any()
    first = read.posts.frame.filter(post_id="260097528899452929")["text"][0]
    assert first.startswith("Won the match #getin . Plus, tomorrow is a very busy day, with Awareness Day’s")


def test_times_come_from_the_ids(read):
    times = read.posts.frame.filter(part="train")["time"]
    assert times.null_count() == 0
    assert times.dt.year().unique().sort().to_list() == [2011, 2012, 2014, 2015]


def test_the_audit_finds_the_test_tweets_in_training(read, division):
    """1,444 are there under a text of the same letters and digits, most others with other masks, escapes and quotes."""
    frame = read.posts.frame
    taken = division.left_out[np.array(division.reasons) == SAYS_TEST]
    copied = np.isin(division.groups[division.test], division.groups[taken])
    assert copied.sum() >= 1990
    labels = pl.DataFrame({"group": division.groups, "label": frame["label"]})
    of_test, of_taken = labels[division.test[copied]], labels[taken].unique()
    assert of_test.join(of_taken, on=["group", "label"], how="semi").height == copied.sum(), (
        "the same labels too"
    )
    report = audit_division(read.posts, division, CONFIG)
    assert report.require().clean
    leaking = Division(
        np.sort(np.concatenate([division.train, taken])), division.calibration, division.test,
        np.setdiff1d(division.left_out, taken), (), "given", division.groups, False,
    )  # fmt: skip
    leaks = {finding.check: finding.count for finding in audit_division(read.posts, leaking, CONFIG).findings}
    assert leaks["same_text"] + leaks["near_duplicates"] == copied.sum()


def test_sets_are_as_large_as_they_were_and_calibration_looks_like_training(division, read):
    assert len(division.test) == 2000
    assert len(division.train) + len(division.calibration) == pytest.approx(47_405, abs=20)
    share = [read.posts.frame["label"][rows].value_counts(normalize=True).sort("label")["proportion"].to_numpy()
             for rows in (division.train, division.calibration)]  # fmt: skip
    assert share[0] == pytest.approx(share[1], abs=0.005)


def test_without_a_test_set_the_latest_tweets_test():
    posts = read_posts("semeval2017", DataConfig(test_set="none"), seed=0).posts
    division = divide(posts, CONFIG, seed=0)
    assert division.kind == "time"
    assert len(division.test) == pytest.approx(0.2 * posts.frame.height, abs=10)
    assert posts.frame["time"][division.train].max() < posts.frame["time"][division.test].min()


def test_tweeteval_alone_is_divided_by_our_own_protocol():
    posts = read_posts("tweeteval_sentiment", DataConfig(), seed=0).posts
    division = divide(posts, CONFIG, seed=0)
    assert division.kind == "random"
    assert sum(map(len, division.parts().values())) == 2000


def test_the_lexicon_is_as_good_as_it_was_measured(read, division):
    """TF-IDF takes half a minute to fit: it is measured in the benchmark."""
    texts = prepare(read.posts.frame["text"][division.test], TextConfig())
    labels = np.array([LABELS.index(label) for label in read.posts.frame["label"][division.test]])
    fitted = fit_baselines(texts, labels, LABELS, 0, (LEXICON, MAJORITY))
    recall = {
        name: recall_score(labels, model.predict_proba(texts).argmax(axis=1), average="macro")
        for name, model in fitted.items()
    }
    assert recall[MAJORITY] == pytest.approx(1 / 3)
    assert recall[LEXICON] == pytest.approx(0.6, abs=0.1)
