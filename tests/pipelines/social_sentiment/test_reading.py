"""One post with its words, and posts beside what was said of them."""

import polars as pl
import pytest

from pipelines.social_sentiment.explainer import explained
from pipelines.social_sentiment.reading import posts_beside, read_post
from shared.errors import RequestError


def test_a_post_is_read_as_the_scorer_reads_a_table(world):
    text = world.test["text"][0]
    scored = world.scorer.sentiment(world.test[:1], world.scorer.logits(world.test["text"][:1]))
    reading = read_post(world.scorer, text)
    assert reading.label == scored["label"][0]
    assert reading.abstains == scored["abstain"][0]
    assert list(reading.probabilities) == list(world.scorer.labels)
    for label, probability in reading.probabilities.items():
        assert probability == pytest.approx(scored[f"probability_{label}"][0], abs=1e-6)


def test_pieces_are_the_whole_post_as_the_network_reads_it(world):
    text = "@someone the <b>app</b> is great & https://example.org/x " + "really " * 80
    reading = read_post(world.scorer, text)
    (prepared,) = world.scorer.prepared([text])
    assert "".join(piece for piece, _ in reading.pieces) == prepared
    assert "[USER] the <b>app</b>" in prepared
    weights = [abs(weight) for _, weight in reading.pieces]
    assert max(weights) == pytest.approx(1)


@pytest.mark.parametrize(
    "text", ["", " \n\t", "\u200b", "nothing\x00here", "x" * 10_001],
    ids=["empty", "blank", "invisible", "NUL", "too long"],
)  # fmt: skip
def test_a_text_that_is_no_post_is_said_to_be_none(world, text):
    with pytest.raises(RequestError, match="Expected a post with something to read"):
        read_post(world.scorer, text)


def test_posts_stand_beside_their_label_its_probability_and_their_words(world):
    posts, logits = world.test[:6], world.logits[:6]
    scored = world.scorer.sentiment(posts, logits).with_columns(explained(world.scorer, posts["text"]))
    found = posts_beside(posts, scored, world.scorer.labels)
    assert found["text"].to_list() == posts["text"].to_list()
    for row, said in zip(found.iter_rows(named=True), scored.iter_rows(named=True), strict=True):
        assert row["label"] == said["label"]
        assert row["probability"] == said[f"probability_{said['label']}"]
    assert found["deciding_words"].null_count() == 0


def test_without_explanations_there_are_no_words(world):
    scored = world.scorer.sentiment(world.test[:2], world.logits[:2])
    found = posts_beside(world.test[:2], scored, world.scorer.labels)
    assert found["deciding_words"].to_list() == [None, None]
    assert found.schema["deciding_words"] == pl.String
