"""Items that a user has not had: drawn anew for every epoch, where the tensors are, never a known positive."""

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from pipelines.recommender.histories import Histories

_PAIRS_AT_ONCE = 1 << 20
# Even a user who has had half of all items keeps a wrong draw for so many rounds once in 4 billion times.
_MAX_ROUNDS = 32


class Negatives:
    """Draws unseen items, uniformly and with replacement, from the first `num_items` of the catalogue."""

    def __init__(self, histories: Histories, *, seed: int) -> None:
        self.histories, self.seed = histories, seed
        self.contains: Callable[[Tensor, Tensor], Tensor] = histories.membership()

    def of_epoch(self, users: Tensor, num_negatives: int, epoch: int) -> Tensor:
        """For each user, int64 of shape (n,), unseen items: int32 of shape (n, num_negatives).

        Depends on nothing but seed and epoch. Raises ValueError for a user who has had every item.
        """
        mixed = hashlib.sha256(f"negatives:{self.seed}:{epoch}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(mixed[:8], "little") >> 1)
        drawn = torch.empty(len(users), num_negatives, dtype=torch.int32)
        step = max(1, _PAIRS_AT_ONCE // num_negatives)
        for begin in range(0, len(users), step):
            part = users[begin : begin + step, None].expand(-1, num_negatives).reshape(-1)
            drawn[begin : begin + step] = self._draw(part, generator).view(-1, num_negatives)
        return drawn

    def _draw(self, users: Tensor, generator: torch.Generator) -> Tensor:
        num_items = self.histories.num_items
        items = torch.randint(num_items, users.shape, generator=generator)
        wrong = self.contains(users, items).nonzero().squeeze(1)
        for _ in range(_MAX_ROUNDS):
            if not len(wrong):
                return items
            again = torch.randint(num_items, wrong.shape, generator=generator)
            items[wrong] = again
            wrong = wrong[self.contains(users[wrong], again)]
        for place in wrong.tolist():  # users who have had nearly everything
            items[place] = self._from_the_rest(int(users[place]), generator)
        return items

    def _from_the_rest(self, user: int, generator: torch.Generator) -> int:
        unseen = torch.ones(self.histories.num_items, dtype=torch.bool)
        unseen[self.histories.items[self.histories.offsets[user] : self.histories.offsets[user + 1]]] = False
        rest = unseen.nonzero().squeeze(1)
        if not len(rest):
            raise ValueError(
                f"Expected users who have not had every item. Received user {user} with all of them."
            )
        return int(rest[torch.randint(len(rest), (), generator=generator)])


def distinct_negatives(histories: Histories, users: Tensor, num_negatives: int, *, seed: int) -> Tensor:
    """For each user distinct unseen items, int64 of shape (n, num_negatives); -1 where too few are left.

    `histories` holds everything that counts as seen, the item to be ranked included.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.full((len(users), num_negatives), -1, dtype=torch.int64)
    step = max(1, (_PAIRS_AT_ONCE * 16) // max(1, histories.num_items))
    for begin in range(0, len(users), step):
        part = users[begin : begin + step]
        keys = torch.rand(len(part), histories.num_items, generator=generator)
        histories.select(part).mask_(keys)
        found = keys.topk(min(num_negatives, histories.num_items), dim=1)
        usable = found.values > -torch.inf
        drawn[begin : begin + step, : usable.shape[1]] = torch.where(usable, found.indices, -1)
    return drawn
