"""Batches of data that do not fit the device or the memory: read ahead in threads, copied while others
train."""

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from shared.errors import RequestError
from shared.training.batches import Batch, Batches, DeviceBatches, common_length, tensors_digest


class Source(Protocol):
    """Rows on request. `read` is called from several threads at once, with int64 row indices on the CPU, and
    returns CPU tensors of that many rows in that order. An optional `digest()` tells data of equal length
    apart."""

    def __len__(self) -> int: ...

    def read(self, indices: Tensor) -> Batch: ...


class TensorSource:
    """Tensors in host memory, or memory-mapped, as a source."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)
        self._num_rows = common_length(tensors)

    def __len__(self) -> int:
        return self._num_rows

    def read(self, indices: Tensor) -> Batch:
        return {name: tensor.index_select(0, indices) for name, tensor in self._tensors.items()}

    def digest(self) -> str:
        return tensors_digest(self._tensors)


class PrefetchBatches(Batches):
    """Batches read by `num_threads` threads, at most `depth` ahead, in exactly the order of DeviceBatches on
    the CPU.

    For a GPU the threads copy into pinned memory and the batch travels on a stream of its own, so reading,
    copying and training overlap. Threads and not processes: reading and gathering release the interpreter
    lock, and nothing has to be pickled. An error in a thread appears where its batch would have. Leaving an
    epoch early waits for the reads under way, and no thread outlives the epoch. Memory: `depth` batches,
    beside what the source holds.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        *,
        seed: int,
        device: str | torch.device = "auto",
        drop_last: bool = False,
        shuffle: bool = True,
        num_threads: int = 2,
        depth: int = 4,
    ) -> None:
        if num_threads < 1 or depth < 1:
            raise RequestError(
                f"Expected at least one thread and a depth of one. Received {num_threads} and {depth}."
            )
        super().__init__(len(source), batch_size, seed=seed, drop_last=drop_last, shuffle=shuffle)
        self.source, self.num_threads, self.depth = source, num_threads, depth
        self.device = torch.device("cpu") if device == "auto" else torch.device(device)

    def to(self, device: torch.device) -> Self:
        moved = self.shard(self.rank, self.world)
        moved.device = device
        return moved

    def digest(self) -> str:
        digest = getattr(self.source, "digest", None)
        content = digest() if digest is not None else f"{type(self.source).__qualname__}:{len(self.source)}"
        return hashlib.sha256(f"{super().digest()}{content}".encode()).hexdigest()

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        host_batches = self._host_batches(self.order(epoch, torch.device("cpu")), start)
        try:
            yield from host_batches if self.device.type == "cpu" else self._copied_ahead(host_batches)
        finally:
            host_batches.close()

    def _host_batches(self, order: Tensor, start: int) -> Any:
        pool = ThreadPoolExecutor(self.num_threads, thread_name_prefix="prefetch")
        ahead: deque[Future[Batch]] = deque()
        try:
            for index in range(start, len(self)):
                begin, end = self.bounds(index)
                ahead.append(pool.submit(self._read, order[begin:end]))
                if len(ahead) >= self.depth:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, indices: Tensor) -> Batch:
        batch = self.source.read(indices)
        if common_length(batch) != len(indices):
            raise RequestError(
                f"Expected the source to return {len(indices)} rows. Received {common_length(batch)}."
            )
        if self.device.type == "cpu":
            return batch
        # The allocator of pinned memory reuses a block only after the copies out of it are done.
        return {name: tensor.pin_memory() for name, tensor in batch.items()}

    def _copied_ahead(self, host_batches: Iterator[Batch]) -> Iterator[Batch]:
        """Start the copy of a batch before the one in front of it is handed out."""
        copies = torch.cuda.Stream(self.device)
        waiting: Batch | None = None
        for host_batch in host_batches:
            with torch.cuda.stream(copies):
                copied = {name: each.to(self.device, non_blocking=True) for name, each in host_batch.items()}
            if waiting is not None:
                yield waiting
            self._hand_over(copied, copies)
            waiting = copied
        if waiting is not None:
            yield waiting

    def _hand_over(self, batch: Batch, copies: torch.cuda.Stream) -> None:
        training = torch.cuda.current_stream(self.device)
        training.wait_stream(copies)
        for tensor in batch.values():
            tensor.record_stream(training)  # or the allocator could reuse its memory while training reads it


def auto_batches(
    tensors: Mapping[str, Tensor],
    batch_size: int,
    *,
    seed: int,
    device: torch.device,
    budget_bytes: int | None = None,
    drop_last: bool = False,
) -> DeviceBatches | PrefetchBatches:
    """Resident batches when the tensors fit the budget, read-ahead ones when they do not; `.reason` says
    which.

    The budget is by default half of the free device memory (the rest is for the network); on a CPU, where the
    tensors already take their memory, there is none.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if budget_bytes is None and device.type == "cuda":
        budget_bytes = torch.cuda.mem_get_info(device)[0] // 2
    batches: DeviceBatches | PrefetchBatches
    if budget_bytes is None or size <= budget_bytes:
        batches = DeviceBatches(tensors, batch_size, seed=seed, device=device, drop_last=drop_last)
        relation = "fit"
    else:
        source = TensorSource(tensors)
        batches = PrefetchBatches(source, batch_size, seed=seed, device=device, drop_last=drop_last)
        relation = "exceed"
    limit = "no limit" if budget_bytes is None else f"{budget_bytes / 1e6:,.1f} MB"
    batches.reason = f"{size / 1e6:,.1f} MB of tensors {relation} the budget ({limit} on {device.type})"
    return batches
