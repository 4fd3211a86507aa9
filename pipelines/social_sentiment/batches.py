"""Batches by tokens: posts of nearly one length together, as many as a budget of tokens holds, drawn anew each epoch.

Posts are sorted by length into buckets once. Within a bucket the order is random in every epoch, and so is the order of
batches, so a batch is as long as its longest post and nearly nothing is padding.
"""

import copy
import hashlib
from collections.abc import Iterator
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pipelines.social_sentiment.tokens import Encoded
from shared.training.batches import Batch, Batches, tensors_digest

# A bucket ends where its longest post is this much longer than its shortest, once it fills a batch.
_LARGEST_STRETCH = 1.1


class TokenBatches(Batches):
    """Posts for `fit`: ids int64 (rows, tokens); mask bool of the same shape, only where posts are padded; label int64.

    budget: tokens of a batch, padding included; a longer post is a batch of its own.
    """

    def __init__(self, encoded: Encoded, labels: np.ndarray, *, pad_id: int, budget: int, seed: int) -> None:
        lengths = encoded.lengths
        self.buckets = [torch.from_numpy(rows) for rows in buckets_of(lengths, budget)]
        self.longest = [int(lengths[rows].max()) for rows in self.buckets]
        self.budget, self.pad_id = budget, pad_id
        self._sizes = [
            min(max(1, budget // longest), len(rows))
            for rows, longest in zip(self.buckets, self.longest, strict=True)
        ]
        self._tensors = {
            "ids": torch.from_numpy(encoded.ids),
            "begin": torch.from_numpy(encoded.offsets[:-1].copy()),
            "length": torch.from_numpy(lengths),
            "label": torch.from_numpy(labels.astype(np.int64)),
        }
        # bucket and place in it of each batch
        self._slots = [
            (bucket, place)
            for bucket, (rows, size) in enumerate(zip(self.buckets, self._sizes, strict=True))
            for place in range(-(-len(rows) // size))
        ]
        self._planned: tuple[int, list[tuple[int, int]]] = (-1, [])
        super().__init__(len(lengths), max(self._sizes, default=1), seed=seed, drop_last=False, shuffle=True)

    @property
    def padding_share(self) -> float:
        """Share of all tokens of an epoch that are padding, at most: batches are as long as their bucket."""
        padded = sum(longest * len(rows) for rows, longest in zip(self.buckets, self.longest, strict=True))
        return 1 - float(self._tensors["length"].sum()) / padded

    def __len__(self) -> int:
        return len(self._slots)

    def rows_in(self, epoch: int, index: int) -> int:
        bucket, place = self._plan(epoch)[index]
        return min(self._sizes[bucket], len(self.buckets[bucket]) - place * self._sizes[bucket])

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed_of(epoch))
        orders = [rows[torch.randperm(len(rows), generator=generator)] for rows in self.buckets]
        for bucket, place in self._plan(epoch)[start:]:
            size = self._sizes[bucket]
            rows = orders[bucket][place * size : (place + 1) * size]
            begin, end = len(rows) * self.rank // self.world, len(rows) * (self.rank + 1) // self.world
            yield self.gather(rows[begin:end])

    def parts(self) -> Iterator[Tensor]:
        """Numbers of all posts in batches, shortest first, int64 (rows,)."""
        for rows, size in zip(self.buckets, self._sizes, strict=True):
            yield from rows.split(size)

    def gather(self, rows: Tensor) -> Batch:
        """Some posts in one batch."""
        tensors = self._tensors
        rows = rows.to(tensors["ids"].device)
        ids, mask = padded(tensors["ids"], tensors["begin"][rows], tensors["length"][rows], self.pad_id)
        batch = {"ids": ids, "label": tensors["label"][rows]}
        return batch if mask is None else batch | {"mask": mask}

    def to(self, device: torch.device) -> Self:
        moved = copy.copy(self)
        moved._tensors = {name: tensor.to(device) for name, tensor in self._tensors.items()}
        return moved

    def digest(self) -> str:
        plan = f"{super().digest()}{self.budget}{self.pad_id}{tensors_digest(self._tensors)}"
        return hashlib.sha256(plan.encode()).hexdigest()

    def _plan(self, epoch: int) -> list[tuple[int, int]]:
        """The slots in the order of training of an epoch; kept for the latest, since `fit` asks at every step."""
        if self._planned[0] != epoch:
            order = np.random.default_rng(self.seed_of(epoch)).permutation(len(self._slots))
            self._planned = (epoch, [self._slots[place] for place in order])
        return self._planned[1]


def buckets_of(lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """Numbers of posts of nearly one length, shortest first; each fills a batch, as far as there are posts."""
    order = np.argsort(lengths, kind="stable")
    found: list[np.ndarray] = []
    begin = 0
    ends = np.flatnonzero(np.diff(lengths[order], append=-1)) + 1
    for end, after in zip(ends, [*ends[1:], None], strict=True):
        longest = int(lengths[order[end - 1]])
        fills = (end - begin) * longest >= budget
        next_longest = longest if after is None else int(lengths[order[after - 1]])
        if after is None or (fills and next_longest > _LARGEST_STRETCH * lengths[order[begin]]):
            found.append(order[begin:end])
            begin = int(end)
    return found


def padded(ids: Tensor, begin: Tensor, length: Tensor, pad_id: int) -> tuple[Tensor, Tensor | None]:
    """Posts cut from flat tokens: int64 (rows, longest) and where tokens are, bool; None where all are."""
    longest = int(length.max()) if len(length) else 0
    places = torch.arange(longest, device=ids.device)
    mask = places < length[:, None]
    full = bool(mask.all())
    found = ids[(begin[:, None] + places).clamp(max=len(ids) - 1)].long()
    return (found, None) if full else (found.masked_fill(~mask, pad_id), mask)
