"""Two models are compared on the posts that were new to both, and the bundle holds none of them."""

import io

import numpy as np
import polars as pl

from pipelines.social_sentiment.config import tiny
from pipelines.social_sentiment.held_out import compare, labels_to_keep

CONFIG = tiny()
NUM_POSTS = 400


def of_test(right: float) -> tuple[pl.DataFrame, pl.Series]:
    random = np.random.default_rng(round(right * 100))
    truth = np.arange(NUM_POSTS) % 3
    said = np.where(random.random(NUM_POSTS) < right, truth, (truth + 1) % 3)
    ids = [f"p{number}" for number in range(NUM_POSTS)]
    table = pl.DataFrame({"post_id": ids, "truth": truth, "group": np.arange(NUM_POSTS), "network": said})
    return table, pl.Series([f"text of {one}" for one in ids])


def kept(table: pl.DataFrame, texts: pl.Series) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(labels_to_keep(table, texts)))


def test_a_model_differs_from_itself_by_nothing():
    comparison = compare(*of_test(0.8), kept(*of_test(0.8)), 3, CONFIG)
    assert comparison is not None
    assert comparison["difference"] == 0
    assert comparison["metric"] == "macro-recall"


def test_a_better_challenger_has_a_positive_difference():
    comparison = compare(*of_test(0.9), kept(*of_test(0.6)), 3, CONFIG)
    assert comparison is not None
    assert comparison["low"] > 0
    assert comparison["higher_is_better"] is True
    assert comparison["n"] == NUM_POSTS


def test_posts_are_paired_whatever_their_order():
    table, texts = of_test(0.8)
    turned = np.random.default_rng(0).permutation(len(texts))
    comparison = compare(table, texts, kept(table[turned], texts[turned]), 3, CONFIG)
    assert comparison is not None
    assert comparison["difference"] == 0


def test_rows_with_the_numbers_of_other_posts_are_not_compared():
    table, texts = of_test(0.8)
    assert compare(table, texts, kept(table, "another " + texts), 3, CONFIG) is None


def test_what_is_kept_names_no_post_and_holds_no_text():
    table, texts = of_test(0.8)
    found = kept(table, texts)
    assert found.columns == ["digest", "network"]
    assert not set(found["digest"]) & {*table["post_id"], *texts}
