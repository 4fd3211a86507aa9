"""Who has had which items: a compressed sparse matrix of users x items as tensors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

# A plain table of users x items answers fastest; beyond this many cells it is not worth its memory.
_TABLE_CELLS = 1 << 26
_SLOTS_PER_PAIR = 16  # about 6 % of unknown pairs need the exact search
_HASH_FACTOR = 0x9E3779B97F4A7C15 - (1 << 64)  # Fibonacci hashing: 2^64 / golden ratio, as a signed number


@dataclass(frozen=True, slots=True)
class Histories:
    """The items of each user, ascending and distinct.

    offsets: int64 of shape (users + 1,); items: int64 of shape (pairs,); weights: float32 of shape (pairs,).
    """

    offsets: Tensor
    items: Tensor
    weights: Tensor
    num_items: int

    @classmethod
    def of_pairs(cls, users: Tensor, items: Tensor, weights: Tensor, num_users: int, num_items: int) -> Self:
        """From pairs in any order; of a repeated pair the weights are added."""
        keys, places = torch.unique(users.long() * num_items + items.long(), return_inverse=True)
        summed = torch.zeros(len(keys)).index_add_(0, places, weights.float())
        counts = torch.bincount(keys // num_items, minlength=num_users)
        offsets = torch.zeros(num_users + 1, dtype=torch.int64)
        torch.cumsum(counts, 0, out=offsets[1:])
        return cls(offsets, keys % num_items, summed, num_items)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Tensor:
        """Items of each user, int64 of shape (users,)."""
        return self.offsets.diff()

    @property
    def users(self) -> Tensor:
        """The user of each pair, int64 of shape (pairs,)."""
        return torch.repeat_interleave(torch.arange(len(self)), self.counts)

    def select(self, users: Tensor) -> "Histories":
        """The histories of some users, in their order."""
        counts = self.counts[users]
        offsets = torch.zeros(len(users) + 1, dtype=torch.int64)
        torch.cumsum(counts, 0, out=offsets[1:])
        places = torch.arange(int(offsets[-1])) + torch.repeat_interleave(
            self.offsets[users] - offsets[:-1], counts
        )
        return Histories(offsets, self.items[places], self.weights[places], self.num_items)

    def keeping(self, kept: Tensor) -> "Histories":
        """Only the pairs where `kept`, bool of shape (pairs,)."""
        offsets = torch.zeros_like(self.offsets)
        torch.cumsum(torch.bincount(self.users[kept], minlength=len(self)), 0, out=offsets[1:])
        return Histories(offsets, self.items[kept], self.weights[kept], self.num_items)

    def union(self, other: "Histories") -> "Histories":
        """The pairs of both, user by user."""
        return Histories.of_pairs(
            torch.cat([self.users, other.users]),
            torch.cat([self.items, other.items]),
            torch.cat([self.weights, other.weights]),
            len(self),
            self.num_items,
        )

    def transposed(self) -> "Histories":
        """The users of each item."""
        return Histories.of_pairs(self.items, self.users, self.weights, self.num_items, len(self))

    def padded(self) -> tuple[Tensor, Tensor]:
        """Items and weights of shape (users, longest); places beyond a history hold item 0 of weight 0."""
        filled = self.filled
        items = torch.zeros(filled.shape, dtype=torch.int64)
        weights = torch.zeros(filled.shape)
        items[filled], weights[filled] = self.items, self.weights
        return items, weights

    @property
    def filled(self) -> Tensor:
        """Which places of `padded` hold an item: bool of shape (users, longest)."""
        counts = self.counts
        longest = int(counts.max()) if len(counts) else 0
        return torch.arange(longest) < counts[:, None]

    def mask_(self, scores: Tensor) -> Tensor:
        """Writes -inf over what each user has had, in scores of shape (users, any number of first items)."""
        seen = self.first_items(scores.shape[1])
        scores[seen.users, seen.items] = -torch.inf
        return scores

    def first_items(self, num_items: int) -> "Histories":
        """The same histories in a catalogue of its first items only."""
        if num_items >= self.num_items:
            return self
        kept = self.keeping(self.items < num_items)
        return Histories(kept.offsets, kept.items, kept.weights, num_items)

    def contain_pairs(self, other: "Histories") -> Tensor:
        """For each pair of histories of the same users, whether it is one of these too: bool of shape (pairs,)."""
        return torch.isin(
            other.users * self.num_items + other.items, self.users * self.num_items + self.items
        )

    def contain(self, items: Tensor) -> Tensor:
        """For items of shape (users, n), whether each is in the history of its row's user."""
        known = self.users * self.num_items + self.items
        if not len(known):
            return torch.zeros(items.shape, dtype=torch.bool)
        asked = torch.arange(len(self))[:, None] * self.num_items + items
        place = torch.searchsorted(known, asked).clamp(max=len(known) - 1)
        return (known[place] == asked) & (items < self.num_items)

    def membership(self) -> Callable[[Tensor, Tensor], Tensor]:
        """A fast exact test: (users, items) of equal shape -> bool, whether the pair is known.

        A small matrix becomes a table of bits. Beyond that a hashed table of 16 slots a pair rules out nearly all
        unknown pairs with one look, and only the others are searched for.
        """
        known = self.users * self.num_items + self.items  # ascending
        cells = len(self) * self.num_items
        if cells <= _TABLE_CELLS:
            table = torch.zeros(cells, dtype=torch.bool)
            table[known] = True
            return lambda users, items: table[users * self.num_items + items]
        bits = max(10, int(np.ceil(np.log2(_SLOTS_PER_PAIR * max(len(known), 1)))))
        shift = 64 - bits

        def slot(keys: Tensor) -> Tensor:
            return ((keys * _HASH_FACTOR) >> shift) & ((1 << bits) - 1)

        slots = torch.zeros(1 << bits, dtype=torch.bool)
        slots[slot(known)] = True

        def contains(users: Tensor, items: Tensor) -> Tensor:
            keys = users * self.num_items + items
            found = slots[slot(keys)]
            doubtful = found.nonzero(as_tuple=True)
            asked = keys[doubtful]
            place = torch.searchsorted(known, asked).clamp(max=len(known) - 1)
            found[doubtful] = known[place] == asked
            return found

        return contains
