"""Ranking the whole catalogue for many users, without ever holding users x items.

Users come in slices whose scores fit the stated memory, seen items are masked, and ties never count as hits: among
equal scores the items that are not relevant stand first.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from pipelines.recommender.histories import Histories
from pipelines.recommender.ranker import Scoring, Users
from shared.training.runtime import single_thread

Result = TypeVar("Result")

# Scores, the copy that top-k works on and what a model needs beside them, in bytes a cell.
_BYTES_PER_CELL = 12
_MAX_USERS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best items of some users: items int64 and scores float32, both of shape (users, k), best first.

    Where a user has fewer than k unseen items, the rest has the score -inf.
    """

    items: Tensor
    scores: Tensor


@dataclass(frozen=True, slots=True)
class Judged:
    """How high the relevant items of some users stand.

    hits: bool of shape (users, k), whether a relevant item stands at each place, ties broken against us.
    shown: int64 of shape (users, k), the items at the places; -1 beyond the last unseen item.
    sampled_rank: int64 of shape (users,), the place (from 0) of the first candidate among the others; the largest
    integer when the model does not know it.
    """

    hits: Tensor
    shown: Tensor
    sampled_rank: Tensor | None


def in_slices(
    users: Users, work: Callable[[Users, slice], Result], *, num_items: int, memory_mb: int, workers: int = 2
) -> Iterator[Result]:
    """`work` on consecutive slices of the users, in order; `memory_mb` is shared by the threads that work on them.

    One slice to a thread, each without inner threads: two that share the work of one product wait for each other.
    """
    cells = memory_mb * 2**20 // (_BYTES_PER_CELL * workers)
    step = max(1, min(_MAX_USERS_AT_ONCE, cells // max(1, num_items)))
    parts = [slice(begin, min(begin + step, len(users))) for begin in range(0, len(users), step)]

    def run(part: slice) -> Result:
        with torch.inference_mode():
            return work(users.select(torch.arange(part.start, part.stop)), part)

    with (
        single_thread(),
        ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        waiting = []
        for part in parts:
            waiting.append(pool.submit(run, part))
            if len(waiting) > workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def top_items(ranker: Scoring, users: Users, seen: Histories, k: int, *, memory_mb: int) -> Ranked:
    """The k best unseen items of every user; `seen` has a row for each of them."""

    def work(part: Users, rows: slice) -> tuple[Tensor, Tensor]:
        scores = seen.select(torch.arange(rows.start, rows.stop)).mask_(ranker.scores(part))
        found = scores.topk(min(k, scores.shape[1]))
        return found.indices, found.values

    parts = list(in_slices(users, work, num_items=ranker.num_items, memory_mb=memory_mb))
    width = min(k, ranker.num_items)
    empty = (torch.zeros(0, width, dtype=torch.int64), torch.zeros(0, width))
    items, scores = (torch.cat([empty[i], *(part[i] for part in parts)]) for i in (0, 1))
    return Ranked(items, scores)


def judge(
    ranker: Scoring,
    users: Users,
    seen: Histories,
    relevant: Histories,
    k: int,
    *,
    memory_mb: int,
    candidates: Tensor | None = None,
) -> Judged:
    """Rank all unseen items for every user and see where the relevant ones stand.

    seen, relevant: a row for each user; relevant items that the model does not know are simply never shown.
    candidates: optional int64 of shape (users, 1 + n), one relevant item and n others, -1 where there is none.
    """

    def work(part: Users, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        index = torch.arange(rows.start, rows.stop)
        scores = ranker.scores(part)
        among = _rank_of_first(scores, candidates[rows]) if candidates is not None else torch.zeros(0).long()
        hits, shown = _places(seen.select(index).mask_(scores), relevant.select(index), k)
        return hits, shown, among

    nobody = (
        torch.zeros(0, k, dtype=torch.bool),
        torch.zeros(0, k, dtype=torch.int64),
        torch.zeros(0).long(),
    )
    parts = [nobody, *in_slices(users, work, num_items=ranker.num_items, memory_mb=memory_mb)]
    hits, shown, among = (torch.cat([part[i] for part in parts]) for i in (0, 1, 2))
    return Judged(hits, shown, among if candidates is not None else None)


def _places(scores: Tensor, relevant: Histories, k: int) -> tuple[Tensor, Tensor]:
    """Hits and items at the first k places of masked scores (users, items)."""
    width = min(k + 1, scores.shape[1])
    values, items = scores.topk(width)
    hits = relevant.contain(items) & (values > -torch.inf)
    # equal scores form a group, in which relevant items go last
    group = torch.cumsum(values != values.roll(1, 1), 1)
    order = torch.argsort(group * 2 + hits, dim=1, stable=True)
    hits, items, values = (each.gather(1, order) for each in (hits, items, values))
    if width > k:
        _break_boundary_ties(hits, values, scores, relevant, k)
    shown = torch.where(values > -torch.inf, items, -1)
    missing = max(0, k - width)
    hits, shown = hits[:, :k], shown[:, :k]
    return nn.functional.pad(hits, (0, missing)), nn.functional.pad(shown, (0, missing), value=-1)


def _break_boundary_ties(hits: Tensor, values: Tensor, scores: Tensor, relevant: Histories, k: int) -> None:
    """Where equal scores go on beyond place k, the list does not hold the whole group: it is counted in the scores."""
    boundary = values[:, k - 1]
    cut = ((values[:, k] == boundary) & (boundary > -torch.inf)).nonzero().squeeze(1)
    if not len(cut):
        return
    value = boundary[cut, None]
    ahead = (values[cut] > value).sum(1)
    wanted = relevant.select(cut).first_items(scores.shape[1])
    tied = scores[cut][wanted.users, wanted.items] == value[wanted.users, 0]
    num_relevant = torch.bincount(wanted.users[tied], minlength=len(cut))
    first_hit = ahead + (scores[cut] == value).sum(1) - num_relevant
    place = torch.arange(values.shape[1])
    in_group = place >= ahead[:, None]
    hits[cut] = torch.where(in_group, place >= first_hit[:, None], hits[cut])


def _rank_of_first(scores: Tensor, candidates: Tensor) -> Tensor:
    """Place, from 0, of the first candidate among the others of its row; a tie counts against it."""
    known = (candidates >= 0) & (candidates < scores.shape[1])
    values = scores.gather(1, candidates.clamp(0, scores.shape[1] - 1))
    values = torch.where(known, values, -torch.inf)
    others = candidates[:, 1:] >= 0
    place = ((values[:, 1:] >= values[:, :1]) & others).sum(1)
    # what the model does not know, or has no number for, it does not find among however few others
    return torch.where(values[:, 0] > -torch.inf, place, torch.iinfo(torch.int64).max)
