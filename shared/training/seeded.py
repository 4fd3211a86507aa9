"""Networks whose initial weights are decided by a seed."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

N = TypeVar("N", bound=nn.Module)


def seeded(seed: int, build: Callable[[], N]) -> N:
    """What `build` gives, with initial weights that depend on the seed and nothing else."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
