"""What is shown of explanations: the words that speak most for each label, single posts, and a table of all words."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from pipelines.social_sentiment.explainer import PostExplanation
from pipelines.social_sentiment.predictions import NETWORK

SEEN_AT_LEAST = 5
_NUM_WORDS = 12
_NUM_EXAMPLES = 4


def words_by_label(
    found: Sequence[PostExplanation], label_names: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Words that speak most for each label in the posts that were given it, by mean contribution, strongest first.

    Case does not count. Words seen less than five times are left out.
    """
    values: dict[tuple[int, str], list[float]] = defaultdict(list)
    for each in found:
        for word, contribution in zip(each.words, each.contributions.tolist(), strict=True):
            values[each.label, word.casefold()].append(contribution)
    known = [
        (float(np.mean(seen)), word, len(seen), label)
        for (label, word), seen in values.items()
        if len(seen) >= SEEN_AT_LEAST
    ]
    ranked = sorted((row for row in known if row[0] > 0), key=lambda row: (-row[0], row[1]))
    return {
        name: [
            {"word": word, "count": count, "mean": mean}
            for mean, word, count, label in ranked
            if label == number
        ][:_NUM_WORDS]
        for number, name in enumerate(label_names)
    }


def posts_to_show(table: pl.DataFrame) -> dict[str, list[int]]:
    """Places of the surest posts that are right and that are wrong, and of the least sure that are left to a human.

    Labels take turns, and of posts that say the same there is one.
    """
    is_right = pl.col("truth") == pl.col(NETWORK)
    kept = ~pl.col("abstains")
    return {
        "surest_right": _in_turn(table, is_right & kept, descending=True),
        "surest_wrong": _in_turn(table, ~is_right & kept, descending=True),
        "abstained": _in_turn(table, pl.col("abstains"), descending=False),
    }


def shown(found: PostExplanation, labels: Sequence[str], said: Mapping[str, Any]) -> dict[str, Any]:
    """One post with what its words add, as plain values. said: its row in the test table."""
    return {
        "text": found.text,
        "spans": [list(span) for span in found.spans],
        "contributions": found.contributions.tolist(),
        "base": found.base,
        "output": found.output,
        "label": labels[found.label],
        "truth": labels[said["truth"]],
        "sureness": said["sureness"],
        "deciding_words": found.deciding(),
    }


def contributions(
    found: Sequence[PostExplanation], post_ids: pl.Series, labels: Sequence[str]
) -> pl.DataFrame:
    """A row for each word of each post, in order: post_id, label (as given), place (from 0), word, contribution."""
    rows = [
        (post_id, labels[each.label], place, word, float(value))
        for post_id, each in zip(post_ids, found, strict=True)
        for place, (word, value) in enumerate(zip(each.words, each.contributions, strict=True))
    ]
    schema = {
        "post_id": pl.String,
        "label": pl.String,
        "place": pl.Int64,
        "word": pl.String,
        "contribution": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _in_turn(table: pl.DataFrame, wanted: pl.Expr, *, descending: bool) -> list[int]:
    chosen = (
        table.with_row_index("row")
        .filter(wanted)
        .sort("sureness", "row", descending=[descending, False])
        .unique("group", keep="first", maintain_order=True)
        .with_columns(turn=pl.int_range(pl.len()).over(NETWORK))
        .sort("turn", NETWORK)
        .head(_NUM_EXAMPLES)
    )
    return [int(row) for row in chosen["row"]]
