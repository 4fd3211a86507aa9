"""Arithmetic work of one training step, counted while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


class FlopCount:
    """Floating-point operations of the block in `counted`; depends on shapes only."""

    total = 0


@contextmanager
def counted() -> Iterator[FlopCount]:
    """Count the matrix products, convolutions and recurrent layers that run inside, backward included."""
    count = FlopCount()
    with FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.mkldnn_rnn_layer: _lstm_flops}
    ) as counter:
        yield count
    count.total = counter.get_total_flops()


def _lstm_flops(inputs: tuple[int, ...], *rest: Any, **_: Any) -> int:
    """torch counts nothing for the CPU's LSTM kernel. Forward, and twice that for its backward."""
    input_weights, hidden_weights = rest[0], rest[1]
    num_positions = prod(inputs[:-1])
    return 3 * 2 * num_positions * (prod(input_weights) + prod(hidden_weights))
