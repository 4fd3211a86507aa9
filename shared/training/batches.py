"""Batches of tensors that already are where the network is: no DataLoader, and no copy that can be
avoided."""

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Self

import torch
from torch import Tensor

from shared.errors import RequestError

Batch = dict[str, Tensor]

# Rows are gathered for several batches at once and handed out as views: one gather instead of one per batch.
# 16 MB stays inside the last-level cache of most CPUs and bounds the extra memory.
_CHUNK_BYTES = 16 * 2**20
_HASHED_AT_ONCE = 64 * 2**20


class Batches:
    """Which rows make up which batch, and what `fit` needs to know about them.

    The order of an epoch is a random permutation from a generator seeded with (seed, epoch), so the position
    in the data is just (epoch, batch index). Under data parallelism all ranks draw the same order, and each
    takes its contiguous part of every global batch.

    A subclass gives `epoch`, which must depend on nothing but its arguments: an exact resume rests on it.
    Raises RequestError when there would be no batch at all.
    """

    def __init__(self, num_rows: int, batch_size: int, *, seed: int, drop_last: bool, shuffle: bool) -> None:
        if batch_size < 1:
            raise RequestError(f"Expected a batch size of at least 1. Received {batch_size}.")
        self.num_rows, self.batch_size, self.seed = num_rows, batch_size, seed
        self.drop_last, self.shuffle = drop_last, shuffle
        self.rank, self.world = 0, 1
        self.reason = ""
        if len(self) == 0:
            way_out = (
                "Lower batch_size or keep the last batch." if num_rows else "Check what removed the rows."
            )
            raise RequestError(
                f"Expected at least one batch. Received {num_rows} rows at batch size {batch_size}. {way_out}"
            )

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """This rank's batches of one epoch from batch `start` on."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Batches per epoch, the same on all ranks."""
        full, rest = divmod(self.num_rows, self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def rows_in(self, epoch: int, index: int) -> int:
        """Rows of global batch `index` of an epoch, over all ranks; here the same in all epochs."""
        return min(self.batch_size, self.num_rows - index * self.batch_size)

    def shard(self, rank: int, world: int) -> Self:
        """The same batches as seen by one of `world` processes. A part may be empty in a short last batch."""
        part = copy.copy(self)
        part.rank, part.world = rank, world
        return part

    def to(self, device: torch.device) -> Self:
        """The same batches, delivered on `device`."""
        raise NotImplementedError

    def digest(self) -> str:
        """SHA-256 of the data and their order: checkpoints of other data are not continued."""
        plan = (self.num_rows, self.batch_size, self.seed, self.drop_last, self.shuffle)
        return hashlib.sha256(repr(plan).encode()).hexdigest()

    def bounds(self, index: int) -> tuple[int, int]:
        """Begin and end, in the order of the epoch, of this rank's part of batch `index`."""
        begin, rows = index * self.batch_size, self.rows_in(0, index)
        return begin + rows * self.rank // self.world, begin + rows * (self.rank + 1) // self.world

    def seed_of(self, epoch: int) -> int:
        """Seed of the order of an epoch."""
        # Hashed, because with seed + epoch the runs of neighbouring seeds would share their orders.
        mixed = hashlib.sha256(f"{self.seed}:{epoch}".encode()).digest()
        return int.from_bytes(mixed[:8], "little") >> 1

    def order(self, epoch: int, device: torch.device) -> Tensor:
        """Row indices of the epoch, int64 of shape (num_rows,)."""
        if not self.shuffle:
            return torch.arange(self.num_rows, device=device)
        generator = torch.Generator(device=device)
        generator.manual_seed(self.seed_of(epoch))
        return torch.randperm(self.num_rows, generator=generator, device=device)


class DeviceBatches(Batches):
    """All rows resident on one device, shuffled there every epoch.

    tensors: name -> tensor of shape (num_rows, ...), never changed. Device "auto" leaves them where they are
    until `fit` moves them to the device of the network.
    sampler: epoch -> row indices in training order, the same number every epoch (weighted or balanced
    sampling); it replaces the shuffle. on_epoch: epoch -> tensors that replace those of the same name during
    this epoch, with the same number of rows (freshly drawn negatives). Both must depend on nothing but the
    epoch, because a resumed run asks again. Extra memory: the order (8 bytes per row) and 16 MB of gathered
    rows, or one batch if that is more. Raises RequestError for no rows, unequal lengths, or no full batch
    with drop_last.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        batch_size: int,
        *,
        seed: int,
        device: str | torch.device = "auto",
        drop_last: bool = False,
        shuffle: bool = True,
        sampler: Callable[[int], Tensor] | None = None,
        on_epoch: Callable[[int], Mapping[str, Tensor]] | None = None,
    ) -> None:
        self.tensors = dict(tensors)
        self.num_stored = common_length(tensors)
        self.sampler, self.on_epoch = sampler, on_epoch
        num_rows = self.num_stored if sampler is None else len(sampler(0))
        super().__init__(num_rows, batch_size, seed=seed, drop_last=drop_last, shuffle=shuffle)
        self.device = next(iter(tensors.values())).device if device == "auto" else torch.device(device)
        self.tensors = {name: tensor.to(self.device) for name, tensor in self.tensors.items()}

    def to(self, device: torch.device) -> Self:
        if device == self.device:
            return self
        moved = copy.copy(self)
        moved.device = device
        moved.tensors = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        return moved

    def digest(self) -> str:
        # Sampler and hook are code: their names tell apart what a digest can tell apart.
        code = [getattr(each, "__qualname__", type(each).__name__) for each in (self.sampler, self.on_epoch)]
        return hashlib.sha256(f"{super().digest()}{code}{tensors_digest(self.tensors)}".encode()).hexdigest()

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        tensors = self._tensors_of(epoch)
        if not self.shuffle and self.sampler is None:
            yield from self._views(tensors, start)
            return
        order = self._order_of(epoch)
        num_batches, per_chunk = len(self), self._batches_per_chunk(tensors)
        # Chunks start at multiples of their length wherever the epoch is entered: every batch keeps its
        # memory alignment, which vectorised sums may depend on bit for bit.
        for first in range(start - start % per_chunk, num_batches, per_chunk):
            indices = range(first, min(first + per_chunk, num_batches))
            bounds = [self.bounds(index) for index in indices]
            rows = torch.cat([order[begin:end] for begin, end in bounds]) if self.world > 1 else None
            rows = order[bounds[0][0] : bounds[-1][1]] if rows is None else rows
            sizes = [end - begin for begin, end in bounds]
            chunk = [tensor.index_select(0, rows).split(sizes) for tensor in tensors.values()]
            for index, parts in zip(indices, zip(*chunk, strict=True), strict=True):
                if index >= start:
                    yield dict(zip(tensors, parts, strict=True))

    def _views(self, tensors: Mapping[str, Tensor], start: int) -> Iterator[Batch]:
        for index in range(start, len(self)):
            begin, end = self.bounds(index)
            yield {name: tensor[begin:end] for name, tensor in tensors.items()}

    def _order_of(self, epoch: int) -> Tensor:
        if self.sampler is None:
            return self.order(epoch, self.device)
        order = self.sampler(epoch).to(self.device, torch.int64)
        if order.shape != (self.num_rows,):
            raise RequestError(
                f"Expected the sampler to return {self.num_rows} row indices in every epoch. "
                f"Received shape {tuple(order.shape)} in epoch {epoch}."
            )
        return order

    def _tensors_of(self, epoch: int) -> dict[str, Tensor]:
        if self.on_epoch is None:
            return self.tensors
        fresh = {name: tensor.to(self.device) for name, tensor in self.on_epoch(epoch).items()}
        wrong = [name for name in fresh if name not in self.tensors or len(fresh[name]) != self.num_stored]
        if wrong:
            raise RequestError(
                f"Expected on_epoch to return known tensors of {self.num_stored} rows. Wrong: {wrong}."
            )
        return {**self.tensors, **fresh}

    def _batches_per_chunk(self, tensors: Mapping[str, Tensor]) -> int:
        row_bytes = sum(tensor[:1].numel() * tensor.element_size() for tensor in tensors.values())
        return max(1, _CHUNK_BYTES // max(1, row_bytes * self.batch_size))


def common_length(tensors: Mapping[str, Tensor]) -> int:
    """Rows of every tensor; RequestError when there is none, or when they differ."""
    lengths = {name: tensor.shape[0] if tensor.ndim else 0 for name, tensor in tensors.items()}
    if len(set(lengths.values())) != 1:
        raise RequestError(
            f"Expected tensors with the same number of rows. Received {lengths or 'no tensor'}."
        )
    return next(iter(lengths.values()))


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and all bytes (about 1 s per GB), in bounded memory."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        if tensor.numel() == 0:
            continue
        rows_at_once = max(1, _HASHED_AT_ONCE // max(1, tensor[:1].numel() * tensor.element_size()))
        for part in tensor.detach().split(rows_at_once):
            digest.update(part.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
