"""One post at a time: its label, how sure that is and which words decide; and posts beside what was said of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from pipelines.social_sentiment.explainer import Explainer
from pipelines.social_sentiment.ingest import completed
from pipelines.social_sentiment.schema import input_contract, probability_column
from pipelines.social_sentiment.score import Scorer
from pipelines.social_sentiment.wording import marked_pieces
from shared.contracts.table import check_table
from shared.errors import RequestError


@dataclass(frozen=True, slots=True)
class Reading:
    """What is said of one post.

    probabilities: calibrated, by label, in the order of the labels. abstains: left to a human. pieces: the post as the
    network reads it, each piece with its weight, see `wording.marked_pieces`. deciding: words for the label, strongest
    first. base, output: margin of the label over the others without the words and with them, logits.
    """

    label: str
    probabilities: dict[str, float]
    abstains: bool
    pieces: list[tuple[str, float]]
    deciding: list[str]
    base: float
    output: float


def read_post(scorer: Scorer, text: str) -> Reading:
    """What the scorer says of a text, and why. Raises RequestError for one that breaks the contract of posts."""
    contract = input_contract(scorer.labels)
    checked = check_table(pl.DataFrame({"post_id": ["1"], "text": [text]}), contract)
    if checked.quarantined.height:
        most = next(column.max_length for column in contract.properties if column.name == "text")
        raise RequestError(f"Expected a post with something to read, of at most {most:,} characters.")
    posts = completed(checked.require(), contract)
    said = scorer.sentiment(posts, scorer.logits(posts["text"])).row(0, named=True)
    (found,) = Explainer.of(scorer).explain(
        scorer.prepared(posts["text"]), [scorer.labels.index(said["label"])]
    )
    return Reading(
        label=said["label"],
        probabilities={label: said[probability_column(label)] for label in scorer.labels},
        abstains=said["abstain"],
        pieces=marked_pieces(found.text, found.spans, found.contributions.tolist(), len(found.text)),
        deciding=found.deciding(),
        base=found.base,
        output=found.output,
    )


def posts_beside(posts: pl.DataFrame, scored: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """Posts with what was said of them, in their order, for people to read.

    posts: valid ones, see `score_table.posts_to_score`; scored: rows of `post_sentiment`. Columns: text, label,
    probability (of the label), to_a_human, deciding_words (separated by dots, null where none were asked for), topic,
    time, post_id.
    """
    of_label = pl.coalesce(
        pl.when(pl.col("label") == label).then(pl.col(probability_column(label))) for label in labels
    )
    words = pl.col("deciding_words").map_elements(
        lambda found: " · ".join(json.loads(found)), return_dtype=pl.String
    )
    said = scored.select(
        "post_id", "label", of_label.alias("probability"), pl.col("abstain").alias("to_a_human"), words
    )
    both = posts.select("post_id", "text", "topic", "time").join(said, on="post_id", maintain_order="left")
    return both.select(
        "text", "label", "probability", "to_a_human", "deciding_words", "topic", "time", "post_id"
    )
