"""`fit`: the one way networks are trained here."""

import hashlib
import json
import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shared.errors import FieldworkError, RequestError, Stopped
from shared.training import rng
from shared.training.averaging import tensors_of
from shared.training.batches import Batch, Batches
from shared.training.checkpoint import Checkpoints, decode
from shared.training.distributed import Group, join_group
from shared.training.interrupt import StopFlag, catch_signals
from shared.training.loop import Loop, Outside, StopNow, Validate
from shared.training.progress import Progress, SilentProgress
from shared.training.runtime import Runtime, choose_device, choose_precision, peak_memory_bytes, process_wide
from shared.training.settings import FitSettings, Precision, Tier
from shared.training.tiers import Loss, Updater, build_updater


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a run produced and how.

    model: the network that was passed in, with the weights to use, in eval mode. history: one row per epoch with
    epoch, train_loss (mean over rows while the weights moved), lr, seconds, and the validation metrics.
    best_epoch: 0-based; -1 before the first epoch ended. steps: optimiser steps. seconds: wall time over all
    attempts. samples_per_second: rows per second of updates, without validation.
    """

    model: nn.Module
    history: list[dict[str, float]]
    best_epoch: int
    epochs: int
    steps: int
    seconds: float
    samples_per_second: float
    peak_memory_bytes: int
    device: str
    precision: Precision
    tier: Tier
    tier_reason: str
    num_threads: int
    num_processes: int
    stopped_because: str
    resumed_from_step: int | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything but the network; a number that is not finite becomes None, because JSON has no such number."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "model"}
        plain["notes"] = list(self.notes)
        plain["history"] = [
            {name: value if math.isfinite(value) else None for name, value in row.items()} for row in self.history
        ]
        return plain


def fit(
    model: nn.Module,
    loss: Loss,
    data: Batches,
    settings: FitSettings,
    *,
    validate: Validate | None = None,
    checkpoint_dir: Path | None = None,
    progress: Progress | None = None,
    stop: StopFlag | None = None,
) -> FitResult:
    """Train `model` in place so that an interrupted run, called again, ends exactly like an uninterrupted one.

    loss(model, batch) is the mean over the rows of the batch, a function of nothing else. validate(model) gets
    the network in eval mode, without gradients, after every epoch and returns metrics by name.
    With `checkpoint_dir` the run saves itself there, on SIGTERM and SIGINT too, and continues from there; when it
    had finished, the result comes back at once. Without it a signal ends the process as usual.
    On one CPU the resumed run equals the uninterrupted one bit for bit. Python's, numpy's and torch's global
    generators are seeded with `settings.seed` at the start. Under torchrun all processes call this alike.

    Raises RequestError for a wrong request, FieldworkError when training diverges or the state cannot be saved
    on stopping, Stopped after a signal or `stop.request(...)`.
    """
    device = choose_device(settings.device)
    group = join_group(device)
    runtime = Runtime(device, choose_precision(settings, model, device))
    flag = stop or StopFlag()
    model.to(device)
    data = data.to(device).shard(group.rank, group.world)
    with ExitStack() as stack:
        stack.enter_context(process_wide(settings, runtime))
        checkpoints = None
        if checkpoint_dir is not None:
            fingerprint = run_fingerprint(model, data, settings)
            checkpoints = Checkpoints(Path(checkpoint_dir), fingerprint, settings.keep_last)
            if group.leads:
                stack.enter_context(checkpoints.locked())
            stack.enter_context(catch_signals(flag))
        shown = progress if progress is not None and group.leads else SilentProgress()
        run = _Run(model, loss, data, settings, runtime, group, Outside(validate, checkpoints, shown, flag))
        return run.result()
