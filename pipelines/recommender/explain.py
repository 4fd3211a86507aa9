"""Which items of a history a recommendation rests on, checked by taking them away.

Explained is the score of the item that stands first, as a sum over the user's history. Checked are completeness,
removal of the history's items against random orders, where a removal is a real one: the user is folded in again
without them. On the generator the true likeness of items is known, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from pipelines.recommender.histories import Histories
from pipelines.recommender.ranker import Ranker, Users
from pipelines.recommender.ranking import top_items
from pipelines.recommender.score import Audience, Scorer
from shared.interpretability.attribution import Attribution
from shared.interpretability.faithfulness import check

METHODS = {
    "popularity": "none: the same order for everybody",
    "item_knn": "exact sum over the history",
    "ease": "exact sum over the history",
    "ials": "exact sum over the history (Hu et al. 2008)",
}
_NETWORK_METHOD = "integrated gradients along the user's vector, shared out by Fisher scoring"
_NUM_GROUPS = 5  # items are removed in so many groups: each removal folds every user in again
_NUM_EXAMPLES = 3
Likeness = Callable[[Tensor, Tensor], np.ndarray]


@dataclass(frozen=True, slots=True)
class Explained:
    """Users with their first recommended item and what its score rests on."""

    audience: Audience
    users: Users
    items: Tensor
    attribution: Attribution


def method_of(kind: str) -> str:
    """How scores of this kind of model are explained."""
    return METHODS.get(kind, _NETWORK_METHOD)


def explain_first(scorer: Scorer, audience: Audience) -> Explained:
    """What the score of each user's best unseen item rests on. Values of shape (users, longest history)."""
    users = scorer.users(audience)
    memory = scorer.config.evaluation.memory_mb
    items = top_items(scorer.ranker, users, audience.seen, 1, memory_mb=memory).items[:, 0]
    found = scorer.ranker.contributions(users, items[:, None])
    scores = _scores_of(scorer.ranker, users, items)
    attribution = Attribution(
        values=found.values[:, 0].double().numpy(),
        names=(),
        target="score of the item recommended first",
        baseline="a user without any history"
        if scorer.kind in METHODS
        else "the average user, and what unseen items take away",
        method=method_of(scorer.kind),
        unit="score",
        base_value=found.base[:, 0].double().numpy(),
        output=scores.double().numpy(),
    )
    return Explained(audience, users, items, attribution)


def _scores_of(ranker: Ranker, users: Users, items: Tensor) -> Tensor:
    with torch.inference_mode():
        parts = [
            ranker.scores(users.select(rows)).gather(1, items[rows, None])[:, 0]
            for rows in torch.arange(len(users)).split(64)
        ]
    return torch.cat(parts)


def checked_explanation(scorer: Scorer, audience: Audience, *, seed: int) -> Explained:
    """The explanation of these users with its faithfulness check attached. Popularity has nothing to check."""
    explained = explain_first(scorer, audience)
    if scorer.kind == "popularity":
        return explained
    rows, groups, grouped = _in_groups(explained, np.random.default_rng(seed))
    if len(rows) < 2:
        return explained
    absent = torch.zeros(1, rows.shape[1])
    faithfulness = check(
        _after_removal(scorer), grouped, rows, absent, groups=groups, num_random=3, seed=seed
    )
    return replace(explained, attribution=explained.attribution.checked(faithfulness))


def _in_groups(
    explained: Explained, random: np.random.Generator
) -> tuple[Tensor, dict[str, list[int]], Attribution]:
    """Users with five items or more as rows of item codes (0: none) and the wanted item at the end.

    Each user's history is cut at random into five groups of equal size, with up to four items that are never taken
    away: unequal groups would let any explanation pass that is merely positive. A removal curve then has five points
    instead of one for each item.
    """
    histories, attribution = explained.users.histories, explained.attribution
    chosen = (histories.counts >= _NUM_GROUPS).nonzero().squeeze(1)
    largest = int(histories.counts.max()) // _NUM_GROUPS if len(chosen) else 0
    width = _NUM_GROUPS * largest
    rows = torch.zeros(len(chosen), width + _NUM_GROUPS)
    values, kept = np.zeros((len(chosen), _NUM_GROUPS)), np.zeros(len(chosen))
    for row, user in enumerate(chosen.tolist()):
        past = histories.items[histories.offsets[user] : histories.offsets[user + 1]]
        order = random.permutation(len(past))
        size = len(past) // _NUM_GROUPS * _NUM_GROUPS
        taken, rest = order[:size], order[size:]
        rows[row, :size] = (past[taken] + 1).float()
        rows[row, width : width + len(rest)] = (past[rest] + 1).float()
        values[row] = attribution.values[user, taken].reshape(-1, _NUM_GROUPS).sum(0)
        kept[row] = attribution.values[user, rest].sum()
    rows[:, -1] = explained.items[chosen].float()
    groups = {f"group {g}": list(range(g, width, _NUM_GROUPS)) for g in range(_NUM_GROUPS)}
    assert isinstance(attribution.base_value, np.ndarray)
    assert attribution.output is not None
    index = chosen.numpy()
    grouped = replace(
        attribution,
        values=values,
        names=tuple(groups),
        base_value=attribution.base_value[index] + kept,
        output=attribution.output[index],
    )
    return rows, groups, grouped


def _after_removal(scorer: Scorer) -> Callable[[Tensor], Tensor]:
    """Rows of item codes (0: taken away) and a wanted item at the end -> its score for such a user."""

    def predict(rows: Tensor) -> Tensor:
        codes, items = rows[:, :-1].long(), rows[:, -1].long()
        row, place = (codes > 0).nonzero(as_tuple=True)
        left = codes[row, place] - 1
        histories = Histories.of_pairs(row, left, torch.ones(len(row)), len(rows), scorer.ranker.num_items)
        return _scores_of(scorer.ranker, scorer.ranker.fold_in(histories), items)

    return predict


def counterfactuals(scorer: Scorer, explained: Explained) -> list[dict[str, Any]]:
    """For each user: the place of his first item when the item that speaks most for it is taken from his history.

    Both places are of a folded-in user, so that nothing differs but the item.
    """
    if not explained.attribution.values.shape[1]:
        return []
    histories = explained.users.histories
    values = torch.from_numpy(explained.attribution.values).masked_fill(~histories.filled, -torch.inf)
    strongest = values.argmax(1)
    taken = histories.padded()[0][torch.arange(len(histories)), strongest]
    without = histories.keeping(histories.items != taken[histories.users])
    before = _places(scorer, histories, explained)
    after = _places(scorer, without, explained)
    return [
        {
            "user_id": explained.audience.ids[user],
            "item": scorer.catalogue.title_of(int(explained.items[user])),
            "without": scorer.catalogue.title_of(int(taken[user])),
            "rank_before": int(before[user]),
            "rank_after": int(after[user]),
        }
        for user in range(len(histories))
        if values[user].max() > 0  # of some items nothing in the history speaks for, popular ones mostly
    ]


def _places(scorer: Scorer, histories: Histories, explained: Explained) -> Tensor:
    """Place, from 1, of each user's first item among the unseen ones, for users with these histories; a tie counts
    against it."""
    users = scorer.ranker.fold_in(histories)
    found = []
    with torch.inference_mode():
        for rows in torch.arange(len(histories)).split(64):
            scores = scorer.ranker.scores(users.select(rows))
            own = scores.gather(1, explained.items[rows, None])
            explained.audience.seen.select(rows).mask_(scores)
            found.append((scores >= own).sum(1))  # its own score is among them
    return torch.cat(found)


def counterfactual_summary(changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How far the first item falls without the item that speaks most for it, and three users in words."""
    falls = np.array([change["rank_after"] - change["rank_before"] for change in changes])
    return {
        "users": len(changes),
        "median_rank_after": float(np.median([change["rank_after"] for change in changes]))
        if changes
        else None,
        "share_that_falls": float((falls > 0).mean()) if changes else None,
        "examples": list(changes[:_NUM_EXAMPLES]),
    }


def examples(scorer: Scorer, explained: Explained) -> list[dict[str, Any]]:
    """A few users whose history is of middling length, with the contributions to their first item, strongest first."""
    counts = explained.users.histories.counts
    order = (counts - counts.median()).abs().argsort(stable=True)[:_NUM_EXAMPLES]
    places = explained.users.histories.padded()[0]
    shown = []
    for user in order.tolist():
        values = explained.attribution.values[user, : int(counts[user])]
        strongest = np.argsort(-values, kind="stable")
        shown.append(
            {
                "user_id": explained.audience.ids[user],
                "item": scorer.catalogue.title_of(int(explained.items[user])),
                "contributions": [
                    [scorer.catalogue.title_of(int(places[user, at])), float(values[at])] for at in strongest
                ],
            }
        )
    return shown


def truth_agreement(explained: Explained, likeness: Likeness) -> Mapping[str, float]:
    """On the generator: how alike the recommended item and the item that speaks most for it truly are, as the share
    of the history that is less alike (0.5 by chance), and how often it is the most alike one."""
    histories, values = explained.users.histories, explained.attribution.values
    shares, first = [], []
    for user in range(len(histories)):
        past = histories.items[histories.offsets[user] : histories.offsets[user + 1]]
        if len(past) < 2:
            continue
        alike = likeness(explained.items[user, None], past)[0]
        strongest = int(np.argmax(values[user, : len(past)]))
        others = np.delete(alike, strongest)
        shares.append(((others < alike[strongest]) + 0.5 * (others == alike[strongest])).mean())
        first.append(alike[strongest] >= alike.max())
    return {
        "users": float(len(shares)),
        "less_alike_share": float(np.mean(shares)) if shares else float("nan"),
        "most_alike": float(np.mean(first)) if first else float("nan"),
    }


def contribution_table(
    scorer: Scorer, interactions: pl.DataFrame, recommendations: pl.DataFrame
) -> pl.DataFrame:
    """What each item of a history adds to the score of each recommended item; a row for each contribution but 0."""
    audience = scorer.audience(interactions)
    served = recommendations.filter(~pl.col("fallback"))
    lists = served.group_by("user_id", maintain_order=True).agg("item_id")
    order = torch.from_numpy(audience.ids.search_sorted(lists["user_id"]).to_numpy().astype("int64"))
    audience = audience.select(order)
    slices = torch.arange(len(audience)).split(256) if len(audience) else ()
    parts = [_contributions(scorer, audience.select(rows), lists[rows.numpy()]) for rows in slices]
    empty = {
        "user_id": pl.String,
        "item_id": pl.String,
        "history_item_id": pl.String,
        "contribution": pl.Float64,
    }
    return pl.concat([pl.DataFrame(schema=empty), *parts])


def _contributions(scorer: Scorer, audience: Audience, lists: pl.DataFrame) -> pl.DataFrame:
    users, sizes = scorer.users(audience), lists["item_id"].list.len().to_numpy()
    items = torch.zeros(len(audience), int(sizes.max()), dtype=torch.int64)
    filled = torch.arange(items.shape[1]) < torch.from_numpy(sizes.astype("int64"))[:, None]
    items[filled] = scorer.catalogue.item_index(lists["item_id"].explode())
    values = scorer.ranker.contributions(users, items).values
    present = users.histories.filled[:, None] & filled[..., None] & (values != 0)
    user, place, past = present.nonzero(as_tuple=True)
    names = scorer.catalogue.items
    return pl.DataFrame(
        {
            "user_id": audience.ids[user.numpy()],
            "item_id": names[items[user, place].numpy()],
            "history_item_id": names[users.histories.padded()[0][user, past].numpy()],
            "contribution": values[user, place, past].double().numpy(),
        }
    )
