"""From a source to posts that keep the contract, with every column that later steps look at."""

from dataclasses import dataclass, replace

import polars as pl

from pipelines.social_sentiment.config import DataConfig
from pipelines.social_sentiment.data import load_posts
from pipelines.social_sentiment.schema import Posts, input_contract
from pipelines.social_sentiment.weak_labels import IS_WEAK, label_by_emoji
from shared.contracts.contract import Contract
from shared.contracts.convert import CANONICAL_TYPES
from shared.contracts.table import TableCheck, check_table


@dataclass(frozen=True, slots=True)
class Read:
    """What a source gave. posts: the valid ones, with all columns of `social_posts` and `is_weak`; checked: of all."""

    posts: Posts
    checked: TableCheck


def read_posts(source: str, config: DataConfig, seed: int) -> Read:
    """The posts of a source (`load_posts`), checked, with weak labels where the configuration asks for them.

    Raises RequestError for a source that cannot be read, and when more posts break the contract than it allows.
    """
    loaded = load_posts(source, config, seed)
    contract = input_contract(loaded.labels)
    checked = check_table(loaded.frame, contract)
    posts = replace(loaded, frame=completed(checked.require(), contract))
    if config.weak_labels == "emoji":
        return Read(label_by_emoji(posts), checked)
    return Read(replace(posts, frame=posts.frame.with_columns(pl.lit(False).alias(IS_WEAK))), checked)


def completed(valid: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Valid rows with all columns of the contract, in its order: those that a table lacks are null."""
    lacking = [
        pl.lit(None, dtype=CANONICAL_TYPES[prop.logical_type]).alias(prop.name)
        for prop in contract.properties
        if prop.name not in valid.columns
    ]
    return valid.with_columns(lacking).select(contract.column_names)
