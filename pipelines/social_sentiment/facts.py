"""What the posts of a run are: how many of each label, by whom, about what and when, by part."""

from collections import Counter
from typing import Any

import numpy as np
import polars as pl

from pipelines.social_sentiment.protocol import Division
from pipelines.social_sentiment.schema import Posts
from pipelines.social_sentiment.weak_labels import IS_WEAK

_NUM_NAMED = 20


def facts_of(posts: Posts, division: Division) -> dict[str, Any]:
    """Plain values. parts: of train, calibration and test, see `_facts_of_part`. left_out: posts by reason."""
    return {
        "labels": list(posts.labels),
        "kind": division.kind,
        "authors_apart": division.authors_apart,
        "parts": {
            name: _facts_of_part(posts.frame, posts.labels, rows, division.groups)
            for name, rows in division.parts().items()
        },
        "left_out": dict(Counter(division.reasons).most_common()),
    }


def _facts_of_part(
    frame: pl.DataFrame, labels: tuple[str, ...], rows: np.ndarray, groups: np.ndarray
) -> dict[str, Any]:
    """groups: of posts that say the same. topics, languages: posts of the most frequent ones, known ones alone."""
    part = frame[rows]
    return {
        "posts": part.height,
        "groups": len(np.unique(groups[rows])),
        "weak": int(part[IS_WEAK].sum()),
        "authors": part["author"].drop_nulls().n_unique(),
        "labels": {label: int((part["label"] == label).sum()) for label in labels},
        "topics": _counted(part["topic"]),
        "languages": _counted(part["language"]),
        "first": part["time"].min(),
        "last": part["time"].max(),
    }


def _counted(values: pl.Series) -> dict[str, int]:
    counts = Counter(values.drop_nulls().to_list())
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_NUM_NAMED])
