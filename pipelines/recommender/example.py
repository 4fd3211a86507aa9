"""Histories to try scoring with, made of those that a model was trained on."""

import polars as pl
import torch

from pipelines.recommender.one_user import known_history, new_history
from pipelines.recommender.score import Scorer

_NUM_USERS = 20


def example_histories(scorer: Scorer, num_users: int = _NUM_USERS) -> pl.DataFrame:
    """Known users as they are, as many new visitors who had most of what one of them had, and a stranger.

    In the form of the contract, with user_id and item_id.
    """
    everybody = scorer.catalogue.users
    places = torch.linspace(0, len(everybody) - 1, min(num_users, len(everybody))).round().long()
    known = [known_history(scorer, user) for user in everybody[places.numpy()]]
    visitors = [
        history.filter(pl.int_range(pl.len()) % 5 < 4).with_columns(user_id=pl.lit(f"visitor {number}"))
        for number, history in enumerate(known, 1)
    ]
    stranger = new_history(scorer, []).with_columns(user_id=pl.lit("stranger"))
    return pl.concat([*known, *visitors, stranger])
