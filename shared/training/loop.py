"""The training loop: epochs of updates, and between them validation, best weights and stopping."""

import json
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn

from shared.errors import FieldworkError, RequestError
from shared.training import flops, rng
from shared.training.averaging import MovingAverage, WeightCopy, restore_named, tensors_of
from shared.training.batches import Batch, Batches
from shared.training.checkpoint import Checkpoints
from shared.training.distributed import Group
from shared.training.interrupt import StopFlag
from shared.training.progress import Progress
from shared.training.runtime import Runtime, threads_for
from shared.training.schedules import learning_rate_at
from shared.training.settings import FitSettings
from shared.training.state import State, is_over
from shared.training.tiers import Updater, rows_of

Validate = Callable[[nn.Module], Mapping[str, float]]

_PROGRESS_SECONDS = 0.1
_GROUP_POLL_STEPS = 16  # with several processes every look at flag and clock is a message
_CONTINUE, _SAVE, _TIME_LIMIT, _STOP = range(4)  # the largest wins when processes disagree
_OWN_COLUMNS = {"epoch", "train_loss", "lr", "seconds"}


class StopNow(Exception):
    """The stop flag was seen between two updates."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What a run talks to. Whether it saves itself is the same everywhere; `checkpoints` are the lead's alone."""

    validate: Validate | None
    saves: bool
    checkpoints: Checkpoints | None
    progress: Progress
    flag: StopFlag


class Loop:
    """One run. `updater` is set by the caller, who chooses its tier, before `run`."""

    updater: Updater

    def __init__(
        self,
        model: nn.Module,
        data: Batches,
        settings: FitSettings,
        runtime: Runtime,
        group: Group,
        outside: Outside,
    ) -> None:
        self.model, self.data, self.settings, self.runtime, self.group = model, data, settings, runtime, group
        self.outside, self.state = outside, State()
        self.num_steps = settings.epochs * math.ceil(len(data) / settings.accumulate_steps)
        self._weights = tensors_of(model)
        trainable = [each for each in model.parameters() if each.requires_grad]
        self._average = MovingAverage(trainable, settings.ema_decay) if settings.ema_decay else None
        self._best: WeightCopy | None = None
        self._pending: list[tuple[Tensor, int, int, int]] = []  # loss, local rows, global rows, step

    def run(self) -> None:
        """Train on from where the state is. Raises StopNow at the flag, FieldworkError on divergence."""
        self._mark = now = time.perf_counter()
        limit = self.settings.max_seconds
        self._deadline = math.inf if limit is None else now + limit - self.state.seconds
        self._reported_step, self._report_at, self._last_loss = self.state.step, now, math.nan
        self._plan_save(now)
        self.model.train()
        while not self.state.stopped_because and self.state.epoch < self.settings.epochs:
            if self._train_epoch():
                self._end_epoch()
        if self.state.epoch == self.settings.epochs:
            self.state.stopped_because = "finished"
        self._collect_losses()
        self._tick(updating=True)

    def finish(self) -> None:
        """Put the weights to return in place: the best, else the average, else the latest."""
        if self._best is not None:
            self._best.give(list(self._weights.values()))
        elif self._average is not None:
            self._average.give([each for each in self.model.parameters() if each.requires_grad])
        for parameter in self.model.parameters():
            parameter.grad = None
        self.group.align(
            list(self.model.buffers())
        )  # until here each process keeps statistics of its own rows
        self.model.eval()

    def _train_epoch(self) -> bool:
        """Updates to the end of the epoch; False when the time limit came before it."""
        size = self.settings.accumulate_steps
        batches = cast(Generator[Batch], self.data.epoch(self.state.epoch, self.state.batch))
        with closing(batches):
            while group := list(islice(batches, size)):
                self._update(group)
                action = self._look()
                if action == _SAVE:
                    self.save()
                elif action == _STOP:
                    raise StopNow
                elif action == _TIME_LIMIT:
                    self.state.stopped_because = "time_limit"
                    return self.state.batch == len(self.data)
        return True

    def _update(self, batches: Sequence[Batch]) -> None:
        state = self.state
        local = [rows_of(batch) for batch in batches]
        rows = [self.data.rows_in(state.epoch, state.batch + offset) for offset in range(len(batches))]
        total = sum(rows)
        self.updater.set_learning_rate(learning_rate_at(state.step, self.num_steps, self.settings))
        weights = [part / total for part in local]
        losses = self.updater(batches, weights) if state.num_threads else self._first_update(batches, weights)
        if self._average is not None:
            self._average.update(state.step)
        for loss, local_rows, num_rows in zip(losses, local, rows, strict=True):
            self._pending.append((loss, local_rows, num_rows, state.step))
        state.step += 1
        state.batch += len(batches)
        state.rows += total

    def _first_update(self, batches: Sequence[Batch], weights: Sequence[float]) -> list[Tensor]:
        """Count the work of the run's first update, on one thread, and choose the threads by it."""
        available = torch.get_num_threads()
        torch.set_num_threads(1)
        with flops.counted() as count:
            losses = self.updater(batches, weights)
        self.state.num_threads = threads_for(count.total, available)
        torch.set_num_threads(self.state.num_threads)
        return losses

    def _look(self) -> int:
        """What to do between two updates."""
        if len(self._pending) >= self.settings.check_every_steps:
            self._collect_losses()
        now = time.perf_counter()
        if now >= self._report_at:
            self._report(now)
        if self.group.world > 1 and self.state.step % _GROUP_POLL_STEPS:
            return _CONTINUE
        action = _CONTINUE
        if self.outside.flag.requested:
            action = _STOP
        elif now >= self._deadline:
            action = _TIME_LIMIT
        elif now >= self._save_at:
            action = _SAVE
        return self.group.largest(action)

    def _collect_losses(self) -> None:
        """Fetch the losses since the last look: the only CPU-GPU sync point within an epoch."""
        if not self._pending:
            return
        losses, local, rows, steps = zip(*self._pending, strict=True)
        self._pending = []
        values = torch.stack(losses).double()
        if self.group.world > 1:
            share = torch.tensor(local, device=values.device) / torch.tensor(rows, device=values.device)
            values = self.group.sum(values * share)
        for value, num_rows, step in zip(values.tolist(), rows, steps, strict=True):
            if not math.isfinite(value):
                raise self._divergence(f"the loss was {value}", step)
            self.state.loss_sum += value * num_rows
            self.state.loss_rows += num_rows
        self._last_loss = value

    def _divergence(self, what: str, step: int) -> FieldworkError:
        gradients = [each.grad.norm() for each in self.updater.parameters if each.grad is not None]
        norm = float(torch.stack(gradients).norm()) if gradients else math.nan
        rate = learning_rate_at(step, self.num_steps, self.settings)
        way_out = (
            "check the input for NaN and infinite values"
            if step == 0
            else "lower learning_rate or set clip_norm"
        )
        return FieldworkError(
            f"Training diverged: {what} at step {step} (learning rate {rate:.3g}, gradient norm when noticed "
            f"{norm:.3g}). The last checkpoint, if any, is from before. To go on, {way_out}."
        )

    def _end_epoch(self) -> None:
        state = self.state
        self._collect_losses()
        norms = torch._foreach_norm([each.detach() for each in self.updater.parameters])
        if not math.isfinite(float(torch.stack([norm.float() for norm in norms]).sum())):
            raise self._divergence("a weight became NaN or infinite", state.step - 1)
        self._tick(updating=True)
        own = {
            "epoch": state.epoch,
            "train_loss": state.loss_sum / state.loss_rows,
            "lr": learning_rate_at(state.step - 1, self.num_steps, self.settings),
        }
        with self._average.in_place() if self._average is not None else nullcontext():
            metrics = self._validated()
            self._judge(metrics, own["train_loss"])
        self._tick()
        state.history.append({**own, "seconds": state.epoch_seconds, **metrics})
        state.epoch, state.batch = state.epoch + 1, 0
        state.loss_sum, state.loss_rows, state.epoch_seconds = 0.0, 0, 0.0

    def _validated(self) -> dict[str, float]:
        """Metrics of the lead's validation, the same everywhere; an error of the lead ends every process."""
        if self.outside.validate is None:
            return {}
        self.group.align(list(self.model.buffers()))
        payload: bytes | None = None
        if self.group.leads:
            try:
                payload = json.dumps(self._metrics()).encode()
            except BaseException:
                self.group.share(None)
                raise
        payload = self.group.share(payload)
        if payload is None:
            raise FieldworkError("Validation failed in the first process: see its message.")
        return json.loads(payload)

    def _metrics(self) -> dict[str, float]:
        assert self.outside.validate is not None
        self.model.eval()
        with torch.no_grad():
            metrics = {name: float(value) for name, value in self.outside.validate(self.model).items()}
        self.model.train()
        if self.settings.monitor not in metrics:
            raise RequestError(
                f"Expected validation to return the monitored '{self.settings.monitor}'. "
                f"Received {sorted(metrics)}. Set monitor to one of them."
            )
        if taken := _OWN_COLUMNS & metrics.keys():
            raise RequestError(
                f"Expected other metric names than {sorted(taken)}: the history has these columns."
            )
        return metrics

    def _judge(self, metrics: Mapping[str, float], train_loss: float) -> None:
        """Best epoch so far, its weights, and whether patience is at its end. NaN is never better."""
        state, settings = self.state, self.settings
        value = metrics[settings.monitor] if metrics else train_loss
        sign = 1 if settings.minimize or not metrics else -1
        best = state.best_value
        state.epochs_without_gain += 1
        if not math.isnan(value) and (best is None or sign * value < sign * best - settings.min_delta):
            state.best_value, state.best_epoch, state.epochs_without_gain = value, state.epoch, 0
            if metrics and settings.restore_best:
                self._best = self._best or WeightCopy(self._weights.values())
                self._best.take(list(self._weights.values()))
        if settings.patience is not None and state.epochs_without_gain >= settings.patience:
            state.stopped_because = "early_stopping"

    def save(self) -> str:
        """Write a checkpoint; the reason when it could not be written, which is no reason to lose the run."""
        if not self.outside.saves:
            return ""
        self._collect_losses()  # a state that has diverged is not saved
        self._tick(updating=True)
        content = self.snapshot()
        problem = ""
        if self.outside.checkpoints is not None:
            try:
                self.outside.checkpoints.save(content)
            except FieldworkError as error:
                problem = str(error)
                self.outside.checkpoints.note(f"{problem} Training goes on.")
        problem = (self.group.share(problem.encode()) or b"").decode()
        self._tick()
        self._plan_save(time.perf_counter())
        return problem

    def snapshot(self) -> dict[str, Any]:
        """Everything that a resume needs, as tensors and plain containers. Call on every process."""
        return {
            **asdict(self.state),
            "weights": self._weights,
            "average": None if self._average is None else self._average.tensors,
            "best": None if self._best is None else self._best.tensors,
            "updater": self.updater.state(),
            "random": self.group.gather(rng.capture(self.runtime.device)),
        }

    def restore(self, content: Mapping[str, Any], updater: Updater) -> None:
        """The opposite of `snapshot`."""
        self.state = State(**{name: content[name] for name in asdict(State())})
        self.state.history = [dict(row) for row in self.state.history]
        restore_named(self._weights, content["weights"])
        if self._average is not None:
            self._average.take(content["average"])
        if content["best"] is not None:
            self._best = WeightCopy(self._weights.values())
            self._best.take(content["best"])
        updater.load(content["updater"])
        if not is_over(content, self.settings):
            self.state.stopped_because = ""
        if self.group.world == len(content["random"]):
            rng.restore(content["random"][self.group.rank], self.runtime.device)
        else:  # fewer or more processes than before: new streams, the rest goes on as it was
            rng.seed_all(self.settings.seed + self.state.step * self.group.world + self.group.rank)

    def _plan_save(self, now: float) -> None:
        pause = self.settings.checkpoint_every_seconds if self.outside.saves else math.inf
        self._save_at = now + pause

    def _report(self, now: float) -> None:
        steps, self._reported_step = self.state.step - self._reported_step, self.state.step
        rate = learning_rate_at(self.state.step - 1, self.num_steps, self.settings)
        self.outside.progress.advance(steps, loss=self._last_loss, lr=rate)
        self._report_at = now + _PROGRESS_SECONDS

    def _tick(self, *, updating: bool = False) -> None:
        now = time.perf_counter()
        elapsed, self._mark = now - self._mark, now
        self.state.seconds += elapsed
        self.state.epoch_seconds += elapsed
        self.state.update_seconds += elapsed if updating else 0.0
