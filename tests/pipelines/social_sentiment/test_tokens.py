"""Tokens: nothing of a post is lost, and words find their tokens again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.social_sentiment.text import words_of
from pipelines.social_sentiment.tokens import NO_WORD, Tokens
from shared.errors import RequestError

POSTS = [
    "I love this phone 😍",
    "[USER] the service is NOT good :(",
    "see [URL] #great",
    "so-so, really",
] * 30


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens.learn(POSTS, 400, 200)


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)
)
def test_every_text_has_tokens_even_what_was_never_seen(tokens: Tokens, text: str) -> None:
    encoded = tokens.encode([text])
    assert 2 <= encoded.lengths[0] <= 200
    assert encoded.ids.min() >= 0
    assert encoded.ids.max() < tokens.vocabulary


def test_posts_are_cut_at_the_longest_length_and_keep_their_end(tokens: Tokens) -> None:
    long = tokens.encode(["love " * 300, "love"])
    assert long.lengths.tolist()[0] == 200
    assert long.post(0)[-1] == long.post(1)[-1]


def test_placeholders_are_one_token(tokens: Tokens) -> None:
    assert tokens.encode(["[USER]"]).lengths[0] <= 4


@given(
    st.lists(
        st.sampled_from(["love", "NOT", "😍", "#great", "don't", "so-so", "[USER]", "!!!", "ünïcode"]),
        max_size=8,
    )
)
def test_every_token_but_the_special_ones_belongs_to_the_word_it_stands_in(
    tokens: Tokens, words: list[str]
) -> None:
    text = " ".join(words)
    spans = words_of(text)
    ids, places = tokens.words(text, spans)
    assert np.array_equal(ids, tokens.encode([text]).post(0))
    assert places[0] == places[-1] == NO_WORD
    assert set(range(len(spans))) == set(places.tolist()) - {NO_WORD}
    assert (np.diff(places[places != NO_WORD]) >= 0).all()


def test_a_tokenizer_survives_json(tokens: Tokens) -> None:
    again = Tokens.from_json(tokens.to_json())
    assert np.array_equal(again.encode(POSTS).ids, tokens.encode(POSTS).ids)


@pytest.mark.parametrize(
    "fields", [{}, {"tokenizer": "no", "pad": "[PAD]", "max_length": 8}], ids=["empty", "not a tokenizer"]
)
def test_what_is_no_tokenizer_is_refused(fields: dict) -> None:
    with pytest.raises(RequestError, match="Expected"):
        Tokens.from_json(fields)


def test_a_padding_token_that_is_not_there_is_refused(tokens: Tokens) -> None:
    with pytest.raises(RequestError, match="<none>"):
        Tokens.from_json(tokens.to_json() | {"pad": "<none>"})
