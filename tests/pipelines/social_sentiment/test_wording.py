"""Words of the report: numbers as people read them, and posts in pieces that are the post again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.social_sentiment.text import words_of
from pipelines.social_sentiment.wording import (
    between,
    marked_pieces,
    number,
    points,
    points_between,
    post_sentence,
    share,
)

POST = {
    "label": "negative",
    "truth": "positive",
    "probability": 0.871,
    "deciding_words": ["not", ","],
    "base": -0.01,
    "output": 2.04,
}


@given(st.lists(st.sampled_from(["so", "GOOD", "😍", "#fail", "<b>", "&", "don't", "!!!"]), max_size=60))
def test_pieces_of_a_post_are_the_post(words):
    text = " ".join(words)
    spans = words_of(text)
    pieces = marked_pieces(text, spans, [1.0] * len(spans))
    assert "".join(piece for piece, _ in pieces) == text


def test_weights_are_measured_by_the_strongest_word():
    pieces = marked_pieces("not so good", [(0, 3), (4, 6), (7, 11)], [-4.0, 0.0, 1.0])
    assert pieces == [("not", -1.0), (" ", 0.0), ("so", 0.0), (" ", 0.0), ("good", 0.25)]
    assert marked_pieces("meh", [(0, 3)], [0.0]) == [("meh", 0.0)]


def test_of_a_long_post_the_beginning_is_shown():
    text = "word " * 1000
    spans = words_of(text)
    shown = "".join(piece for piece, _ in marked_pieces(text, spans, [1.0] * len(spans)))
    assert len(shown) <= 401
    assert shown.endswith("…")


def test_a_post_is_told_with_what_was_said_and_what_people_said():
    told = post_sentence(POST)
    assert told == (
        "Given negative, probability 0.87; people said positive. Deciding words: not · ,. Margin of the label: 0.0 "
        "without words, 2.0 with them."
    )
    assert "people agree" in post_sentence(POST | {"truth": "negative"})
    assert "Deciding words: none" in post_sentence(POST | {"deciding_words": []})


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (share(0.1234), "12.3 %"),
        (share(None), "–"),
        (between(0.1, 0.25), "10.0 to 25.0 %"),
        (between(None, 0.2), ""),
        (points(-0.012), "−1.2 points"),
        (points_between(-0.018, 0.01), "−1.8 to +1.0"),
        (number(-1.25), "−1.2"),
        (number(-0.04), "0.0"),
    ],
    ids=[
        "share",
        "no share",
        "interval",
        "half an interval",
        "difference",
        "its interval",
        "logit",
        "next to nothing",
    ],
)
def test_numbers_are_written_for_readers(written, text):
    assert written == text
