"""Initial weights come from the seed, and building them leaves no trace."""

import torch
from torch import nn

from shared.training.seeded import seeded


def test_weights_depend_on_the_seed_alone_and_the_global_generator_stays_where_it_was():
    before = torch.get_rng_state()
    first = seeded(1, lambda: nn.Linear(3, 3))
    torch.rand(5)
    torch.set_rng_state(before)
    again, other = seeded(1, lambda: nn.Linear(3, 3)), seeded(2, lambda: nn.Linear(3, 3))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)
    assert torch.equal(torch.get_rng_state(), before)
