"""The test table: one row a post, every model on the same rows, and no model on posts that it learnt from."""

import numpy as np
import polars as pl
import pytest

from pipelines.social_sentiment.predictions import Judged, logits_in, predict_test

TEXTS = ["good", "bad", "so so", "bad again"]
TRUTH, GROUPS = np.array([2, 0, 1, 0]), np.array([0, 1, 2, 1])


class _Lookup:
    """A baseline that knows one word."""

    def predict_proba(self, texts):
        return np.array([[0.8, 0.1, 0.1] if "bad" in text else [0.2, 0.5, 0.3] for text in texts])


@pytest.fixture
def table(world) -> pl.DataFrame:
    random = np.random.default_rng(0)
    first, second = (
        Judged(random.normal(size=(4, 3)).astype(np.float32), world.scorer.calibration) for _ in "ab"
    )
    frame = pl.DataFrame({"post_id": list("abcd"), "text": TEXTS, "topic": ["x", "x", None, "y"]})
    return predict_test(frame, TEXTS, TRUTH, GROUPS, first, {7: second}, {"lookup": _Lookup()})


def test_every_model_says_something_of_every_post_in_the_order_given(table):
    assert table["post_id"].to_list() == list("abcd")
    assert table["truth"].to_list() == TRUTH.tolist()
    assert table["lookup"].to_list() == [1, 0, 1, 0]
    assert table["sure_lookup"].to_list() == [0.5, 0.8, 0.5, 0.8]
    assert {"network", "seed_7", "adapted", "abstains", "sureness"} <= set(table.columns)


def test_texts_are_not_in_the_table(table):
    assert "text" not in table.columns


def test_logits_come_back_as_they_went_in(table):
    random = np.random.default_rng(0)
    np.testing.assert_array_equal(logits_in(table), random.normal(size=(4, 3)).astype(np.float32))


def test_labels_are_those_that_the_scorer_gives(world):
    table = world.table
    names = np.array(world.scorer.labels)[table["network"].to_numpy()]
    scored = world.scorer.sentiment(world.test, world.logits)
    assert scored["label"].to_list() == names.tolist()
    assert scored["abstain"].to_list() == table["abstains"].to_list()
