"""Several processes, one run: started by torchrun, joined here.

Gradients are summed explicitly instead of through DistributedDataParallel: the loss may call any method of
the network, parts of unequal size are weighted exactly, and the networks here are too small for overlap to
pay.
"""

import atexit
import importlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from shared.training.rng import RandomState
from shared.training.row_adam import sparse_gradient

# A process may wait for the lead's next training for as long as the lead does something else. torchrun ends those
# that wait for a process which is gone.
_PATIENCE = timedelta(days=7)

_alone: ContextVar[bool] = ContextVar("fieldwork_alone", default=False)


class Group:
    """The processes that train together; with one process every method is trivial."""

    def __init__(self, device: torch.device, rank: int = 0, world: int = 1) -> None:
        self.device, self.rank, self.world = device, rank, world

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def align(self, tensors: Sequence[Tensor]) -> None:
        """Everybody takes over the lead's values."""
        if self.world > 1:
            for tensor in tensors:
                shared = tensor.detach().contiguous()
                dist.broadcast(shared, 0)
                tensor.detach().copy_(shared)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """One sum over all processes in one message per type; a missing gradient counts as zero.

        Each lies in memory as its parameter does (channels last, say): fused optimisers walk through both alike.
        """
        if self.world == 1:
            return
        for dtype in {parameter.dtype for parameter in parameters}:
            same = [parameter for parameter in parameters if parameter.dtype == dtype]
            for parameter in same:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            flat = torch.cat([each.grad.reshape(-1) for each in same if each.grad is not None])
            dist.all_reduce(flat)
            parts = flat.split([each.numel() for each in same])
            for parameter, part in zip(same, parts, strict=True):
                parameter.grad = torch.empty_like(parameter).copy_(part.view_as(parameter))

    def join_rows(self, tables: Sequence[nn.Parameter]) -> None:
        """Sum over all processes of sparse gradients: everybody's entries one after the other, by rank, so that
        no message is as large as a table. A missing gradient counts as zero."""
        if self.world == 1:
            return
        for table in tables:
            gradient = sparse_gradient(table)
            rows = torch.zeros(0, dtype=torch.int64, device=table.device)
            values = table.detach()[:0]
            if gradient is not None:
                rows, values = gradient._indices()[0], gradient._values()
            counts = torch.zeros(self.world, dtype=torch.int64, device=table.device)
            counts[self.rank] = len(rows)
            sizes = self.sum(counts).tolist()
            joined = self._concatenated(rows, sizes)[None], self._concatenated(values, sizes)
            table.grad = torch.sparse_coo_tensor(*joined, table.shape, check_invariants=False)

    def _concatenated(self, mine: Tensor, sizes: Sequence[int]) -> Tensor:
        padded = mine.new_zeros(max(1, *sizes), *mine.shape[1:])
        padded[: len(mine)] = mine
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def sum(self, values: Tensor) -> Tensor:
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def from_lead(self, value: bool) -> bool:
        """The lead's value, everywhere."""
        shared = torch.tensor(int(value), device=self.device)
        self.align([shared])
        return bool(shared)

    def largest(self, value: int) -> int:
        if self.world == 1:
            return value
        shared = torch.tensor(value, device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return int(shared)

    def share(self, payload: bytes | None) -> bytes | None:
        """The lead's bytes for everybody."""
        if self.world == 1:
            return payload
        size = torch.tensor(-1 if payload is None else len(payload), device=self.device)
        dist.broadcast(size, 0)
        if int(size) < 0:
            return None
        buffer = torch.zeros(int(size), dtype=torch.uint8, device=self.device)
        if payload:
            buffer.copy_(torch.frombuffer(bytearray(payload), dtype=torch.uint8))
        dist.broadcast(buffer, 0)
        return buffer.cpu().numpy().tobytes()

    def gather(self, state: RandomState) -> list[RandomState]:
        """Every rank's random state, in the order of the ranks."""
        if self.world == 1:
            return [state]
        gathered: list[RandomState] = [{} for _ in range(self.world)]
        for name, tensor in state.items():
            mine = tensor.to(self.device)
            everybody = [torch.empty_like(mine) for _ in range(self.world)]
            dist.all_gather(everybody, mine)
            for each, part in zip(gathered, everybody, strict=True):
                each[name] = part.cpu()
        return gathered


def num_started() -> int:
    """How many processes torchrun started for this run; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


@contextmanager
def alone(apart: bool = True) -> Iterator[None]:
    """Inside, this process trains by itself, whatever torchrun has started; with False again with the others."""
    token = _alone.set(apart)
    try:
        yield
    finally:
        _alone.reset(token)


def join_group(device: torch.device) -> Group:
    """The group that torchrun started this process in, or a group of one."""
    if num_started() == 1 or _alone.get():
        return Group(device)
    if not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        # The first optimiser step imports this module, whose default arguments are the group of that moment. They
        # would keep the group's threads beyond its destruction: 4 of 12 runs aborted at their end (2026-11).
        importlib.import_module("torch.distributed.nn.functional")
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
        atexit.register(dist.destroy_process_group)
    return Group(device, dist.get_rank(), dist.get_world_size())
