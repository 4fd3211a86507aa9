"""Metrics of ranked lists, a number for each user; and what the lists of all users together look like."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pipelines.recommender.histories import Histories
from pipelines.recommender.ranking import Judged

CUT_OFFS = (10, 20)


def per_user(
    judged: Judged, relevant: Histories, cut_offs: tuple[int, ...] = CUT_OFFS
) -> dict[str, np.ndarray]:
    """Recall, NDCG and hit rate at each cut-off, float64 of shape (users,); every user needs a relevant item.

    Recall is the share of a user's relevant items among the first k; NDCG takes binary relevance, discount
    1 / log2(1 + place) and the best order that k places allow; the hit rate is 1 with any relevant item among the
    first k. With one relevant item a user, recall is the hit rate.
    """
    num_relevant = relevant.counts.double()
    discount = 1.0 / torch.log2(torch.arange(2, max(cut_offs) + 2, dtype=torch.float64))
    ideal = torch.cat([torch.zeros(1, dtype=torch.float64), discount.cumsum(0)])
    metrics = {}
    for k in cut_offs:
        hits = judged.hits[:, :k].double()
        found = hits.sum(1)
        best = ideal[num_relevant.clamp(max=k).long()]
        metrics[f"recall_at_{k}"] = (found / num_relevant).numpy()
        metrics[f"ndcg_at_{k}"] = ((hits * discount[:k]).sum(1) / best).numpy()
        metrics[f"hit_rate_at_{k}"] = (found > 0).double().numpy()
    return metrics


def sampled_per_user(judged: Judged, num_negatives: int, k: int = 10) -> dict[str, np.ndarray]:
    """The metrics of He et al. (2017): one relevant item among `num_negatives` sampled ones, float64 of shape (users,).

    They are about another task than ranking the catalogue and need not order models alike (Krichene and Rendle 2020).
    """
    assert judged.sampled_rank is not None
    rank = judged.sampled_rank.double()
    hit = rank < k
    gain = torch.where(hit, 1.0 / torch.log2(rank + 2), 0.0)
    return {
        f"hit_rate_at_{k}_sampled{num_negatives}": hit.double().numpy(),
        f"ndcg_at_{k}_sampled{num_negatives}": gain.numpy(),
    }


def catalogue_use(shown: Tensor, popularity: Tensor, *, tail_share: float) -> dict[str, float]:
    """What all lists together show: coverage, Gini coefficient, share of the long tail.

    shown: int64 of shape (users, k), -1 for nothing; popularity: interactions of each item in training. The long tail
    is the least popular items that together have `tail_share` of the interactions. Gini is 0 when all items are shown
    equally often and towards 1 when a few take everything.
    """
    places = shown[shown >= 0]
    num_items = len(popularity)
    counts = torch.bincount(places, minlength=num_items).double()
    order = counts.sort().values
    rank = torch.arange(1, num_items + 1, dtype=torch.float64)
    total = order.sum()
    gini = float((2 * rank - num_items - 1) @ order / (num_items * total)) if total else float("nan")
    tail = long_tail(popularity, tail_share)
    return {
        "coverage": float((counts > 0).double().mean()),
        "gini": gini,
        "tail_share": float(counts[tail].sum() / total) if total else float("nan"),
    }


def long_tail(popularity: Tensor, share: float) -> Tensor:
    """bool of shape (items,): the least popular items that together have at most `share` of the interactions."""
    order = popularity.argsort(stable=True)
    below = popularity[order].double().cumsum(0) <= share * float(popularity.sum())
    tail = torch.zeros(len(popularity), dtype=torch.bool)
    tail[order[below]] = True
    return tail


def sampled_audit(candidates: Tensor, positives: Histories) -> Mapping[str, int]:
    """What may be wrong with sampled negatives: rows of one relevant item and the negatives, -1 for none.

    duplicates: users with the same negative twice; positives: users with an item among their negatives that they are
    known to have had, the tested one included; short: users with fewer negatives than asked for.
    """
    negatives = candidates[:, 1:]
    ordered = negatives.sort(1).values
    same = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    known = (positives.contain(negatives.clamp(min=0)) | (negatives == candidates[:, :1])) & (negatives >= 0)
    return {
        "users": len(candidates),
        "duplicates": int(same.any(1).sum()),
        "positives": int(known.any(1).sum()),
        "short": int((negatives < 0).any(1).sum()),
    }
