"""What the lists of many users show together, beside what users took by themselves."""

import polars as pl
import torch

from pipelines.recommender.one_user import described
from pipelines.recommender.ranking import top_items
from pipelines.recommender.score import Scorer

MOST_USERS = 2000


def exposure(scorer: Scorer, most_users: int = MOST_USERS) -> tuple[pl.DataFrame, int]:
    """How often each item stands in the lists that training users get, and how many users that are.

    The table has a row for each item: item_id, title, users (who had it in training) and lists (that show it). Of more
    than `most_users` users, as many evenly spaced ones stand for all.
    """
    there = (scorer.past.first_items(scorer.ranker.num_items).counts > 0).nonzero().squeeze(1)
    places = torch.linspace(0, len(there) - 1, min(most_users, len(there))).round().long()
    index = there[places]
    seen = scorer.past.select(index)
    users = scorer.ranker.known(seen.first_items(scorer.ranker.num_items), index)
    ranked = top_items(
        scorer.ranker, users, seen, scorer.config.serving.top_n, memory_mb=scorer.config.evaluation.memory_mb
    )
    shown = ranked.items[ranked.scores > -torch.inf]
    lists = torch.bincount(shown, minlength=len(scorer.catalogue.items))
    return described(scorer, scorer.catalogue.items).with_columns(lists=pl.Series(lists.numpy())), len(index)
