"""One user at a time: what they had, what they get, and what they would get without some of it.

What a page shows. Lists come from `Scorer.score`, what they rest on from `explain.contribution_table`.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from pipelines.recommender.data import read_histories
from pipelines.recommender.histories import Histories
from pipelines.recommender.linear import Popularity
from pipelines.recommender.score import INPUT_CONTRACT, Scorer
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.errors import RequestError


def known_history(scorer: Scorer, user_id: str) -> pl.DataFrame:
    """What a user of the training had, in the form of the contract. Raises RequestError for one who was not there."""
    index = scorer.catalogue.user_index(pl.Series([user_id], dtype=pl.String))
    if int(index) < 0:
        raise RequestError(f"Expected a user of the training. Received {user_id}: not among them.")
    items = scorer.catalogue.items[scorer.past.select(index).items.numpy()]
    return pl.DataFrame({"user_id": pl.repeat(user_id, len(items), eager=True), "item_id": items})


def new_history(scorer: Scorer, items: Sequence[str]) -> pl.DataFrame:
    """The history of somebody who was not there in training, in the form of the contract.

    Without items it is somebody of whom nothing usable is known: they had something outside the catalogue.
    """
    catalogue = scorer.catalogue
    had = list(items) or [_free("something else", catalogue.items)]
    return pl.DataFrame({"user_id": [_free("new visitor", catalogue.users)] * len(had), "item_id": had})


def valid_histories(path: Path, scorer: Scorer) -> pl.DataFrame:
    """The interactions of a file that keep the contract, in its form. Raises RequestError as scoring the file does."""
    return check_table(read_histories(path, scorer.config.data), load(INPUT_CONTRACT)).require()


def described(scorer: Scorer, items: pl.Series) -> pl.DataFrame:
    """Items for people: item_id, title, and users, how many had it in training. Unknown ones have no title."""
    catalogue = scorer.catalogue
    index = catalogue.item_index(items)
    counts = Popularity.fit(scorer.past).counts.long()
    titles = [catalogue.title_of(at) if at >= 0 else None for at in index.tolist()]
    users = torch.where(index >= 0, counts[index.clamp(min=0)], 0)
    return pl.DataFrame(
        {
            "item_id": items,
            "title": pl.Series(titles, dtype=pl.String),
            "users": users.numpy(),
        }
    )


def counted_history(scorer: Scorer, interactions: pl.DataFrame) -> pl.DataFrame:
    """What counts of a user's history, see `described`: with what is known from training, without low ratings."""
    return described(scorer, scorer.catalogue.items[scorer.audience(interactions).histories.items.numpy()])


def recommended(scorer: Scorer, interactions: pl.DataFrame) -> pl.DataFrame:
    """What one user gets, see `Scorer.score`, with titles and the number of users who had each item in training."""
    found = scorer.score(interactions)
    return found.with_columns(described(scorer, found["item_id"]).select("title", "users"))


def without(scorer: Scorer, interactions: pl.DataFrame, left_out: Sequence[str]) -> pl.DataFrame:
    """How the list of one user changes when some items do not count: item_id, title, place_before and place_after.

    Places from 1 among the unseen items, for everything in the list before or after, in the order after. Both are of
    the user folded in, so that nothing differs but these items, which are still not shown. Raises RequestError where
    nothing would be left of the history.
    """
    audience = scorer.audience(interactions)
    everything = audience.histories.first_items(scorer.ranker.num_items)
    taken = scorer.catalogue.item_index(pl.Series(left_out, dtype=pl.String))
    kept = everything.keeping(~torch.isin(everything.items, taken))
    if not len(kept.items):
        raise RequestError("Leave at least one item in the history: without any, what is popular is shown.")
    before, after = (_places(scorer, history, audience.seen) for history in (everything, kept))
    top_n = scorer.config.serving.top_n
    shown = ((before <= top_n) | (after <= top_n)).nonzero().squeeze(1)
    shown = shown[after[shown].argsort(stable=True)]
    items = described(scorer, scorer.catalogue.items[shown.numpy()]).select("item_id", "title")
    return items.with_columns(
        place_before=pl.Series(before[shown].numpy()), place_after=pl.Series(after[shown].numpy())
    )


def _places(scorer: Scorer, history: Histories, seen: Histories) -> Tensor:
    """Place of every item for a single user, from 1, of shape (items,); those that were seen come last."""
    users = scorer.ranker.fold_in(history)
    with torch.inference_mode():
        scores = seen.mask_(scorer.ranker.scores(users))[0]
    places = torch.empty(len(scores), dtype=torch.int64)
    places[scores.argsort(descending=True, stable=True)] = torch.arange(1, len(scores) + 1)
    return places


def _free(name: str, taken: pl.Series) -> str:
    while (taken == name).any():
        name += "'"
    return name
