"""The vector of one user as a small problem of its own: everything else in a trained network is held.

The vector is the most likely one given the history, under the spread of the vectors of training users:
    sum over history of log sigma(s) + sum over unseen items of log sigma(-s) - |z|^2 / 2, with e = mean + deviation z.
Its equations say how much each item of the history moved the vector, as those of weighted least squares do for iALS.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from pipelines.recommender.histories import Histories
from pipelines.recommender.model import Network

_LEARNING_RATE = 0.15  # in standard deviations of the vectors a step
_CELLS_AT_ONCE = 1 << 22  # numbers in the gathered vectors of a batch of users: 16 MB
_NUM_UNSEEN = 128  # items, the same for all users, that stand for all unseen ones at each step


@dataclass(frozen=True, slots=True)
class Prior:
    """How the vectors of training users are spread: mean and standard deviation, both of shape (D,)."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Self:
        return cls(vectors.mean(0), vectors.std(0, correction=0).clamp(min=1e-6))


class PersonalFit:
    """Vectors of users from their histories. items: vectors of the catalogue, of shape (I, D)."""

    def __init__(self, network: Network, items: Tensor, prior: Prior, num_negatives: int) -> None:
        self.network, self.items, self.prior, self.num_negatives = network, items, prior, num_negatives

    def fit(self, histories: Histories, num_steps: int, start: Tensor | None = None) -> Tensor:
        """float32 of shape (users, D), from the average vector or `start`; in whatever company a user comes."""
        fitted = self.prior.mean.repeat(len(histories), 1) if start is None else start.clone()
        for rows in self._batches(histories):
            fitted[rows] = self._fit_together(histories.select(rows), fitted[rows], num_steps)
        return fitted

    def _fit_together(self, histories: Histories, start: Tensor, num_steps: int) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        present = histories.filled.float()
        past = self.items[histories.padded()[0]]
        with torch.enable_grad():
            offset = ((start - self.prior.mean) / self.prior.deviation).requires_grad_()
            optimizer = torch.optim.Adam([offset], lr=_LEARNING_RATE)
            for _ in range(num_steps):
                unseen, share = self._unseen(histories, generator)
                vectors = self.prior.mean + self.prior.deviation * offset
                had = self.network.pairs(vectors, past)
                not_had = self.network.pairs(vectors, self.items[unseen].expand(len(histories), -1, -1))
                likelihood = (logsigmoid(had) * present).sum() + (logsigmoid(-not_had) * share).sum()
                (offset.grad,) = torch.autograd.grad(0.5 * offset.square().sum() - likelihood, offset)
                optimizer.step()
        return (self.prior.mean + self.prior.deviation * offset).detach()

    def _unseen(self, histories: Histories, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Some items (n,), and how many draws of training each stands for (users, n): 0 for a user who had it."""
        drawn = torch.randint(len(self.items), (_NUM_UNSEEN,), generator=generator)
        share = (self.num_negatives / _NUM_UNSEEN) * histories.counts.float()[:, None]
        return drawn, share * ~histories.contain(drawn.expand(len(histories), -1))

    def steps_of_history(self, histories: Histories, vectors: Tensor) -> Tensor:
        """How far each item of a history moved the vector from the average: (users, longest history, D)."""
        longest = int(histories.counts.max()) if len(histories) else 0
        steps = torch.zeros(len(histories), longest, vectors.shape[1])
        for rows in self._batches(histories):
            found = self._steps_together(histories.select(rows), vectors[rows])
            steps[rows, : found.shape[1]] = found
        return steps

    def _steps_together(self, histories: Histories, vectors: Tensor) -> Tensor:
        """One step of Fisher scoring is weighted least squares: this is what each row of it contributes."""
        past = self.items[histories.padded()[0]]
        unseen, share = self._unseen(histories, torch.Generator().manual_seed(0))
        others = self.items[unseen].expand(len(histories), -1, -1)
        slopes, of_others = self.gradients(vectors, past), self.gradients(vectors, others)  # B L D, B n D
        probability = torch.sigmoid(self.network.pairs(vectors, past))
        of_unseen = torch.sigmoid(self.network.pairs(vectors, others))
        present = histories.filled.float()
        curvature = probability * (1 - probability) * present
        system = slopes.transpose(1, 2) @ (slopes * curvature[..., None])
        system += of_others.transpose(1, 2) @ (of_others * (share * of_unseen * (1 - of_unseen))[..., None])
        system.diagonal(dim1=1, dim2=2).add_(self.prior.deviation.square().reciprocal())
        moved = (slopes @ (vectors - self.prior.mean)[..., None]).squeeze(-1)
        pull = (curvature * moved + (1 - probability) * present)[..., None] * slopes
        return torch.cholesky_solve(pull.transpose(1, 2), torch.linalg.cholesky(system)).transpose(1, 2)

    def gradients(self, vectors: Tensor, items: Tensor) -> Tensor:
        """Of the scores of items (B, N, D) by the vector of their user (B, D): (B, N, D)."""
        apart = vectors[:, None].expand_as(items).reshape(-1, vectors.shape[1])
        with torch.enable_grad():
            apart = apart.clone().requires_grad_()
            scores = self.network.pairs(apart, items.reshape(-1, 1, vectors.shape[1]))
            (found,) = torch.autograd.grad(scores.sum(), apart)
        return found.view_as(items)

    def _batches(self, histories: Histories) -> Iterator[Tensor]:
        """Users of like length together, as many as the memory allows; those without a history are left out."""
        order = torch.argsort(histories.counts, stable=True)
        lengths = histories.counts[order].tolist()
        begin = int((histories.counts == 0).sum())
        while begin < len(order):
            end = begin + 1
            while end < len(order) and self._cells(end + 1 - begin, lengths[end]) <= _CELLS_AT_ONCE:
                end += 1
            yield order[begin:end]
            begin = end

    def _cells(self, num_users: int, longest: int) -> int:
        return num_users * (longest + _NUM_UNSEEN) * self.items.shape[1]
