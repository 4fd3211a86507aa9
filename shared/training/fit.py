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

from shared.errors import FieldworkError, Stopped
from shared.training import rng
from shared.training.averaging import tensors_of
from shared.training.batches import Batch, Batches
from shared.training.checkpoint import Checkpoints, decode
from shared.training.distributed import join_group
from shared.training.interrupt import StopFlag, catch_signals
from shared.training.loop import Loop, Outside, StopNow, Validate
from shared.training.optimizers import sparse_tables
from shared.training.progress import Progress, SilentProgress
from shared.training.runtime import Runtime, choose_device, choose_precision, peak_memory_bytes, process_wide
from shared.training.settings import FitSettings, Precision, Tier
from shared.training.state import is_over
from shared.training.tiers import Loss, Updater, build_updater

_FORMAT = "2"  # of the checkpoint's content: raised when older ones cannot be continued


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a run produced and how.

    model: the network that was passed in, with the weights to use, in eval mode. history: one row per epoch
    with epoch, train_loss (mean over rows while the weights moved), lr, seconds, and the validation metrics.
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
        """Everything but the network; NaN and infinity become None, because JSON has no such numbers."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "model"}
        plain["notes"] = list(self.notes)
        plain["history"] = [
            {name: value if math.isfinite(value) else None for name, value in row.items()}
            for row in self.history
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
    """Train `model` in place; an interrupted run, called again, ends exactly like an uninterrupted one.

    loss(model, batch) is the mean over the rows of the batch, a function of nothing else. validate(model)
    gets the network in eval mode, without gradients, after every epoch and returns metrics by name. With
    `checkpoint_dir` the run saves itself there, on SIGTERM and SIGINT too, and continues from there; when it
    had finished, the result comes back at once. Without it a signal ends the process as usual. On one CPU the
    resumed run equals the uninterrupted one bit for bit. Python's, numpy's and torch's global generators are
    seeded with `settings.seed` at the start. Under torchrun all processes call this alike, except that checkpoints
    are the lead's: the others need no `checkpoint_dir`.

    Raises RequestError for a wrong request, FieldworkError when training diverges or the state cannot be
    saved on stopping, Stopped after a signal or `stop.request(...)`.
    """
    device = choose_device(settings.device)
    group = join_group(device)
    runtime = Runtime(device, choose_precision(settings, model, device))
    flag = stop or StopFlag()
    model.to(device)
    group.align(list(tensors_of(model).values()))
    data = data.to(device).shard(group.rank, group.world)
    with ExitStack() as stack:
        stack.enter_context(process_wide(settings, runtime))
        checkpoints = None
        saves = group.from_lead(checkpoint_dir is not None)
        if checkpoint_dir is not None and group.leads:
            fingerprint = run_fingerprint(model, data, settings)
            checkpoints = Checkpoints(Path(checkpoint_dir), fingerprint, settings.keep_last)
            stack.enter_context(checkpoints.locked())
        if saves:
            stack.enter_context(catch_signals(flag))
        shown = progress if progress is not None and group.leads else SilentProgress()
        outside = Outside(validate, saves, checkpoints, shown, flag)
        return _run(Loop(model, data, settings, runtime, group, outside), loss)


def run_fingerprint(model: nn.Module, data: Batches, settings: FitSettings) -> str:
    """SHA-256 of settings, network structure and data. Initial weights do not count: an unseeded network that
    was killed before could otherwise never continue."""
    shapes = [(name, str(tensor.dtype), list(tensor.shape)) for name, tensor in tensors_of(model).items()]
    sparse = {id(table) for table in sparse_tables(model)}  # not in every module's repr
    sparse_names = [name for name, parameter in model.named_parameters() if id(parameter) in sparse]
    structure = [repr(model), json.dumps(shapes), json.dumps(sparse_names)]
    parts = [_FORMAT, settings.fingerprint(), *structure, data.digest()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def training_record(results: list[FitResult]) -> dict[str, Any]:
    """Plain values of several fits: the last of them in full, the seconds of all, and where any of them went on."""
    resumed = [result.resumed_from_step for result in results if result.resumed_from_step is not None]
    return results[-1].to_json() | {
        "seconds": sum(result.seconds for result in results),
        "resumed_from_step": max(resumed, default=None),
    }


def _run(loop: Loop, loss: Loss) -> FitResult:
    settings, group, outside = loop.settings, loop.group, loop.outside
    rng.seed_all(settings.seed + group.rank)
    payload = None if outside.checkpoints is None else outside.checkpoints.load()
    payload = group.share(payload)
    content = None if payload is None else decode(payload)
    resumed_from_step = None if content is None else content["step"]

    def load(updater: Updater) -> None:
        if content is not None:
            loop.restore(content, updater)

    def first_batch() -> Batch:
        return next(loop.data.epoch(0))

    if content is not None and is_over(content, settings):
        loop.updater = Updater(loop.model, loss, settings, loop.runtime, group, capturable=False)
        load(loop.updater)
    else:
        loop.model.train()
        loop.updater, tier, reason = build_updater(
            loop.model,
            loss,
            settings,
            loop.runtime,
            group,
            num_steps=loop.num_steps,
            load=load,
            example=first_batch,
        )
        loop.state.tier, loop.state.tier_reason = tier, reason
        _choose_threads(loop)
        _train(loop, resumed_from_step or 0)
    loop.finish()
    return _result(loop, resumed_from_step)


def _choose_threads(loop: Loop) -> None:
    """A checkpoint's choice comes first: with other threads the last bits would differ. None is left to the
    loop, which counts the work of its first update."""
    asked = loop.settings.num_threads
    if asked != "auto":
        loop.state.num_threads = asked
    elif loop.state.num_threads is None and (
        loop.runtime.device.type != "cpu" or loop.state.tier != "eager" or torch.get_num_threads() == 1
    ):
        loop.state.num_threads = torch.get_num_threads()
    if loop.state.num_threads not in (None, torch.get_num_threads()):
        torch.set_num_threads(loop.state.num_threads or 1)


def _train(loop: Loop, first_step: int) -> None:
    """Run to the end and save the end, or save and raise Stopped."""
    outside = loop.outside
    outside.progress.start(loop.num_steps - first_step, "training")
    try:
        loop.run()
        loop.save()  # the run is complete in memory: a failure to save is a note, not an error
    except StopNow:
        if not outside.saves:
            raise Stopped(
                f"Stopped at step {loop.state.step}, nothing saved. Give a checkpoint folder to continue."
            ) from None
        problem = loop.save()
        if problem:
            raise FieldworkError(
                f"Stopped at step {loop.state.step}, but the state was not saved: {problem}"
            ) from None
        place = "by the first process" if outside.checkpoints is None else f"in {outside.checkpoints.folder}"
        raise Stopped(
            f"Stopped by {outside.flag.reason or 'another process'} at step {loop.state.step}, "
            f"saved {place}. The same command continues."
        ) from None
    finally:
        outside.progress.close()


def _result(loop: Loop, resumed_from_step: int | None) -> FitResult:
    state, runtime = loop.state, loop.runtime
    return FitResult(
        model=loop.model,
        history=state.history,
        best_epoch=state.best_epoch,
        epochs=len(state.history),
        steps=state.step,
        seconds=state.seconds,
        samples_per_second=state.rows / state.update_seconds if state.update_seconds else 0.0,
        peak_memory_bytes=peak_memory_bytes(runtime.device),
        device=str(runtime.device),
        precision=runtime.precision,
        tier=state.tier,
        tier_reason=state.tier_reason,
        num_threads=state.num_threads or 1,
        num_processes=loop.group.world,
        stopped_because=state.stopped_because,
        resumed_from_step=resumed_from_step,
        notes=tuple(loop.outside.checkpoints.notes) if loop.outside.checkpoints is not None else (),
    )
