"""A brand's stream of posts whose truth is known: what was meant, by which words, and how often on each day."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random

import numpy as np
import polars as pl

from pipelines.social_sentiment.grammar import TOPICS, Piece, spelt, write
from pipelines.social_sentiment.schema import LABELS, Truth
from shared.contracts.convert import UTC_MICROSECONDS

# Annotators of SemEval agree with their majority less often; this leaves room to see a better model.
NOISE = 0.06
_FIRST_DAY = date(2026, 1, 1)
_TYPO_SHARE = 0.03
_RETWEET_SHARE = 0.05
_POSTS_AN_AUTHOR = 4
# People come, write about what moves them for a few days, and go.
_DAYS_OF_AN_AUTHOR = 3
_DECORATION = ("📱", "👀", "🔥", "😂", "🤔", "lol", "tbh", "...", "!!!")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class _Written:
    kind: str
    text: str
    spans: list[tuple[int, int]]


def generate(num_posts: int, num_days: int, seed: int) -> tuple[pl.DataFrame, Truth]:
    """Posts in the shape of `social_posts` by time, with authors as plain names, and what is true of them.

    The mixture of labels of each topic drifts over the days, and jumps once. Some posts repeat an earlier one.
    """
    numbers, random = np.random.default_rng(seed), Random(seed)
    shares = _shares(num_days, numbers)
    day = np.sort(numbers.integers(num_days, size=num_posts))
    topic = numbers.integers(len(TOPICS), size=num_posts)
    likely = shares[topic, day]
    meant = (numbers.random((num_posts, 1)) > likely.cumsum(axis=1)[:, :-1]).sum(axis=1)
    source = _sources(day, numbers)
    topic, meant = topic[source], meant[source]
    posts = _write_all(meant, topic, source, random)
    erred = numbers.random(num_posts) < NOISE
    label = np.where(erred, (meant + numbers.integers(1, len(LABELS), size=num_posts)) % len(LABELS), meant)
    seconds = day * 86_400 + numbers.integers(86_400, size=num_posts)
    order = np.argsort(seconds, kind="stable")
    ids = pl.Series("post_id", [f"p{number:07d}" for number in range(1, num_posts + 1)])
    names = np.array(list(TOPICS))
    frame = pl.DataFrame(
        {
            "post_id": ids,
            "text": [posts[place].text for place in order],
            "time": _moments(seconds[order]),
            "author": _authors(day, numbers)[order],
            "language": ["en"] * num_posts,
            "topic": names[topic[order]],
            "label": np.array(LABELS)[label[order]],
        }
    )
    truth = pl.DataFrame(
        {
            "post_id": ids,
            "kind": [posts[place].kind for place in order],
            "label": np.array(LABELS)[meant[order]],
            "starts": [[start for start, _ in posts[place].spans] for place in order],
            "ends": [[end for _, end in posts[place].spans] for place in order],
        },
        schema_overrides={"starts": pl.List(pl.Int64), "ends": pl.List(pl.Int64)},
    )
    return frame, Truth(truth, _share_table(shares, day, topic), 1 - NOISE, _FIRST_DAY)


def _shares(num_days: int, numbers: np.random.Generator) -> np.ndarray:
    """Probability of each label, of shape (topics, days, labels)."""
    size = (len(TOPICS), 1, len(LABELS))
    when = np.linspace(0, 1, num_days)[None, :, None]
    waves = numbers.uniform(0.4, 0.9, size) * np.sin(
        2 * np.pi * (when * numbers.uniform(0.5, 1.5, size) + numbers.random(size))
    )
    scores = np.log([0.3, 0.4, 0.3]) + waves
    scores[0, round(num_days * 0.6) :, LABELS.index("negative")] += 1.0
    powers = np.exp(scores)
    shares: np.ndarray = powers / powers.sum(axis=2, keepdims=True)
    return shares


def _sources(day: np.ndarray, numbers: np.random.Generator) -> np.ndarray:
    """Which post each repeats: itself, or an earlier one of the same day or the day before."""
    source = np.arange(len(day))
    repeats = numbers.random(len(day)) < _RETWEET_SHARE
    first = np.searchsorted(day, day - 1)
    earlier = first + (numbers.random(len(day)) * (source - first)).astype(np.int64)
    return np.where(repeats & ~repeats[earlier] & (earlier < source), earlier, source)


def _write_all(meant: np.ndarray, topic: np.ndarray, source: np.ndarray, random: Random) -> list[_Written]:
    names, posts = list(TOPICS), list[_Written]()
    for place, original in enumerate(source.tolist()):
        if original != place:
            posts.append(_repeated(posts[original], random))
            continue
        kind, pieces = write(LABELS[meant[place]], names[topic[place]], random)
        posts.append(_Written(kind, *spelt(_decorated(pieces, random), random, _TYPO_SHARE)))
    return posts


def _decorated(pieces: list[Piece], random: Random) -> list[Piece]:
    """Whom it is addressed to, what it links to, and emoji that mean nothing here."""
    before = [(f"@{_name(random)}", False)] if random.random() < 0.2 else []
    after = [(random.choice(_DECORATION), False)] if random.random() < 0.3 else []
    link = [(_link(random), False)] if random.random() < 0.2 else []
    return [*before, *pieces, *after, *link]


def _repeated(post: _Written, random: Random) -> _Written:
    start = f"RT @{_name(random)}: "
    end = " " + _link(random) if random.random() < 0.5 else ""
    spans = [(first + len(start), last + len(start)) for first, last in post.spans]
    return _Written(post.kind, start + post.text + end, spans)


def _authors(day: np.ndarray, numbers: np.random.Generator) -> np.ndarray:
    period = day // _DAYS_OF_AN_AUTHOR
    num_authors = np.maximum(np.bincount(period) // _POSTS_AN_AUTHOR, 1)[period]
    number = (numbers.random(len(day)) * num_authors).astype(np.int64)
    return np.array(
        [f"author{first}x{second}" for first, second in zip(period.tolist(), number.tolist(), strict=True)]
    )


def _share_table(shares: np.ndarray, day: np.ndarray, topic: np.ndarray) -> pl.DataFrame:
    num_topics, num_days, num_labels = shares.shape
    counts = np.zeros((num_topics, num_days), dtype=np.int64)
    np.add.at(counts, (topic, day), 1)
    dates = [_FIRST_DAY + timedelta(days=number) for number in range(num_days)]
    return pl.DataFrame(
        {
            "topic": np.repeat(list(TOPICS), num_days * num_labels),
            "day": [one for one in dates for _ in LABELS] * num_topics,
            "label": np.tile(LABELS, num_topics * num_days),
            "share": shares.ravel(),
            "num_posts": np.repeat(counts.ravel(), num_labels),
        }
    )


def _moments(seconds: np.ndarray) -> pl.Series:
    start = datetime(_FIRST_DAY.year, _FIRST_DAY.month, _FIRST_DAY.day, tzinfo=UTC)
    return pl.Series((seconds + int(start.timestamp())) * 1_000_000).cast(UTC_MICROSECONDS)


def _name(random: Random) -> str:
    return random.choice(("sam", "kim", "lee", "max", "ada", "joe")) + str(random.randrange(1000))


def _link(random: Random) -> str:
    return "https://t.co/" + "".join(random.choices(_LETTERS, k=8))
