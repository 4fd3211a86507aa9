"""The generated stream keeps the contract and what it says of itself: shares, noise, deciding words, order."""

from random import Random

import numpy as np
import polars as pl
import pytest

from pipelines.social_sentiment.authors import hashed_authors
from pipelines.social_sentiment.baselines import MAJORITY, TFIDF, fit_baselines
from pipelines.social_sentiment.config import TextConfig
from pipelines.social_sentiment.duplicates import group_posts
from pipelines.social_sentiment.generator import NOISE, generate
from pipelines.social_sentiment.grammar import TOPICS, spelt, write
from pipelines.social_sentiment.schema import LABELS, Truth, input_contract
from pipelines.social_sentiment.text import prepare, words_of
from shared.contracts.table import check_table


@pytest.fixture(scope="module")
def generated() -> tuple[pl.DataFrame, Truth]:
    return generate(4000, 60, seed=0)


@pytest.fixture(scope="module")
def large() -> tuple[pl.DataFrame, Truth]:
    return generate(40_000, 20, seed=1)


def test_the_stream_keeps_the_contract(generated):
    frame, _ = generated
    hashed = frame.with_columns(hashed_authors(frame["author"]))
    checked = check_table(hashed, input_contract(LABELS))
    assert checked.require().height == 4000
    assert not checked.violations
    assert frame["time"].is_sorted()


def test_the_seed_decides_everything(generated):
    frame, truth = generated
    again, truth_again = generate(4000, 60, seed=0)
    assert again.equals(frame)
    assert truth_again.posts.equals(truth.posts)
    assert not generate(4000, 60, seed=1)[0].equals(frame)


def test_deciding_words_are_whole_words_of_the_text(generated):
    frame, truth = generated
    for text, kind, starts, ends in zip(
        frame["text"][:800], truth.posts["kind"], truth.posts["starts"], truth.posts["ends"], strict=False
    ):
        decides = [text[start:end] for start, end in zip(starts, ends, strict=True)]
        assert all(word and " " not in word for word in decides), (kind, text)
        words = {place for start, end in words_of(text) for place in (start, end)}
        assert {*starts, *ends} <= words, (kind, text)
        assert bool(decides) == (kind != "fact")


def test_shares_of_the_truth_are_those_of_the_posts(large):
    frame, truth = large
    meant = frame.select("topic", pl.col("time").dt.date().alias("day")).with_columns(truth.posts["label"])
    counted = meant.group_by("topic", "day", "label").len()
    both = truth.shares.join(counted, on=["topic", "day", "label"], how="left").with_columns(
        pl.col("len").fill_null(0)
    )
    assert truth.shares.group_by("topic", "day").agg(pl.col("share").sum())[
        "share"
    ].to_numpy() == pytest.approx(1)
    error = (both["len"] - both["share"] * both["num_posts"]) / (
        both["share"] * (1 - both["share"]) * both["num_posts"]
    ).sqrt()
    assert float(error.abs().mean()) == pytest.approx(np.sqrt(2 / np.pi), abs=0.15)
    assert both["num_posts"].sum() == len(LABELS) * frame.height


def test_a_reader_who_is_never_wrong_is_as_good_as_is_said(large):
    frame, truth = large
    agreement = (frame["label"] == truth.posts["label"]).mean()
    assert truth.best_accuracy == 1 - NOISE
    assert agreement == pytest.approx(truth.best_accuracy, abs=0.005)


def test_shares_change_over_time_and_one_topic_turns(generated):
    shares = generated[1].shares.filter(label="negative")
    ranges = shares.group_by("topic").agg((pl.col("share").max() - pl.col("share").min()).alias("range"))
    assert ranges["range"].min() > 0.1
    jumps = (
        shares.sort("day").with_columns(pl.col("share").diff().over("topic").abs().alias("jump")).sort("jump")
    )
    assert jumps["topic"][-1] == next(iter(TOPICS))
    assert jumps["jump"][-1] > 3 * jumps["jump"][-2]


def test_some_posts_repeat_earlier_ones_and_most_do_not(generated):
    frame, _ = generated
    retweets = frame["text"].str.starts_with("RT @")
    assert 0.03 < retweets.mean() < 0.07
    groups = group_posts(frame["text"], 0.7).near
    assert np.bincount(groups).max() < 20
    assert 0.9 < (groups.max() + 1) / frame.height < 0.97


def test_counting_words_is_far_from_what_reading_them_reaches(generated):
    """Negation and contrast are what it cannot see; what it sees is more than chance."""
    frame, truth = generated
    texts = prepare(frame["text"], TextConfig())
    labels = np.array([LABELS.index(label) for label in frame["label"]])
    fitted = fit_baselines(texts[:3200], labels[:3200], LABELS, seed=0)
    right = {
        name: fitted[name].predict_proba(texts[3200:]).argmax(axis=1) == labels[3200:]
        for name in (TFIDF, MAJORITY)
    }
    assert right[MAJORITY].mean() + 0.2 < right[TFIDF].mean() < truth.best_accuracy - 0.12
    kinds = truth.posts["kind"][3200:].to_numpy()
    assert right[TFIDF][kinds == "negated"].mean() < 0.6
    assert right[TFIDF][kinds == "contrast"].mean() < 0.75


@pytest.mark.parametrize("label", LABELS)
def test_every_label_can_be_written_about_every_topic(label):
    random = Random(0)
    for topic in TOPICS:
        for _ in range(200):
            _, pieces = write(label, topic, random)
            text, spans = spelt(pieces, random, 0.2)
            assert text.strip() == text
            assert "  " not in text
            assert all(0 <= start < end <= len(text) for start, end in spans)
