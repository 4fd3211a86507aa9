"""What is watched of posts counts what it says, and finds a stream that is not what it was."""

import polars as pl
import pytest

from pipelines.social_sentiment.watched import watched
from shared.monitoring.drift import drift
from shared.monitoring.profile import reference_profile


def posts(*texts: str) -> pl.DataFrame:
    return pl.DataFrame({"text": texts})


def seen(world, *texts: str) -> pl.DataFrame:
    return watched(world.scorer, posts(*texts), world.scorer.logits(list(texts)))[0]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("@ann and @bob_2, mail me@home.org", {"users": 2, "words": 5}),
        ("see https://t.co/abc or www.here.org, t.co/x", {"links": 3}),
        ("#one word #two! tag#three", {"hashtags": 2, "exclamations": 1}),
        ("fine 😀👍 !!", {"emoji": 2, "exclamations": 2}),
        ("", {"words": 0, "capitals": 0, "emoji": 0}),
    ],
    ids=["users", "links", "hashtags", "emoji", "nothing"],
)
def test_marks_are_counted(world, text, counts):
    row = seen(world, text).row(0, named=True)
    assert {name: row[name] for name in counts} == counts


def test_shouting_cut_posts_and_unknown_scripts_show(world):
    calm, loud, long, foreign = seen(
        world, "the phone is fine", "THE PHONE IS FINE", "word " * 300, "これは電話です"
    ).iter_rows(named=True)
    assert (calm["capitals"], loud["capitals"]) == (0, 1)
    assert (calm["cut"], long["cut"]) == (False, True)
    assert foreign["tokens_per_word"] > 3 * calm["tokens_per_word"]


def test_posts_of_the_same_kind_raise_no_alarm_and_others_do(world):
    frame, sure = watched(world.scorer, world.test, world.logits)
    profile = reference_profile(frame, sure)
    rows = world.posts.frame[world.division.train][:150]
    assert not drift(profile, *watched(world.scorer, rows, world.scorer.logits(rows["text"]))).drifted
    shouted = rows.with_columns(text=pl.col("text").str.to_uppercase() + " !!! #now")
    report = drift(profile, *watched(world.scorer, shouted, world.scorer.logits(shouted["text"])))
    assert {"capitals", "exclamations", "hashtags"} <= set(report.drifted_columns)
