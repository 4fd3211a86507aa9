"""Trained networks as models that rank: vectors of known users, vectors of new users, and what a score rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor

from pipelines.recommender.histories import Histories
from pipelines.recommender.model import Embeddings, MatrixFactorisation, Network, NeuMF
from pipelines.recommender.personal import PersonalFit, Prior
from pipelines.recommender.ranker import Contributions, Users
from shared.interpretability.context import explaining


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The structure of a network. `tower` and `num_factors` as in `NeuMF`; for `mf` the factors without biases."""

    family: Literal["mf", "neumf"]
    num_users: int
    num_items: int
    num_factors: int
    tower: tuple[int, ...] = ()
    dropout: float = 0.0
    init_std: float = 0.05
    id_dropout: float = 0.0
    num_negatives: int = 4
    sparse_users: bool = False
    sparse_items: bool = False

    @property
    def width(self) -> int:
        """Length of a user's or item's vector."""
        biases = 2 if self.family == "mf" else 0
        return self.num_factors + biases + (self.tower[0] // 2 if self.tower else 0)

    def build(self, user_attributes: Tensor | None = None, item_attributes: Tensor | None = None) -> Network:
        """A network with initial weights from torch's generator."""
        embeddings = Embeddings(
            self.num_users,
            self.num_items,
            self.width,
            init_std=self.init_std,
            sparse_users=self.sparse_users,
            sparse_items=self.sparse_items,
            user_attributes=user_attributes,
            item_attributes=item_attributes,
            id_dropout=self.id_dropout,
        )
        if self.family == "mf":
            return MatrixFactorisation(embeddings)
        return NeuMF(embeddings, self.num_factors, self.tower, dropout=self.dropout)


class NetworkRanker:
    """A trained network. Fitting a new user and explaining a score hold everything but the user's vector."""

    def __init__(
        self, network: Network, layout: NetworkSettings, *, fold_in_steps: int, integration_steps: int
    ) -> None:
        self.network, self.layout = network.eval(), layout
        self.fold_in_steps, self.integration_steps = fold_in_steps, integration_steps
        with torch.no_grad():
            self.items = network.embeddings.all_items()
            self.prior = Prior.of(network.embeddings.user_vectors(torch.arange(layout.num_users)))
        self.personal = PersonalFit(network, self.items, self.prior, layout.num_negatives)

    @property
    def num_items(self) -> int:
        return len(self.items)

    def known(self, histories: Histories, index: Tensor) -> Users:
        with torch.no_grad():
            return Users(histories, self.network.embeddings.user_vectors(index))

    def fold_in(self, histories: Histories, start: Tensor | None = None) -> Users:
        """The vector under which a history is likely, given how the vectors of training users are spread."""
        return Users(histories, self.personal.fit(histories, self.fold_in_steps, start))

    def scores(self, users: Users) -> Tensor:
        assert users.vectors is not None
        with torch.no_grad():
            return self.network.catalogue_scores(users.vectors)

    def contributions(self, users: Users, items: Tensor) -> Contributions:
        """Integrated gradients along the way from the average user's vector to this user's, shared out among the
        items of the history by their part in the equations that this vector solves.

        The values and the base add up to the score up to the error of the integration.
        """
        assert users.vectors is not None
        with explaining(self.network):
            gradients, at_average = self._along_the_path(users.vectors, items)
            steps = self.personal.steps_of_history(users.histories, users.vectors)  # B L D
        values = torch.einsum("bnd,bld->bnl", gradients, steps)
        total = (gradients * (users.vectors - self.prior.mean)[:, None]).sum(-1)
        return Contributions(values, at_average + total - values.sum(-1))

    def _along_the_path(self, vectors: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Mean gradients (B, N, D) of the scores of `items` on the path, and the scores at its start (B, N)."""
        num_steps = self.integration_steps
        start = self.prior.mean
        wanted = self.items[items]
        gradients = torch.zeros(*items.shape, vectors.shape[1])
        for step in range(num_steps):
            point = start + (vectors - start) * ((step + 0.5) / num_steps)
            gradients += self.personal.gradients(point, wanted)
        with torch.no_grad():
            at_average = self.network.pairs(start.expand(len(vectors), -1), wanted)
        return gradients / num_steps, at_average

    def tensors(self) -> dict[str, Tensor]:
        return dict(self.network.state_dict())

    def settings(self) -> dict[str, Any]:
        layout = {name: getattr(self.layout, name) for name in NetworkSettings.__slots__}
        return {
            "layout": layout,
            "fold_in_steps": self.fold_in_steps,
            "integration_steps": self.integration_steps,
        }

    @classmethod
    def restore(cls, settings: dict[str, Any], tensors: dict[str, Tensor]) -> Self:
        given = settings["layout"]
        layout = NetworkSettings(**{**given, "tower": _sizes(given["tower"])})
        network = layout.build(tensors.get("embeddings.of_users"), tensors.get("embeddings.of_items"))
        network.load_state_dict(tensors)
        return cls(
            network,
            layout,
            fold_in_steps=settings["fold_in_steps"],
            integration_steps=settings["integration_steps"],
        )


def _sizes(values: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
