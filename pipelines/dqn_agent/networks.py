"""Q-networks of many seeds at once: every weight has the seed as its first axis, and seeds never meet.

A multilayer perceptron for features, the convolutions of Mnih et al. (2015) for frames. Switches: dueling heads (Wang
et al. 2016), noisy layers (Fortunato et al. 2018), and the distribution of returns instead of its mean, on fixed atoms
(C51, Bellemare et al. 2017) or as quantiles (Dabney et al. 2018). All of them on, with double targets, n-step returns
and prioritised replay, are Rainbow (Hessel et al. 2018).

Shapes: S seeds, B observations of each, A actions, K atoms or quantiles; K is 1 for the mean alone.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.dqn_agent.config import NetworkConfig

# Channels, kernel and stride of the convolutions for frames of 84 x 84.
_CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
_FEATURES_OF_FRAMES = 512


class SeedLinear(nn.Module):
    """A linear layer for each seed. (S, B, inputs) -> (S, B, outputs)."""

    def __init__(self, num_seeds: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(num_seeds, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_seeds, 1, outputs).uniform_(-bound, bound))

    def forward(self, values: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, values, self.weight)


class NoisyLinear(nn.Module):
    """A linear layer whose weights are noisy in training, by learnt amounts. (S, B, inputs) -> (S, B, outputs).

    Factorised Gaussian noise, drawn anew by `draw_noise`; evaluation is without.
    """

    noise_in: Tensor
    noise_out: Tensor

    def __init__(self, num_seeds: int, inputs: int, outputs: int, initial: float) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(num_seeds, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_seeds, 1, outputs).uniform_(-bound, bound))
        self.weight_noise = nn.Parameter(torch.full((num_seeds, inputs, outputs), initial * bound))
        self.bias_noise = nn.Parameter(torch.full((num_seeds, 1, outputs), initial * bound))
        self.register_buffer("noise_in", torch.zeros(num_seeds, inputs, 1))
        self.register_buffer("noise_out", torch.zeros(num_seeds, 1, outputs))
        self.draw_noise()

    def draw_noise(self) -> None:
        """Other noise, for all observations until the next call."""
        for buffer in (self.noise_in, self.noise_out):
            drawn = torch.randn_like(buffer)
            buffer.copy_(drawn.sign() * drawn.abs().sqrt())

    def forward(self, values: Tensor) -> Tensor:
        if not self.training:
            return torch.baddbmm(self.bias, values, self.weight)
        weight = self.weight + self.weight_noise * (self.noise_in * self.noise_out)
        return torch.baddbmm(self.bias + self.bias_noise * self.noise_out, values, weight)


class SeedConvolution(nn.Module):
    """A convolution for each seed, all in one of as many groups. (S, B, C, H, W) -> (S, B, C', H', W')."""

    def __init__(self, num_seeds: int, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs * kernel**2)
        self.stride = stride
        self.weight = nn.Parameter(
            torch.empty(num_seeds, outputs, inputs, kernel, kernel).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.empty(num_seeds, outputs).uniform_(-bound, bound))

    def forward(self, frames: Tensor) -> Tensor:
        seeds, size = frames.shape[:2]
        together = frames.transpose(0, 1).flatten(1, 2)
        found = functional.conv2d(
            together, self.weight.flatten(0, 1), self.bias.flatten(), stride=self.stride, groups=seeds
        )
        return found.view(size, seeds, -1, *found.shape[2:]).transpose(0, 1)


class QNetwork(nn.Module):
    """Values of actions, or of their distribution. shape: of one observation; frames are uint8 (C, H, W).

    support: values of the atoms, (K,); None for quantiles and for the mean alone.
    """

    support: Tensor | None

    def __init__(
        self, num_seeds: int, shape: tuple[int, ...], num_actions: int, config: NetworkConfig
    ) -> None:
        super().__init__()
        self.num_actions, self.config = num_actions, config
        self.num_values = 1 if config.distribution == "mean" else config.atoms
        frames = len(shape) == 3
        self.eyes = _eyes(num_seeds, shape) if frames else nn.Identity()
        sizes = [
            _num_seen(self.eyes, num_seeds, shape),
            *([_FEATURES_OF_FRAMES] if frames else config.hidden),
        ]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [self._layer(num_seeds, inputs, outputs), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.advantage = self._layer(num_seeds, sizes[-1], num_actions * self.num_values)
        self.value = self._layer(num_seeds, sizes[-1], self.num_values) if config.dueling else None
        atoms = torch.linspace(config.lowest, config.highest, config.atoms)
        self.register_buffer("support", atoms if config.distribution == "atoms" else None)

    def forward(self, observations: Tensor) -> Tensor:
        """(S, B, ...) -> (S, B, A, K): means, logits of atoms, or quantiles."""
        seen = observations.float() / 255 if observations.dtype == torch.uint8 else observations
        features = self.trunk(self.eyes(seen).flatten(2))
        found = self.advantage(features).unflatten(-1, (self.num_actions, self.num_values))
        if self.value is not None:
            found = found - found.mean(2, keepdim=True) + self.value(features).unsqueeze(2)
        return found

    def means(self, found: Tensor) -> Tensor:
        """What `forward` gives as mean returns, (S, B, A)."""
        if self.support is None:
            return found.mean(-1)
        return found.softmax(-1) @ self.support

    def values(self, observations: Tensor) -> Tensor:
        """(S, B, ...) -> mean return of each action, (S, B, A)."""
        return self.means(self(observations))

    def draw_noise(self) -> None:
        """Other noise in noisy layers."""
        for module in self.modules():
            if isinstance(module, NoisyLinear):
                module.draw_noise()

    def _layer(self, num_seeds: int, inputs: int, outputs: int) -> nn.Module:
        if self.config.noisy:
            return NoisyLinear(num_seeds, inputs, outputs, self.config.noise)
        return SeedLinear(num_seeds, inputs, outputs)


def of_seed(network: QNetwork, seed: int) -> dict[str, Tensor]:
    """Weights of one seed, each with a first axis of 1: the state of a network of a single seed."""
    shared = {"support"}
    return {
        name: value if name in shared else value[seed : seed + 1].clone()
        for name, value in network.state_dict().items()
    }


def _eyes(num_seeds: int, shape: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = shape[0]
    for outputs, kernel, stride in _CONVOLUTIONS:
        layers += [SeedConvolution(num_seeds, channels, outputs, kernel, stride), nn.ReLU()]
        channels = outputs
    return nn.Sequential(*layers)


def _num_seen(eyes: nn.Module, num_seeds: int, shape: tuple[int, ...]) -> int:
    with torch.no_grad():
        return int(eyes(torch.zeros(num_seeds, 1, *shape)).flatten(2).shape[-1])
