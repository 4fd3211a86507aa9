"""What is watched for drift when users are served."""

import numpy as np
import polars as pl
import torch

from pipelines.recommender.score import Audience, Scorer


def watched(
    scorer: Scorer, audience: Audience, recommendations: pl.DataFrame
) -> tuple[pl.DataFrame, np.ndarray]:
    """What is watched for drift, a row for each user who was served personally: the length of the history and how
    popular its items are, and as score that of the first item."""
    counts = audience.histories.counts
    popularity = torch.bincount(scorer.past.items, minlength=scorer.past.num_items).float()
    total = torch.zeros(len(audience)).index_add_(
        0, audience.histories.users, popularity[audience.histories.items]
    )
    users = pl.DataFrame(
        {
            "user_id": audience.ids,
            "history_items": counts.numpy(),
            "mean_item_popularity": (total / counts.clamp(min=1)).double().numpy(),
        }
    )
    first = recommendations.filter((pl.col("rank") == 1) & ~pl.col("fallback")).select("user_id", "score")
    rows = users.join(first, on="user_id", how="inner")
    return rows.select("history_items", "mean_item_popularity"), rows["score"].to_numpy()
