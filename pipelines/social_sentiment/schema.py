"""Names that the domain shares, and its contracts with the labels of a task filled in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from shared.contracts.contract import Contract, load, parse
from shared.contracts.properties import Property

CONTRACT, OUTPUT_CONTRACT, TREND_CONTRACT = "social_posts", "post_sentiment", "sentiment_trend"
COLUMNS = ("post_id", "text", "time", "author", "language", "topic", "label", "part")
LABELS = ("negative", "neutral", "positive")
TRAIN, VALIDATION, TEST = "train", "validation", "test"
_MAX_SUFFIX = 60


@dataclass(frozen=True, slots=True)
class Truth:
    """What the generator knows of its posts.

    posts: post_id, kind, label (before annotators erred), starts and ends (characters of the deciding words, lists).
    shares: topic, day, label, share (its probability that day), num_posts. best_accuracy: of a reader who is never
    wrong, against the annotators' labels.
    """

    posts: pl.DataFrame
    shares: pl.DataFrame
    best_accuracy: float
    first_day: date


@dataclass(frozen=True, slots=True)
class Posts:
    """Posts in the shape of `social_posts`.

    labels: names of the labels in their order. `notes` say in words what was read otherwise or left out. made: what
    the generator knows, None for real posts.
    """

    frame: pl.DataFrame
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    made: Truth | None = None


def probability_column(label: str) -> str:
    """Column of `post_sentiment` with the probability of a label."""
    return f"probability_{label}"


def input_contract(labels: Sequence[str]) -> Contract:
    """`social_posts` for a task: `label` is one of its labels, and `author` a digest. Its version says which task."""
    contract = load(CONTRACT)
    document = contract.document()
    document["version"] = f"{contract.version}+{_suffix(labels)}"
    columns = {column["name"]: column for column in document["schema"][0]["properties"]}
    arguments = {"validValues": list(labels)}
    columns["label"]["quality"] = [{"metric": "invalidValues", "arguments": arguments, "mustBe": 0}]
    columns["author"]["logicalTypeOptions"] = {"pattern": "^[0-9a-f]{32}$"}
    return parse(document, label=f"{CONTRACT} for {', '.join(labels)}")


def output_contract(labels: Sequence[str]) -> Contract:
    """`post_sentiment` for a task, with a column of probabilities for each label, in their order."""
    properties = [
        Property(
            name=probability_column(label),
            logical_type="number",
            description=f"Calibrated probability of the label {label}.",
            required=True,
            minimum=0,
            maximum=1,
            unit="1",
            classification="confidential",
        )
        for label in labels
    ]
    return load(OUTPUT_CONTRACT).extended(properties, suffix=_suffix(labels))


def _suffix(labels: Sequence[str]) -> str:
    """Build metadata of a version has ASCII letters, digits, dots and hyphens only."""
    names = re.sub(r"[^0-9A-Za-z]+", "-", "-".join(labels)).strip("-")
    return names[:_MAX_SUFFIX].strip("-") or f"{len(labels)}-labels"
