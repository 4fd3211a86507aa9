"""Neural collaborative filtering (He et al. 2017): GMF, MLP, NeuMF, and a hybrid with attributes; and the plain
matrix factorisation that is trained the same way (Rendle et al. 2020).

What differs from the paper: the vectors of a user (an item) for GMF and MLP lie side by side in one table, and the
first layer of the tower is two halves, one for users and one for items. That is the same function, W [p; q] =
W_p p + W_q q, and it makes ranking a whole catalogue cheap: the halves are computed once for each user and item.

Shapes: B users, N items for each, I items, D width of a vector, G factors of GMF, H first hidden layer.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from shared.training.dropout import dropout

# The hidden units of one user and so many items stay within a core's cache.
_ITEMS_AT_ONCE = 16_384


class Embeddings(nn.Module):
    """A vector for each user and item; an item's may be helped by its attributes, and so may a user's.

    sparse_users, sparse_items: gradients of the rows of the batch only, for tables far larger than a batch.
    user_attributes, item_attributes: float32 of shape (users, F) and (items, F), rows that sum to at most 1.
    id_dropout: share of pairs that see the item by its attributes alone, so that they also work for new items.
    """

    of_users: Tensor
    of_items: Tensor

    def __init__(
        self,
        num_users: int,
        num_items: int,
        width: int,
        *,
        init_std: float,
        sparse_users: bool = False,
        sparse_items: bool = False,
        user_attributes: Tensor | None = None,
        item_attributes: Tensor | None = None,
        id_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.users = nn.Embedding(num_users, width, sparse=sparse_users)
        self.items = nn.Embedding(num_items, width, sparse=sparse_items)
        self.id_dropout = id_dropout
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=init_std)
        self.user_attributes = _attribute_layer(user_attributes, width)
        self.item_attributes = _attribute_layer(item_attributes, width)
        self.register_buffer("of_users", user_attributes)
        self.register_buffer("of_items", item_attributes)

    def user_vectors(self, users: Tensor) -> Tensor:
        """(B,) -> (B, D)."""
        vectors = self.users(users)
        if self.user_attributes is not None:
            vectors = vectors + self.user_attributes(self.of_users[users])
        return vectors

    def item_vectors(self, items: Tensor) -> Tensor:
        """(B, N) -> (B, N, D)."""
        vectors = self.items(items)
        if self.item_attributes is not None:
            if self.training and self.id_dropout:
                kept = torch.rand(items.shape, device=items.device) >= self.id_dropout
                vectors = vectors * kept[..., None]
            vectors = vectors + self.item_attributes(self.of_items[items])
        return vectors

    def all_items(self) -> Tensor:
        """(I, D)."""
        vectors = self.items.weight
        if self.item_attributes is not None:
            vectors = vectors + self.item_attributes(self.of_items)
        return vectors


def _attribute_layer(attributes: Tensor | None, width: int) -> nn.Linear | None:
    if attributes is None:
        return None
    layer = nn.Linear(attributes.shape[1], width, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


class MatrixFactorisation(nn.Module):
    """Dot product of factors with biases of users and items, which are the last two places of the vectors."""

    def __init__(self, embeddings: Embeddings) -> None:
        super().__init__()
        self.embeddings = embeddings
        with torch.no_grad():
            self.embeddings.users.weight[:, -2:] = 0.0
            self.embeddings.items.weight[:, -2:] = 0.0

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """(B,), (B, N) -> log-odds (B, N)."""
        return self.pairs(self.embeddings.user_vectors(users), self.embeddings.item_vectors(items))

    def pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Vectors (B, D), (B, N, D) -> log-odds (B, N)."""
        factors = (users[:, None, :-2] * items[..., :-2]).sum(-1)
        return factors + users[:, None, -2] + items[..., -1]

    def catalogue_scores(self, users: Tensor) -> Tensor:
        """Vectors (B, D) -> log-odds of every item (B, I)."""
        items = self.embeddings.all_items()
        return torch.addmm(users[:, -2, None] + items[:, -1], users[:, :-2], items[:, :-2].T)


class NeuMF(nn.Module):
    """GMF and MLP under one output layer. Without a tower it is GMF, without factors MLP.

    tower: widths from the two embeddings side by side up, (64, 32, 16, 8) for the paper's MLP-8.
    """

    def __init__(
        self, embeddings: Embeddings, num_factors: int, tower: Sequence[int], *, dropout: float
    ) -> None:
        super().__init__()
        self.embeddings, self.num_factors, self.dropout = embeddings, num_factors, dropout
        self.user_half = self.item_half = None
        self.upper = nn.ModuleList()
        if tower:
            self.user_half = nn.Linear(tower[0] // 2, tower[1])
            self.item_half = nn.Linear(tower[0] // 2, tower[1], bias=False)
            self.upper.extend(nn.Linear(below, above) for below, above in pairwise(tower[1:]))
        self.output = nn.Linear(num_factors + (tower[-1] if tower else 0), 1)
        nn.init.normal_(self.output.weight, std=0.5 / self.output.in_features**0.5)
        if num_factors:
            # near a dot product at the start: factors with weights around zero would learn from nothing
            nn.init.ones_(self.output.weight[:, :num_factors])

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """(B,), (B, N) -> log-odds (B, N)."""
        return self.pairs(self.embeddings.user_vectors(users), self.embeddings.item_vectors(items))

    def pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Vectors (B, D), (B, N, D) -> log-odds (B, N)."""
        # backward, two slices would each fill a whole tensor with zeros; split and cat do not: a step of training
        # takes 5 to 15 % less (2026-11, 1 thread)
        widths = [self.num_factors, users.shape[1] - self.num_factors]
        user_factors, user_vectors = users.split(widths, -1)
        item_factors, item_vectors = items.split(widths, -1)
        parts = [user_factors[:, None] * item_factors]
        if self.user_half is not None and self.item_half is not None:
            hidden = torch.relu(self.user_half(user_vectors)[:, None] + self.item_half(item_vectors))
            for layer in self.upper:
                hidden = torch.relu(layer(dropout(hidden, self.dropout, self.training)))
            parts.append(hidden)
        logits: Tensor = self.output(torch.cat(parts, -1))
        return logits.squeeze(-1)

    def catalogue_scores(self, users: Tensor) -> Tensor:
        """Vectors (B, D) -> log-odds of every item (B, I), exactly `pairs` with all items."""
        items = self.embeddings.all_items()
        of_factors, of_tower = self._output_parts()
        weighted = users[:, : self.num_factors] * of_factors
        logits = torch.addmm(self.output.bias, weighted, items[:, : self.num_factors].T)
        if self.user_half is None or self.item_half is None:
            return logits
        user_halves = self.user_half(users[:, self.num_factors :])  # B H
        # hidden units x items: the same products take a third less time than items x hidden units (2026-11, 1 core)
        item_halves = self.item_half(items[:, self.num_factors :]).T.contiguous()  # H I
        layers = [(layer.weight, layer.bias) for layer in self.upper if isinstance(layer, nn.Linear)]
        for row, user_half in enumerate(user_halves):
            for begin in range(0, len(items), _ITEMS_AT_ONCE):
                hidden = (item_halves[:, begin : begin + _ITEMS_AT_ONCE] + user_half[:, None]).relu_()
                for weight, bias in layers:
                    hidden = torch.addmm(bias[:, None], weight, hidden).relu_()
                logits[row, begin : begin + _ITEMS_AT_ONCE] += of_tower @ hidden
        return logits

    def _output_parts(self) -> tuple[Tensor, Tensor]:
        """The output weights of the factors (G,) and of the tower."""
        weights = self.output.weight[0]
        return weights[: self.num_factors], weights[self.num_factors :]


Network = MatrixFactorisation | NeuMF


def pretrained(network: NeuMF, gmf: NeuMF, mlp: NeuMF, share: float) -> None:
    """Starts NeuMF from a trained GMF and MLP (He et al., section 3.4.1): their vectors, the tower, and both output
    layers weighted by `share` and 1 - share."""
    num_factors = network.num_factors
    with torch.no_grad():
        for name in ("users", "items"):
            table = getattr(network.embeddings, name).weight
            table[:, :num_factors] = getattr(gmf.embeddings, name).weight
            table[:, num_factors:] = getattr(mlp.embeddings, name).weight
        network.output.weight[0, :num_factors] = share * gmf.output.weight[0]
        network.output.weight[0, num_factors:] = (1 - share) * mlp.output.weight[0]
        network.output.bias.copy_(share * gmf.output.bias + (1 - share) * mlp.output.bias)
    tower = {name: value for name, value in mlp.state_dict().items() if name.split(".")[0] in _TOWER}
    network.load_state_dict(tower, strict=False)


_TOWER = ("user_half", "item_half", "upper")


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Mean binary cross-entropy, in nats, over the first item of each row (had) and the others (not had)."""
    logits = model(batch["user"], batch["items"])
    target = torch.zeros_like(logits)
    target[:, 0] = 1.0
    return nn.functional.binary_cross_entropy_with_logits(logits, target)
