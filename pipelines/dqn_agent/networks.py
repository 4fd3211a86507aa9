"""Q-networks of many seeds at once: every weight has the seed as its first axis, and seeds never meet.

A multilayer perceptron for features, the convolutions of Mnih et al. (2015) for frames. Switches: dueling heads (Wang
et al. 2016), noisy layers (Fortunato et al. 2018), and the distribution of returns instead of its mean, on fixed atoms
(C51, Bellemare et al. 2017) or as quantiles (Dabney et al. 2018). All of them on, with double targets, n-step returns
and prioritised replay, are Rainbow (Hessel et al. 2018).

Shapes: S seeds, B observations of each, A actions, K atoms or quantiles; K is 1 for the mean alone.
"""

import math
from collections.abc import Sequence
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
        self.weight = nn.Parameter(torch.empty(num_seeds, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_seeds, 1, outputs).uniform_(-bound, bound))

    def forward(self, values: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, values, self.weight.mT)


class NoisyLinear(nn.Module):
    """A linear layer whose weights are noisy in training, by learnt amounts. (S, B, inputs) -> (S, B, outputs).

    Factorised Gaussian noise, none until `set_noise`; evaluation is without.
    """

    noise_in: Tensor
    noise_out: Tensor

    def __init__(self, num_seeds: int, inputs: int, outputs: int, initial: float) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(num_seeds, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_seeds, 1, outputs).uniform_(-bound, bound))
        self.weight_noise = nn.Parameter(torch.full((num_seeds, outputs, inputs), initial * bound))
        self.bias_noise = nn.Parameter(torch.full((num_seeds, 1, outputs), initial * bound))
        self.register_buffer("noise_in", torch.zeros(num_seeds, 1, inputs), persistent=False)
        self.register_buffer("noise_out", torch.zeros(num_seeds, 1, outputs), persistent=False)
        self.num_noises = inputs + outputs

    def set_noise(self, drawn: Tensor) -> None:
        """Noise of all observations until the next call. drawn: from a normal distribution, (S, num_noises)."""
        noise = drawn.sign() * drawn.abs().sqrt()
        inputs = self.noise_in.shape[2]
        self.noise_in.copy_(noise[:, None, :inputs])
        self.noise_out.copy_(noise[:, None, inputs:])

    def forward(self, values: Tensor) -> Tensor:
        if not self.training:
            return torch.baddbmm(self.bias, values, self.weight.mT)
        weight = self.weight + self.weight_noise * (self.noise_out.mT * self.noise_in)
        return torch.baddbmm(self.bias + self.bias_noise * self.noise_out, values, weight.mT)


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

    support: values of the atoms, (K,); None for quantiles and for the mean alone. scale, shift: (F,), what features are
    multiplied by and what is added then, 1 and 0 until `scale_by`.
    """

    support: Tensor | None
    scale: Tensor
    shift: Tensor

    def __init__(
        self, num_seeds: int, shape: tuple[int, ...], num_actions: int, config: NetworkConfig
    ) -> None:
        super().__init__()
        self.shape, self.num_actions, self.config = shape, num_actions, config
        self.num_values = 1 if config.distribution == "mean" else config.atoms
        frames = len(shape) == 3
        self.eyes = _eyes(num_seeds, shape) if frames else None
        sizes = [
            shape[0] if self.eyes is None else _num_seen(self.eyes, num_seeds, shape),
            *([_FEATURES_OF_FRAMES] if frames else config.hidden),
        ]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers.append(self._layer(num_seeds, inputs, outputs))
            if config.layer_norm:
                layers.append(nn.LayerNorm(outputs, elementwise_affine=False))
            layers.append(nn.ReLU())
        self.trunk = nn.Sequential(*layers)
        self.advantage = self._layer(num_seeds, sizes[-1], num_actions * self.num_values)
        self.value = self._layer(num_seeds, sizes[-1], self.num_values) if config.dueling else None
        atoms = torch.linspace(config.lowest, config.highest, config.atoms)
        self.register_buffer("support", atoms if config.distribution == "atoms" else None)
        features = (1,) if frames else shape
        self.register_buffer("scale", torch.full(features, 1 / 255 if frames else 1.0))
        self.register_buffer("shift", torch.zeros(features))
        self._noisy = [module for module in self.modules() if isinstance(module, NoisyLinear)]

    def scale_by(self, centre: Tensor, spread: Tensor) -> None:
        """Bring features to one size from now on: the network sees (feature - centre) / spread."""
        self.scale.copy_(1 / spread)
        self.shift.copy_(-centre / spread)

    def forward(self, observations: Tensor) -> Tensor:
        """(S, B, ...) -> (S, B, A, K): means, logits of atoms, or quantiles."""
        seen = torch.addcmul(self.shift, observations.float(), self.scale)
        features = self.trunk(seen if self.eyes is None else self.eyes(seen).flatten(2))
        found = self.advantage(features).unflatten(-1, (self.num_actions, self.num_values))
        if self.value is not None:
            found = found - found.mean(2, keepdim=True) + self.value(features).unsqueeze(2)
        return found

    def means(self, found: Tensor) -> Tensor:
        """What `forward` gives as mean returns, (S, B, A)."""
        if self.num_values == 1:
            return found[..., 0]
        if self.support is None:
            return found.mean(-1)
        return found.softmax(-1) @ self.support

    def values(self, observations: Tensor) -> Tensor:
        """(S, B, ...) -> mean return of each action, (S, B, A)."""
        return self.means(self(observations))

    def draw_noise(self, generators: Sequence[torch.Generator]) -> None:
        """Other noise in noisy layers, from one generator for each seed."""
        sizes = [layer.num_noises for layer in self._noisy]
        drawn = torch.stack([torch.randn(sum(sizes), generator=each) for each in generators])
        for layer, part in zip(self._noisy, drawn.to(self.scale.device).split(sizes, dim=1), strict=True):
            layer.set_noise(part)

    def _layer(self, num_seeds: int, inputs: int, outputs: int) -> nn.Module:
        if self.config.noisy:
            return NoisyLinear(num_seeds, inputs, outputs, self.config.noise)
        return SeedLinear(num_seeds, inputs, outputs)


def of_seed(network: QNetwork, seed: int) -> dict[str, Tensor]:
    """Weights of one seed, each with a first axis of 1: the state of a network of a single seed."""
    shared = {"support", "scale", "shift"}
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
