"""The scorer: saved and loaded it says the same, of each post for itself, in the order of the posts."""

import json

import numpy as np
import polars as pl
import pytest

from pipelines.social_sentiment.schema import TREND_CONTRACT, output_contract
from pipelines.social_sentiment.score import Scorer
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.errors import RequestError


def test_a_loaded_scorer_says_what_the_saved_one_did(world, tmp_path):
    world.scorer.save(tmp_path)
    again = Scorer.load(tmp_path, "3")
    logits = again.logits(world.test["text"])
    np.testing.assert_array_equal(logits, world.logits)
    scored = again.sentiment(world.test, logits)
    before = world.scorer.sentiment(world.test, world.logits)
    stamps = ["model_version", "scored_at"]
    assert scored.drop(stamps).equals(before.drop(stamps))
    assert scored["model_version"].unique().to_list() == ["3"]
    assert again.config == world.config


def test_nothing_that_is_saved_is_pickled(world, tmp_path):
    world.scorer.save(tmp_path)
    kinds = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors"}


def test_a_post_scores_the_same_alone_and_among_others_in_any_order(world):
    texts = world.test["text"]
    order = np.random.default_rng(0).permutation(len(texts))
    np.testing.assert_allclose(world.scorer.logits(texts[order]), world.logits[order], atol=1e-5)
    for place in (0, 17, 40):
        np.testing.assert_allclose(world.scorer.logits([texts[place]])[0], world.logits[place], atol=1e-5)


def test_strange_posts_get_finite_scores(world):
    texts = ["", " ", "😀" * 3000, "@user https://t.co/x", "\u202e\u200b", "日本語のテキスト"]
    assert np.isfinite(world.scorer.logits(texts)).all()
    assert world.scorer.logits([]).shape == (0, 3)


def test_sentiment_and_trend_keep_their_contracts(world):
    scored = world.scorer.sentiment(world.test, world.logits)
    assert check_table(scored, output_contract(world.scorer.labels)).quarantined.height == 0
    sums = scored.select(pl.sum_horizontal("^probability_.*$")).to_series()
    np.testing.assert_allclose(sums, 1)
    trend = world.scorer.trend(world.test, world.logits)
    assert check_table(trend, load(TREND_CONTRACT)).quarantined.height == 0


def test_the_trend_counts_every_post_with_a_time_once_a_day_and_once_a_topic(world):
    few = world.test.head(60).with_columns(
        time=pl.when(pl.int_range(60) < 20).then(None).otherwise("time"),
        topic=pl.when(pl.int_range(60) >= 50).then(None).otherwise("topic"),
    )
    trend = world.scorer.trend(few, world.logits[:60]).filter(label="neutral")
    assert trend.filter(pl.col("topic").is_null())["num_posts"].sum() == 40
    assert trend.filter(pl.col("topic").is_not_null())["num_posts"].sum() == 30
    sums = world.scorer.trend(few, world.logits[:60]).group_by("topic", "day").agg(pl.col("share").sum())
    np.testing.assert_allclose(sums["share"], 1)


def test_posts_without_a_time_have_no_trend(world):
    timeless = world.test.with_columns(time=pl.lit(None, dtype=world.test.schema["time"]))
    assert world.scorer.trend(timeless, world.logits).height == 0


@pytest.mark.parametrize("name", ["scorer.json", "tokenizer.json"])
def test_features_of_something_else_are_a_wrong_request(world, tmp_path, name):
    world.scorer.save(tmp_path)
    (tmp_path / "features" / name).write_text(json.dumps({"labels": ["a", "b", "c"], "calibration": {}}))
    with pytest.raises(RequestError, match="Expected"):
        Scorer.load(tmp_path)
