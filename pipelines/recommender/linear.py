"""Models that score from the history alone: popularity, item neighbours and EASE.

Each is a matrix W of items x items: the score of item i is the sum of W[j, i] over the history j. So the
contribution of every item of a history is exact.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pipelines.recommender.histories import Histories
from pipelines.recommender.ranker import Contributions, Users


class FromHistory:
    """What needs no vectors of users."""

    def known(self, histories: Histories, index: Tensor) -> Users:
        return Users(histories, None)

    def fold_in(self, histories: Histories, start: Tensor | None = None) -> Users:
        return Users(histories, None)


@dataclass(frozen=True, slots=True)
class Popularity(FromHistory):
    """The number of users who had each item, float32 of shape (items,): the same order for everybody."""

    counts: Tensor

    @classmethod
    def fit(cls, histories: Histories) -> Self:
        return cls(torch.bincount(histories.items, minlength=histories.num_items).float())

    @property
    def num_items(self) -> int:
        return len(self.counts)

    def scores(self, users: Users) -> Tensor:
        return self.counts.repeat(len(users), 1)

    def contributions(self, users: Users, items: Tensor) -> Contributions:
        longest = users.histories.padded()[0].shape[1]
        return Contributions(torch.zeros(*items.shape, longest), self.counts[items])

    def tensors(self) -> dict[str, Tensor]:
        return {"counts": self.counts}

    def settings(self) -> dict[str, Any]:
        return {}

    @classmethod
    def restore(cls, settings: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        return cls(**tensors)


@dataclass(frozen=True, slots=True)
class ItemKnn(FromHistory):
    """Nearest neighbours among items: W[j, i] = sum over common users u of |u|^-a, over |j|^(1-b) |i|^b.

    |u| and |i| are the numbers of interactions of user and item. a = 0, b = 1/2 is the cosine; a = 1, b = 0 the
    random walk item -> user -> item (RP3beta of Paudel et al. 2016 is in this family). Of each item's row the
    `num_neighbours` strongest are kept. `weights`: CSR of shape (items, items).
    """

    weights: sp.csr_matrix

    @classmethod
    def fit(
        cls, common: sp.csr_matrix, histories: Histories, *, num_neighbours: int, target_exponent: float
    ) -> Self:
        """From `common_users` of the same histories."""
        degrees = np.maximum(np.bincount(histories.items.numpy(), minlength=histories.num_items), 1)
        source = sp.diags_array((degrees ** (target_exponent - 1.0)).astype(np.float32))
        target = sp.diags_array((degrees ** (-target_exponent)).astype(np.float32))
        return cls(_strongest((source @ common @ target).tocsr(), num_neighbours))

    @property
    def num_items(self) -> int:
        return int(self.weights.shape[0])

    def scores(self, users: Users) -> Tensor:
        return torch.from_numpy((_binary(users.histories) @ self.weights).toarray())

    def contributions(self, users: Users, items: Tensor) -> Contributions:
        places, filled = users.histories.padded()[0], users.histories.filled
        if not places.numel() or not items.numel():
            return Contributions(torch.zeros(*items.shape, places.shape[1]), torch.zeros(items.shape))
        sources, targets = np.broadcast_arrays(places.numpy()[:, None], items.numpy()[:, :, None])
        found = np.asarray(self.weights[sources.ravel(), targets.ravel()]).reshape(sources.shape)
        values = torch.from_numpy(found).float() * filled[:, None]
        return Contributions(values, torch.zeros(items.shape))

    def tensors(self) -> dict[str, Tensor]:
        return {
            "values": torch.from_numpy(self.weights.data),
            "columns": torch.from_numpy(self.weights.indices.astype(np.int64)),
            "offsets": torch.from_numpy(self.weights.indptr.astype(np.int64)),
        }

    def settings(self) -> dict[str, Any]:
        return {}

    @classmethod
    def restore(cls, settings: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        offsets = tensors["offsets"].numpy()
        parts = (tensors["values"].numpy(), tensors["columns"].numpy(), offsets)
        return cls(sp.csr_matrix(parts, shape=(len(offsets) - 1,) * 2))


@dataclass(frozen=True, slots=True)
class Ease(FromHistory):
    """EASE (Steck 2019): the best linear item-item model with zero diagonal, in closed form.

    weights: float32 of shape (items, items). One inverse of that size: for catalogues of some ten thousand items.
    """

    weights: Tensor

    @classmethod
    def fit(cls, common: sp.csr_matrix, histories: Histories, *, regularisation: float) -> Self:
        """From `common_users(histories)` with its diagonal; `regularisation` is the L2 penalty."""
        gram = torch.from_numpy(common.toarray()).float()
        degrees = torch.bincount(histories.items, minlength=histories.num_items).float()
        gram.diagonal().copy_(degrees + regularisation)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        weights = inverse.div_(-inverse.diagonal().clone())
        weights.fill_diagonal_(0.0)
        return cls(weights)

    @property
    def num_items(self) -> int:
        return len(self.weights)

    def scores(self, users: Users) -> Tensor:
        past = users.histories
        if not len(past.items):
            return torch.zeros(len(past), self.num_items)
        return torch.nn.functional.embedding_bag(past.items, self.weights, past.offsets[:-1], mode="sum")

    def contributions(self, users: Users, items: Tensor) -> Contributions:
        places, filled = users.histories.padded()[0], users.histories.filled
        values = self.weights[places[:, None], items[..., None]] * filled[:, None]
        return Contributions(values, torch.zeros(items.shape))

    def tensors(self) -> dict[str, Tensor]:
        return {"weights": self.weights}

    def settings(self) -> dict[str, Any]:
        return {}

    @classmethod
    def restore(cls, settings: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        return cls(**tensors)


def common_users(histories: Histories, *, user_exponent: float = 0.0) -> sp.csr_matrix:
    """For each pair of items the sum of |u|^-user_exponent over the users who had both; the diagonal is 0."""
    activity = np.maximum(histories.counts.numpy(), 1).astype(np.float32)
    rows = sp.diags_array(activity ** (-user_exponent / 2)) @ _binary(histories)
    common = (rows.T @ rows).tocsr().astype(np.float32)
    common.setdiag(0.0)
    common.eliminate_zeros()
    return common


def _binary(histories: Histories) -> sp.csr_matrix:
    parts = (np.ones(len(histories.items), np.float32), histories.items.numpy(), histories.offsets.numpy())
    return sp.csr_matrix(parts, shape=(len(histories), histories.num_items))


def _strongest(matrix: sp.csr_matrix, num_kept: int) -> sp.csr_matrix:
    """Only the `num_kept` largest values of each row."""
    sizes = np.diff(matrix.indptr)
    for row in np.flatnonzero(sizes > num_kept):
        values = matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]]
        values[np.argpartition(-values, num_kept)[num_kept:]] = 0.0
    matrix.eliminate_zeros()
    return matrix
