"""The networks: small MLPs on encoded columns, trained side by side as one batch and averaged in log-odds.

Sources: piecewise-linear numeric inputs after Gorishniy et al. 2022; a deep ensemble (Lakshminarayanan et al. 2017)
held as one batched tensor a layer. A category's embedding is its rows of the first layer, one table a member: one
table shared by all members made the reasons depend on its random start (35 % of first reasons on German credit
changed with the seed, 2026-11). `additive` cuts every connection between columns (neural additive model, Agarwal
et al. 2021), so that a column's contribution is a function of that column alone. `monotone` columns enter through
weights of one sign, all later weights are positive, and half of the hidden units are concave (Runje and
Shankaranarayana 2023), so that risk can only move in the declared direction.

Shapes: B rows, M members, I inputs, H hidden units.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pipelines.credit_scoring.config import ModelConfig
from pipelines.credit_scoring.features import Features
from shared.training.dropout import dropout


class ConvexConcave(nn.Module):
    """ReLU on even units, its mirror image -ReLU(-x) on odd ones: monotone, and neither convex nor concave."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise on the last axis."""
        even = torch.arange(x.shape[-1], device=x.device) % 2 == 0
        return torch.where(even, x.clamp(min=0), x.clamp(max=0))


class CreditNetwork(nn.Module):
    """Log-odds of default. In training mode of every member, (M, B); in evaluation mode their mean, (B,)."""

    def __init__(self, features: Features, config: ModelConfig, *, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.num_members, self.dropout = config.num_members, config.dropout
        slots, num_inputs = list(features.column_slots.values()), features.num_inputs
        masks, sizes = _connections(slots, num_inputs, config)
        self.masks = [f"mask_{layer}" for layer in range(len(masks))]
        for name, mask in zip(self.masks, masks, strict=True):
            self.register_buffer(name, mask, persistent=False)
        self.signs: Tensor
        signs = _input_signs(features, slots, num_inputs) if config.monotone else torch.zeros(num_inputs)
        self.register_buffer("signs", signs[:, None], persistent=False)
        self.monotone = bool(signs.any())
        self.activation: nn.Module = ConvexConcave() if self.monotone else nn.ReLU()
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for mask, (num_in, num_out) in zip(masks, pairwise(sizes), strict=True):
            fan_in = mask.sum(0).clamp(min=1) if mask.numel() > 1 else torch.tensor(float(num_in))
            weight = torch.rand(self.num_members, num_in, num_out, generator=generator) * 2 - 1
            self.weights.append(nn.Parameter(weight / fan_in.sqrt()))
            self.biases.append(nn.Parameter(torch.zeros(self.num_members, 1, num_out)))

    def layer_weights(self) -> list[Tensor]:
        """The weights that act, (M, in, out) a layer: masked, and of one sign where the model is monotone."""
        weights = [
            weight * getattr(self, name) for weight, name in zip(self.weights, self.masks, strict=True)
        ]
        if self.monotone:
            first = torch.where(self.signs == 0, weights[0], weights[0].abs() * self.signs)
            weights = [first, *(weight.abs() for weight in weights[1:])]
        return weights

    def forward(self, x: Tensor) -> Tensor:
        """Log-odds from encoded rows (B, I): (M, B) in training mode, (B,) in evaluation mode."""
        h = x.expand(self.num_members, -1, -1)  # M B I
        weights = self.layer_weights()
        for layer, (weight, bias) in enumerate(zip(weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, h, weight)  # M B H
            if layer < len(weights) - 1:
                h = dropout(self.activation(h), self.dropout, self.training)
        log_odds = h.squeeze(-1)
        return log_odds if self.training else log_odds.mean(0)

    def members(self) -> list[nn.Sequential]:
        """Each member as a Sequential of Linear and ReLU from encoded rows to log-odds, for explanation methods."""
        weights, biases = self.layer_weights(), list(self.biases)
        if self.monotone:
            weights, biases = _without_mirrors(weights, biases)
        return [_sequential([w[m] for w in weights], [b[m, 0] for b in biases])
                for m in range(self.num_members)]  # fmt: skip


def _without_mirrors(weights: list[Tensor], biases: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The same function with ReLU alone: an odd unit's -ReLU(-x) has its signs moved into the weights around it."""
    plain_weights, plain_biases, above = [], [], weights[0].new_ones(weights[0].shape[1])
    for weight, bias in zip(weights, biases, strict=True):
        signs = 1.0 - 2.0 * (torch.arange(weight.shape[-1], device=weight.device) % 2)
        plain_weights.append(above[:, None] * weight * signs)
        plain_biases.append(bias * signs)
        above = signs
    return plain_weights, plain_biases


def _sequential(weights: Sequence[Tensor], biases: Sequence[Tensor]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for weight, bias in zip(weights, biases, strict=True):
        linear = nn.Linear(*weight.shape)
        with torch.no_grad():
            linear.weight.copy_(weight.T)
            linear.bias.copy_(bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _connections(
    slots: Sequence[Sequence[int]], num_inputs: int, config: ModelConfig
) -> tuple[list[Tensor], list[int]]:
    """Masks of the layers' connections and the layers' sizes."""
    if config.kind == "mlp":
        sizes = [num_inputs, *config.hidden_sizes, 1]
        return [torch.ones(1) for _ in sizes[1:]], sizes
    # The same hidden sizes, once for each column, cut into blocks.
    widths = [max(2, math.ceil(size / 8)) for size in config.hidden_sizes]
    owners = torch.zeros(num_inputs, dtype=torch.int64)
    for column, positions in enumerate(slots):
        owners[list(positions)] = column
    owner_of_layer = [owners, *(torch.arange(len(slots)).repeat_interleave(width) for width in widths)]
    masks = [(before[:, None] == after[None, :]).float() for before, after in pairwise(owner_of_layer)]
    return [*masks, torch.ones(1)], [num_inputs, *(width * len(slots) for width in widths), 1]


def _input_signs(features: Features, slots: Sequence[Sequence[int]], num_inputs: int) -> Tensor:
    """+1 (-1) where risk may only rise (fall) with an input, 0 where it is free; indicators are free."""
    signs = torch.zeros(num_inputs)
    for encoding, positions in zip(features.numeric, slots, strict=False):
        if encoding.risk is not None:
            signs[list(positions)[: encoding.num_bins]] = 1.0 if encoding.risk == "rises" else -1.0
    return signs


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Mean binary cross-entropy over members and rows, in nats."""
    log_odds = model(batch["x"])
    return nn.functional.binary_cross_entropy_with_logits(log_odds, batch["target"].expand_as(log_odds))
