"""From events to discoveries: which interactions count, each pair of user and item once, in a dense enough core."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from pipelines.recommender.config import DataConfig
from shared.errors import RequestError

PAIR = ("user_id", "item_id")
MIN_USERS, MIN_ITEMS, MIN_INTERACTIONS = 20, 10, 200


@dataclass(frozen=True, slots=True)
class Prepared:
    """Distinct pairs: user_id, item_id, [interacted_at], [part], weight (float64). `notes` say what each step left."""

    frame: pl.DataFrame
    notes: tuple[str, ...]


def prepare(frame: pl.DataFrame, config: DataConfig) -> Prepared:
    """Rating threshold, repeated pairs to their first event, k-core; of a contract-valid table.

    Where the table states parts, only training rows decide what the k-core leaves out, and only of training rows:
    a test part that is cut to what training knows well is easier than the one that was given. The threshold says
    which interactions count at all, row by row, so it holds in every part. A pair that stands in several parts is
    kept in each, for the audit to find. Raises RequestError when too little is left, with the step that took it.
    """
    columns = [name for name in ("interacted_at", "part") if name in frame.columns]
    weight = pl.col("weight").fill_null(1.0) if "weight" in frame.columns else pl.lit(1.0)
    remaining = _rated(frame, config.min_rating).select(
        *PAIR, *columns, weight.cast(pl.Float64).alias("weight")
    )
    stages = [("in the table", frame)]
    if config.min_rating is not None:
        stages.append((f"rated {config.min_rating:g} or more (data.min_rating)", remaining))
    stages.append(("after repeated pairs were counted once", first_events(remaining)))
    if max(config.min_user_interactions, config.min_item_interactions) > 1:
        core = k_core(stages[-1][1], config.min_user_interactions, config.min_item_interactions)
        label = (
            f"with at least {config.min_user_interactions} a user and {config.min_item_interactions} an item "
            "(data.min_user_interactions, data.min_item_interactions)"
        )
        stages.append((label, core))
    _require_enough(stages)
    changed = [
        stages[0],
        *(after for before, after in pairwise(stages) if after[1].height < before[1].height),
    ]
    return Prepared(stages[-1][1], tuple(f"{_size(rows)} {label}." for label, rows in changed))


def first_events(frame: pl.DataFrame) -> pl.DataFrame:
    """Each pair once in each part, at the time of its first event, with the sum of the weights.

    A repeated item is no discovery: recommended again it would be a hit without any merit.
    """
    keys = [*PAIR, *(name for name in ("part",) if name in frame.columns)]
    if not frame.select(pl.struct(keys).is_duplicated().any()).item():
        return frame
    values = [pl.col("interacted_at").min()] if "interacted_at" in frame.columns else []
    grouped = frame.group_by(keys, maintain_order=True).agg(*values, pl.col("weight").sum())
    return grouped.select(frame.columns)


def k_core(frame: pl.DataFrame, min_user: int, min_item: int) -> pl.DataFrame:
    """The largest set of rows in which every user has at least `min_user` rows and every item `min_item`.

    Leaving a user out can leave an item short, so it goes on until nothing changes. With parts, rows of training
    alone count and leave; the other rows stay.
    """
    is_training = frame["part"] == "train" if "part" in frame.columns else None
    counted = frame if is_training is None else frame.filter(is_training)
    codes = [counted[name].rank("dense").to_numpy().astype(np.int64) for name in PAIR]
    kept = np.arange(counted.height)
    while True:
        enough = np.ones(len(kept), dtype=bool)
        for code, least in zip(codes, (min_user, min_item), strict=True):
            enough &= (np.bincount(code[kept]) >= least)[code[kept]]
        if enough.all():
            break
        kept = kept[enough]
    if is_training is None:
        return frame[kept]
    stays = is_training.not_().to_numpy().copy()
    stays[np.flatnonzero(is_training.to_numpy())[kept]] = True
    return frame.filter(pl.Series(stays))


def _rated(frame: pl.DataFrame, min_rating: float | None) -> pl.DataFrame:
    if min_rating is None:
        return frame
    if "rating" not in frame.columns:
        raise RequestError(
            f"Expected a rating column for data.min_rating={min_rating:g}. Received {', '.join(frame.columns)}.\n"
            "Name it with --set data.columns=[rating=YOUR_COLUMN], or leave data.min_rating out."
        )
    return frame.filter(pl.col("rating") >= min_rating)


def _counts(frame: pl.DataFrame) -> tuple[int, int, int]:
    """Users, items and interactions that a model can learn from: of training where parts are given."""
    learnt = frame.filter(pl.col("part") == "train") if "part" in frame.columns else frame
    return learnt["user_id"].n_unique(), learnt["item_id"].n_unique(), learnt.height


def _require_enough(stages: list[tuple[str, pl.DataFrame]]) -> None:
    for number, (label, frame) in enumerate(stages):
        users, items, rows = _counts(frame)
        if users < MIN_USERS or items < MIN_ITEMS or rows < MIN_INTERACTIONS:
            learnt = " in training" if "part" in frame.columns else ""
            before = f" Before this step there were {_size(stages[number - 1][1])}." if number else ""
            raise RequestError(
                f"Expected at least {MIN_USERS} users, {MIN_ITEMS} items and {MIN_INTERACTIONS} interactions"
                f"{learnt}. Received {_amount(users, items, rows)} {label}.{before}"
            )


def _size(frame: pl.DataFrame) -> str:
    return _amount(frame["user_id"].n_unique(), frame["item_id"].n_unique(), frame.height)


def _amount(users: int, items: int, rows: int) -> str:
    return f"{rows:,} interactions of {users:,} users with {items:,} items"
