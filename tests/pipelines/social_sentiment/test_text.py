"""What a model reads: users and links masked, noise taken out, sentiment kept; words for explanations."""

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.social_sentiment.config import TextConfig
from pipelines.social_sentiment.schema import CONTRACT
from pipelines.social_sentiment.text import prepare, words_of
from shared.contracts.contract import load

CONFIG = TextConfig()
# What makes cleaning unstable: pieces that become something else when what stands between them goes.
PIECES = st.sampled_from(
    ["@", "@a", "bob", "http", "https://", "t.co/x", "www.", "&amp;", "&", "amp;", "&lt;", "&#8203;", "&#64;", "#",
     "x" * 5, "\u200b", "\u200d", "\ufeff", "\n", "\t", "\x00", " ", "\u2028", "!!!!!", "1111111", "😂" * 5, "👍🏽",
     "👩‍👩‍👧", "[USER]", "pic.twitter.com/", "&#x41;", "wwww.a", "ß", "é", "हि", "A"]
)  # fmt: skip
HOSTILE = st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(max_size=60))


def prepared(text: str, config: TextConfig = CONFIG) -> str:
    (result,) = prepare([text], config)
    return result


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("@bob see https://t.co/ab?c=1&d now", "[USER] see [URL] now"),
        ("hey @bob! (@a_b) .@x", "hey [USER]! ([USER]) .[USER]"),
        ("mail me@home.org, @me@home.org", "mail me@home.org, [USER].org"),
        ("www.x.com pic.twitter.com/abc t.co/x HTTP://A.B", "[URL] [URL] [URL] [URL]"),
        ("https://t.co/x😂", "[URL]😂"),
        ("AT&amp;amp;T &lt;3 R&D &notanentity;", "AT&T <3 R&D &notanentity;"),
        ("Sooooooo GOOOD!!!!!!!", "Sooo GOOOD!!!"),
        ("1000000 2222", "1000000 2222"),
        (" a \n\t b\u00a0\u2003c\u200b\ufeffd ", "a b cd"),
        ("a\x00b\x07c", "a b c"),
        ("👍🏽 👩‍👩‍👧 🇩🇪 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️", "👍🏽 👩‍👩‍👧 🇩🇪 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️"),
        ("😂😂😂😂😂", "😂😂😂"),
        ("NOT the Best :-(", "NOT the Best :-("),
    ],
    ids=["tokens", "marks", "addresses", "links", "emoji at a link", "entities", "runs", "digits", "blanks", "control",
         "emoji", "run of emoji", "case and marks"],
)  # fmt: skip
def test_only_noise_is_taken_away(written, expected):
    assert prepared(written) == expected


def test_encoders_of_the_hub_see_the_tokens_that_they_know():
    assert prepared("@bob https://t.co/x", TextConfig(style="tweeteval")) == "@user http"


@given(HOSTILE, st.sampled_from(["fieldwork", "tweeteval"]))
def test_prepared_text_stays_as_it_is(text, style):
    config = TextConfig(style=style)
    once = prepared(text, config)
    assert prepared(once, config) == once


@given(st.lists(HOSTILE, min_size=1, max_size=6))
def test_each_text_is_prepared_as_if_it_were_alone(texts):
    assert prepare(texts, CONFIG) == [prepared(text) for text in texts]
    assert prepare(pl.Series(texts), CONFIG) == prepare(texts, CONFIG)


@given(HOSTILE)
def test_something_is_left_of_every_text_that_keeps_the_contract(text):
    pattern = next(prop.pattern for prop in load(CONTRACT).properties if prop.name == "text")
    # an entity may stand for something invisible
    plain = text.replace("&", "")
    assert not pl.Series([plain]).str.contains(pattern)[0] or prepared(plain)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't like it’s", ["I", "don't", "like", "it’s"]),
        ("#Love @bob [USER] [URL]", ["#Love", "@bob", "[USER]", "[URL]"]),
        ("so good!!! 3.5 :-) <3", ["so", "good", "!!!", "3.5", ":-)", "<3"]),
        ("ok👍🏽👩‍👩‍👧🇩🇪🇫🇷1️⃣", ["ok", "👍🏽", "👩‍👩‍👧", "🇩🇪", "🇫🇷", "1️⃣"]),
        ("हिन्दी है", ["हिन्दी", "है"]),
        ("a, b; (c)", ["a", ",", "b", ";", "(", "c", ")"]),
    ],
    ids=["contractions", "tokens", "marks", "emoji", "combining letters", "punctuation"],
)
def test_words_are_what_people_see_as_one(text, words):
    assert [text[start:end] for start, end in words_of(text)] == words


@given(HOSTILE)
def test_words_cover_all_but_blanks_and_never_overlap(text):
    spans = words_of(text)
    assert all(start < end for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    covered = {place for start, end in spans for place in range(start, end)}
    assert {place for place, letter in enumerate(text) if not letter.isspace()} <= covered
    assert not any(letter.isspace() for start, end in spans for letter in text[start:end])
