"""Implicit alternating least squares (Hu, Koren, Volinsky 2008; regularisation of Rendle et al. 2021).

Minimises, over user vectors p and item vectors q of d factors,
    sum over seen (u, i) of c_ui (1 - p_u q_i)^2 + w sum over all (u, i) of (p_u q_i)^2
    + r (sum over u of (n_u + w items) |p_u|^2 + sum over i of (n_i + w users) |q_i|^2)
with confidence c_ui, unobserved weight w, regularisation r. What differs from the published recipe: confidence grows
with the logarithm of a weight above 1.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from pipelines.recommender.histories import Histories
from pipelines.recommender.ranker import Contributions, Users
from shared.training.runtime import single_thread

# Gathered factors and normal equations of one batch of users: 16 MB. Eight times that takes half as long again.
_BATCH_CELLS = 1 << 22
_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Ials:
    """users: float32 of shape (users, d); items: float32 of shape (items, d). A score is their dot product."""

    users: Tensor
    items: Tensor
    regularisation: float
    unobserved_weight: float

    @classmethod
    def fit(
        cls,
        histories: Histories,
        *,
        num_factors: int,
        regularisation: float,
        unobserved_weight: float,
        num_sweeps: int,
        seed: int,
    ) -> Self:
        """Alternates exact solutions for all users and all items; ends with the users, so that folding in a
        training user gives back the trained vector."""
        generator = torch.Generator().manual_seed(seed)
        items = torch.randn(histories.num_items, num_factors, generator=generator) * (0.1 / num_factors**0.5)
        audiences = histories.transposed()
        settings = (regularisation, unobserved_weight)
        for _ in range(num_sweeps):
            users = _solve(histories, items, *settings)
            items = _solve(audiences, users, *settings)
        return cls(_solve(histories, items, *settings), items, *settings)

    @property
    def num_items(self) -> int:
        return len(self.items)

    def known(self, histories: Histories, index: Tensor) -> Users:
        return Users(histories, self.users[index])

    def fold_in(self, histories: Histories, start: Tensor | None = None) -> Users:
        """Exact: the vectors that training would give these histories, with the items as they are."""
        return Users(histories, _solve(histories, self.items, self.regularisation, self.unobserved_weight))

    def scores(self, users: Users) -> Tensor:
        assert users.vectors is not None
        return users.vectors @ self.items.T

    def contributions(self, users: Users, items: Tensor) -> Contributions:
        """Exact: the vector of a user is a sum over the history, so the score is one, too (Hu et al., section 5)."""
        places, weights = users.histories.padded()
        past = self.items[places]  # B L d
        confidence = _confidence(weights)
        penalty = self.regularisation * _frequency(users.histories, self.num_items, self.unobserved_weight)
        gram = self.unobserved_weight * (self.items.T @ self.items)
        system = _normal_equations(past, confidence, gram, penalty)
        wanted = torch.cholesky_solve(
            self.items[items].transpose(1, 2), torch.linalg.cholesky(system)
        )  # B d N
        values = confidence[:, None] * (past @ wanted).transpose(1, 2)
        return Contributions(values, torch.zeros(items.shape))

    def tensors(self) -> dict[str, Tensor]:
        return {"users": self.users, "items": self.items}

    def settings(self) -> dict[str, Any]:
        return {"regularisation": self.regularisation, "unobserved_weight": self.unobserved_weight}

    @classmethod
    def restore(cls, settings: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        return cls(tensors["users"], tensors["items"], **settings)


def _solve(histories: Histories, factors: Tensor, regularisation: float, unobserved_weight: float) -> Tensor:
    """The best vectors of all rows with `factors` held: one small linear system each, in batches of like length."""
    num_factors = factors.shape[1]
    gram = unobserved_weight * (factors.T @ factors)
    penalty = regularisation * _frequency(histories, len(factors), unobserved_weight)
    solved = torch.zeros(len(histories), num_factors)

    def solve(rows: Tensor) -> None:
        places, weights = histories.select(rows).padded()
        past, confidence = factors[places], _confidence(weights)
        system = _normal_equations(past, confidence, gram, penalty[rows])
        target = torch.bmm(confidence[:, None], past).transpose(1, 2)
        solved[rows] = torch.cholesky_solve(target, torch.linalg.cholesky(system)).squeeze(-1)

    # a batch to a thread: threads that share each small product wait for each other on a busy machine
    with (
        single_thread(),
        ThreadPoolExecutor(_WORKERS, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        list(pool.map(solve, _batches(histories, num_factors)))
    return solved


def _batches(histories: Histories, num_factors: int) -> Iterator[Tensor]:
    """Rows of like length together."""
    order = torch.argsort(histories.counts, stable=True)
    lengths = histories.counts[order].tolist()
    begin = 0
    while begin < len(order):
        end = _batch_end(lengths, begin, num_factors)
        yield order[begin:end]
        begin = end


def _normal_equations(past: Tensor, confidence: Tensor, gram: Tensor, penalty: Tensor) -> Tensor:
    """The matrix of each row's system, of shape (rows, d, d), from its history's factors (rows, length, d)."""
    weighted = past * confidence[..., None]
    system = torch.baddbmm(gram.expand(len(past), *gram.shape), weighted.transpose(1, 2), past)
    system.diagonal(dim1=1, dim2=2).add_(penalty[:, None])
    return system


def _frequency(histories: Histories, num_others: int, unobserved_weight: float) -> Tensor:
    """How much of the loss is about each row: the regularisation grows with it."""
    return histories.counts.float() + unobserved_weight * num_others


def _confidence(weights: Tensor) -> Tensor:
    return torch.where(weights > 1, 1 + weights.clamp(min=1).log(), weights)


def _batch_end(lengths: list[int], begin: int, num_factors: int) -> int:
    """Rows are sorted by length: as many as fit, padded to the longest of them."""
    end = min(len(lengths), begin + 4096)
    while end > begin + 1 and (end - begin) * num_factors * (lengths[end - 1] + num_factors) > _BATCH_CELLS:
        end = begin + (end - begin) // 2
    return end
