"""Dropout that does not dominate small networks on a CPU."""

import torch
from torch import Tensor, nn

_STEPS = 256


def dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Silence each value with `probability`, in steps of 1/256, and scale the others up to keep the mean.

    On a CPU torch draws one Bernoulli number a value: 12.5 ns, 29 % of the training time of an MLP with two
    layers of 64. One random byte a value takes 1.6 ns (2026-11, one core). Random numbers come from the
    global generator, so a resumed run repeats them.
    """
    if not training or probability == 0:
        return x
    if x.device.type != "cpu":
        return nn.functional.dropout(x, probability)
    kept = max(1, min(_STEPS - 1, round(_STEPS * (1 - probability))))
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int32).random_(-(2**31), 2**31)
    mask = (words.view(torch.uint8)[: x.numel()] < kept).view(x.shape)
    return x * (mask * (_STEPS / kept))
