"""Texts that say the same are found, whatever became of users, links and marks; others are not."""

from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.social_sentiment.duplicates import connected, duplicate_keys, group_posts

ORIGINAL = (
    "@SpicyMamacita69 I hate those movies and Devil Inside, and I think it's called 4th kind http://t.co/abc"
)
WORDS = [
    f"{first}{second}"
    for first in ("bra", "co", "di", "fe", "gu", "hal")
    for second in ("ton", "mir", "sel", "pak")
]


def sentence(random: Random, length: int = 14) -> str:
    return " ".join(random.choices(WORDS, k=length))


def runs(text: str) -> set[str]:
    """Five characters from each place on, the last ones cut off: the definition, spelt out."""
    return {(text + "\0" * 4)[start : start + 5] for start in range(len(text))}


def similarity(first: str, second: str) -> float:
    one, other = (runs(duplicate_keys(pl.Series([text]))[0]) for text in (first, second))
    return len(one & other) / len(one | other)


@pytest.mark.parametrize(
    "copy",
    [
        "@user I hate those movies and Devil Inside, and I think it's called 4th kind http",
        "RT @other: @SpicyMamacita69 I hate those movies and Devil Inside, and I think it's called 4th kind",
        '"i HATE those movies & Devil Inside and i think its called 4th kind"'.replace("& ", "and "),
        "I hate those movies and Devil Inside,   and I think it’s called 4th kind https://t.co/xyz !!!",
    ],
    ids=["masked", "retweet", "case and marks", "other link"],
)
def test_copies_are_found_whatever_became_of_users_links_and_marks(copy):
    groups = group_posts(pl.Series([ORIGINAL, "something else altogether", copy]), 1.0)
    assert groups.copies.tolist() == [0, 1, 0]
    assert groups.near.tolist() == [0, 1, 0]


def test_emoji_and_digits_tell_texts_apart():
    texts = pl.Series(["Leeds 2-1 👍", "Leeds 2-1 👎", "Leeds 3-1 👍"])
    assert group_posts(texts, 1.0).copies.tolist() == [0, 1, 2]


def test_posts_of_nothing_but_a_link_are_told_from_posts_of_nothing_but_a_user():
    texts = pl.Series(["https://t.co/a", "@bob", "https://t.co/b", "@kim", "..."])
    assert group_posts(texts, 1.0).copies.tolist() == [0, 1, 0, 1, 2]


def test_a_few_changed_words_are_near_and_half_of_them_are_not():
    changed = ORIGINAL.replace("hate", "loathe")
    half = "I hate those movies and my neighbours, as everybody in this street will gladly tell you"
    groups = group_posts(pl.Series([ORIGINAL, changed, half]), 0.7)
    assert groups.near.tolist() == [0, 0, 1]
    assert groups.copies.tolist() == [0, 1, 2]


def test_nearly_all_pairs_above_the_limit_are_found_and_none_below():
    random = Random(0)
    texts = [sentence(random) for _ in range(150)]
    for text in texts[:100]:
        words = text.split()
        for _ in range(random.randint(1, 3)):
            words[random.randrange(len(words))] = random.choice(WORDS)
        texts.append(" ".join(words))
    similar = [similarity(texts[place], texts[150 + place]) for place in range(100)]
    near = group_posts(pl.Series(texts), 0.7).near
    found = np.array([near[place] == near[150 + place] for place in range(100)])
    wanted = np.array(similar) >= 0.7
    assert 20 < wanted.sum() < 90
    assert found[wanted].mean() > 0.95
    assert not found[~wanted].any()


def test_all_posts_that_differ_in_a_number_are_one_group():
    """However many: each is compared with few others."""
    texts = [
        f"our template number {number} with the same words around it every single time"
        for number in range(5000)
    ]
    assert group_posts(pl.Series(texts), 0.7).near.max() == 0


def test_the_order_of_posts_does_not_matter():
    random = Random(1)
    texts = [sentence(random, 6) for _ in range(60)]
    texts += [text + " more" for text in texts[:30]]
    order = np.random.default_rng(0).permutation(len(texts))
    near = group_posts(pl.Series(texts), 0.7).near
    shuffled = group_posts(pl.Series([texts[place] for place in order]), 0.7).near
    same = near[:, None] == near[None, :]
    assert np.array_equal(same[np.ix_(order, order)], shuffled[:, None] == shuffled[None, :])


@given(st.lists(st.text(alphabet="ab @é😀👍🏽\u200d", max_size=8), min_size=1, max_size=12))
def test_copies_are_a_finer_grouping_than_near_duplicates(texts):
    groups = group_posts(pl.Series(texts), 0.5)
    assert len(groups.near) == len(texts)
    for copies in range(int(groups.copies.max()) + 1):
        assert len(np.unique(groups.near[groups.copies == copies])) == 1
    first = np.unique(groups.near, return_index=True)[1]
    assert np.array_equal(groups.near[np.sort(first)], np.arange(len(first)))


def test_chains_of_pairs_become_one_group():
    group = connected(6, np.array([0, 4]), np.array([4, 2]))
    assert group.tolist() == [0, 1, 0, 2, 0, 3]
