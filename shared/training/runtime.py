"""Where and how the arithmetic runs: device, precision, threads, memory allocator. Chosen once, and
reported."""

import ctypes
import functools
import gc
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from shared.errors import RequestError
from shared.training.settings import FitSettings, Precision

# One thread per this much forward and backward work of a step. Two threads that meet after every small
# operation are slower than one, and far slower when the machine is shared.
_FLOPS_PER_THREAD = 200e6

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from malloc.h of glibc
_COMPUTE_BOUND = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.MultiheadAttention)
_LARGE_MODEL_PARAMETERS = 5_000_000


@dataclass(frozen=True, slots=True)
class Runtime:
    """The choices of one run."""

    device: torch.device
    precision: Precision

    def autocast(self) -> AbstractContextManager[object]:
        if self.precision == "fp32":
            return nullcontext()
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        return torch.autocast(self.device.type, dtype)


def choose_device(wanted: str) -> torch.device:
    """The device of this process: under torchrun the GPU of its local rank. RequestError without the GPU."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise RequestError(
            "Expected a CUDA device. Received none that torch can use. Set device=auto or cpu."
        )
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", torch.cuda.current_device())))


def choose_precision(settings: FitSettings, model: nn.Module, device: torch.device) -> Precision:
    """fp32 on CPU. On CUDA bf16 autocast where arithmetic is the bottleneck (2-D or 3-D convolutions,
    attention, more than 5 M parameters) and the GPU has bf16 units; else fp32 storage with TF32 products,
    because in small networks the casts cost more than they save. bf16 on CPU pays for transformers and
    U-Nets: ask for it.
    """
    if settings.precision == "fp16" and device.type == "cpu":
        raise RequestError("Expected precision fp32 or bf16 on a CPU. Received fp16, which is slow there.")
    if settings.precision != "auto":
        return settings.precision
    if device.type == "cpu" or torch.cuda.get_device_capability(device) < (8, 0):
        return "fp32"
    large = sum(parameter.numel() for parameter in model.parameters()) > _LARGE_MODEL_PARAMETERS
    return "bf16" if large or any(isinstance(each, _COMPUTE_BOUND) for each in model.modules()) else "fp32"


def threads_for(step_flops: float, available: int) -> int:
    """CPU threads for a step of this much work. A rule and not a measurement: the number of threads changes
    the last bits of a sum, so equal runs must choose equally."""
    return max(1, min(available, int(step_flops / _FLOPS_PER_THREAD)))


@functools.cache
def keep_freed_memory() -> None:
    """Tell glibc to keep up to 1 GiB of freed memory, once per process.

    By default it may return the activations to the kernel after every step and fault them in again in the
    next (0 or about 1,000 page faults a step for the same program). Blocks over 32 MiB, the largest threshold
    that glibc takes, still go back at once. Nothing happens with other C libraries.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
        mallopt(_M_TRIM_THRESHOLD, 2**30)


@contextmanager
def process_wide(settings: FitSettings, runtime: Runtime) -> Iterator[None]:
    """Process-wide switches for the length of one run; what was set before comes back."""
    keep_freed_memory()
    threads = torch.get_num_threads()
    matmul = torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses
        torch.use_deterministic_algorithms(True)
    if runtime.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(runtime.device)
    if runtime.device.type == "cuda" and settings.precision == "auto":
        torch.set_float32_matmul_precision("high")
    gc.freeze()  # a collection in the loop need not walk the modules of torch
    try:
        # torch warns of unchecked sparse gradients, which are its own, unless the choice is made explicit.
        with torch.sparse.check_sparse_tensor_invariants(False):
            yield
    finally:
        gc.unfreeze()
        torch.set_float32_matmul_precision(matmul)
        torch.use_deterministic_algorithms(deterministic)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


@contextmanager
def single_thread() -> Iterator[None]:
    """One CPU thread for many small operations, in torch and BLAS alike; what was set before comes back.

    Two threads that meet after every small operation wait for each other as soon as anything else wants a
    core: the same evaluation took 1.4 s with one thread and 20 s with two on a busy 2-core machine (2026-11).
    """
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def peak_memory_bytes(device: torch.device) -> int:
    """On CUDA the most that tensors took during the run; on CPU the peak of the process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
