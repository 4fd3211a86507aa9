"""On generated posts, whose deciding words are known: whether explanations find them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from pipelines.social_sentiment.explainer import PostExplanation
from pipelines.social_sentiment.schema import Truth
from pipelines.social_sentiment.text import words_of
from shared.interpretability.ranks import mean_interval


def deciding_words(
    found: Sequence[PostExplanation], frame: pl.DataFrame, truth: Truth, label_names: Sequence[str]
) -> list[np.ndarray | None]:
    """Of each post which of its words decide, bool (words,).

    None where the question makes no sense: for a post that was given another label than was meant, and for one in which
    no word decides or all do. frame: the posts as they were written, in the order of `found`.
    """
    known = frame.select("post_id", "text").join(truth.posts, on="post_id", how="left", maintain_order="left")
    return [
        _of_post(each, row) if label_names[each.label] == row["label"] else None
        for each, row in zip(found, known.iter_rows(named=True), strict=True)
    ]


def recovered(
    deciding: Sequence[np.ndarray], explanations: Mapping[str, Sequence[np.ndarray]], *, seed: int
) -> dict[str, Any] | None:
    """How well explanations find the deciding words, means over posts with 95 % intervals; None without posts.

    deciding: of each post which of its words decide. explanations: by name, of each post the values of its words.
    first: how often the strongest word decides. precision: share of deciding words among as many of the strongest as
    there are. auroc: how often a deciding word is stronger than another one of the post. chance: of first and precision
    with words in random order; of auroc it is 0.5.
    """
    if not deciding:
        return None
    by_name = {
        name: _scores(list(zip(values, deciding, strict=True)), seed) for name, values in explanations.items()
    }
    return {
        "posts": len(deciding),
        "words": float(np.mean([len(decides) for decides in deciding])),
        "deciding": float(np.mean([decides.sum() for decides in deciding])),
        "chance": float(np.mean([decides.mean() for decides in deciding])),
        "explanations": by_name,
    }


def _of_post(explanation: PostExplanation, row: Mapping[str, Any]) -> np.ndarray | None:
    """The words that the network reads are those that were written, one by one; None where they are not."""
    written = words_of(row["text"])
    if len(written) != len(explanation.spans):
        return None
    spans = list(zip(row["starts"], row["ends"], strict=True))
    decides = np.array([any(a < end and begin < b for begin, end in spans) for a, b in written], dtype=bool)
    return decides if decides.any() and not decides.all() else None


def _scores(posts: Sequence[tuple[np.ndarray, np.ndarray]], seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    measured: dict[str, list[float]] = {"first": [], "precision": [], "auroc": []}
    for values, decides in posts:
        order = np.lexsort((random.random(len(values)), -values))
        measured["first"].append(float(decides[order[0]]))
        measured["precision"].append(float(decides[order[: decides.sum()]].mean()))
        apart = values[decides][:, None] - values[~decides]
        measured["auroc"].append(float((np.sign(apart) + 1).mean() / 2))
    return {name: _interval(np.array(found), seed) for name, found in measured.items()}


def _interval(values: np.ndarray, seed: int) -> dict[str, float]:
    value, low, high = mean_interval(values, seed=seed)
    return {"value": value, "low": low, "high": high}
