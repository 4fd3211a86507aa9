"""A table of posts in, their sentiment and its trend out: what `fieldwork score`, schedules and the API run."""

from pathlib import Path

import numpy as np
import polars as pl

from pipelines.social_sentiment.data import read_to_score
from pipelines.social_sentiment.explainer import explained
from pipelines.social_sentiment.ingest import completed
from pipelines.social_sentiment.schema import TREND_CONTRACT, input_contract, output_contract
from pipelines.social_sentiment.score import PIPELINE, Scorer
from pipelines.social_sentiment.watched import watched
from shared.contracts.contract import load
from shared.contracts.table import TableCheck, check_table
from shared.data.tables import write_table
from shared.orchestration.scoring import (
    ScoreSummary,
    beside,
    drift_since,
    published,
    require_input_untouched,
    written,
)


class SentimentScored(ScoreSummary):
    """trend: where the shares by topic and day lie; None where no post has a time."""

    trend: str | None


def score_table(input_path: Path, output_path: Path, *, version: str, explain: bool) -> SentimentScored:
    """Score the posts of a table; rows that break the contract go to `<output>.quarantine.parquet`.

    Shares by topic and day go to `<output>.trend.parquet`, where posts have a time. With `explain`, every post gets the
    words that decided. Raises RequestError when the table as a whole breaks the contract, when there is no such model,
    or when one of these files would be written over the input.
    """
    quarantine, trends = (beside(output_path, what) for what in ("quarantine", "trend"))
    require_input_untouched(input_path, output_path, quarantine, trends)
    bundle, number = published(PIPELINE, version)
    scorer = Scorer.from_bundle(bundle, number)
    checked, posts = posts_to_score(input_path, scorer)
    logits = scorer.logits(posts["text"])
    sentiment = _sentiment(scorer, posts, logits, explain=explain)
    write_table(sentiment, output_path)
    return SentimentScored(
        pipeline=PIPELINE,
        version=number,
        contract=input_contract(scorer.labels).id_version,
        rows={
            "in": checked.num_rows,
            "quarantined": checked.quarantined.height,
            "scored": sentiment.height,
            "abstained": int(sentiment["abstain"].sum()),
        },
        output=str(output_path),
        quarantine=written(checked.quarantined, quarantine),
        explanations=None,
        trend=written(_trend(scorer, posts, logits), trends),
        drift=drift_since(bundle, *watched(scorer, posts, logits)),
    )


def posts_to_score(path: Path, scorer: Scorer) -> tuple[TableCheck, pl.DataFrame]:
    """The check of a table against the contract, and its valid posts with all columns of the contract, in their order.

    Raises RequestError when the table cannot be read or breaks the contract as a whole.
    """
    contract = input_contract(scorer.labels)
    checked = check_table(read_to_score(path, scorer.config.data).frame, contract)
    return checked, completed(checked.require(), contract)


def _sentiment(scorer: Scorer, posts: pl.DataFrame, logits: np.ndarray, *, explain: bool) -> pl.DataFrame:
    scored = scorer.sentiment(posts, logits)
    if explain:
        scored = scored.with_columns(explained(scorer, posts["text"]))
    return check_table(scored, output_contract(scorer.labels)).require()


def _trend(scorer: Scorer, posts: pl.DataFrame, logits: np.ndarray) -> pl.DataFrame:
    """Without rows where no post has a time."""
    found = scorer.trend(posts, logits)
    return check_table(found, load(TREND_CONTRACT)).require() if found.height else found
