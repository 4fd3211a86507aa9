"""One optimiser update in three tiers of speed: eager, compiled, or a CUDA graph of the whole step."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from shared.errors import RequestError
from shared.training import rng
from shared.training.averaging import WeightCopy, tensors_of
from shared.training.batches import Batch
from shared.training.distributed import Group
from shared.training.optimizers import build_optimizers, clip_gradients, make_scalable, sparse_tables
from shared.training.runtime import Runtime
from shared.training.settings import FitSettings, Tier

Loss = Callable[[nn.Module, Batch], Tensor]

_GRAPH_MAX_PARAMETERS = 20_000_000  # beyond it kernels are long enough to hide their launches
_GRAPH_MIN_STEPS = 200  # capturing costs about as much as tens of steps
_GRAPH_WARMUP_STEPS = 3  # what the documentation of CUDA graphs asks for


class Updater:
    """Forward, backward, sum over processes, clipping and optimiser step, one operation after the other."""

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        settings: FitSettings,
        runtime: Runtime,
        group: Group,
        *,
        capturable: bool,
    ) -> None:
        self.model, self.loss, self.runtime, self.group = model, loss, runtime, group
        self.optimizers = build_optimizers(model, settings, runtime.device, capturable=capturable)
        self.scaler = torch.amp.GradScaler(runtime.device.type) if runtime.precision == "fp16" else None
        self.parameters = [each for part in self._parameter_groups() for each in part["params"]]
        self._tables = sparse_tables(model)
        apart = {id(table) for table in self._tables}
        self._dense = [each for each in self.parameters if id(each) not in apart]
        self._clip_norm = settings.clip_norm
        self._rate = settings.learning_rate

    def __call__(self, batches: Sequence[Batch], weights: Sequence[float]) -> list[Tensor]:
        """Losses of the batches, on the device. A weight is the batch's share of the rows of this update."""
        for parameter in self.parameters:
            parameter.grad = None
        losses = [self.backward(batch, weight) for batch, weight in zip(batches, weights, strict=True)]
        self.apply()
        return losses

    def set_learning_rate(self, rate: float) -> None:
        if rate == self._rate:
            return
        self._rate = rate
        for part in self._parameter_groups():
            share = part.get("rate_share", 1.0)
            if isinstance(part["lr"], Tensor):
                part["lr"].fill_(rate * share)
            else:
                part["lr"] = rate * share

    def forward(self, batch: Batch) -> Tensor:
        with self.runtime.autocast():
            return self.loss(self.model, batch)

    def backward(self, batch: Batch, weight: float) -> Tensor:
        if weight == 0:  # no row of a short last batch fell to this process
            return torch.zeros((), device=self.runtime.device)
        loss = self.forward(batch)
        if loss.ndim:
            raise RequestError(
                f"Expected the loss to be one number, the mean over rows. Received {loss.shape}."
            )
        weighted = loss if weight == 1 else loss * weight
        (weighted if self.scaler is None else self.scaler.scale(weighted)).backward()
        return loss.detach()

    def apply(self) -> None:
        self.group.sum_gradients(self._dense)
        self.group.join_rows(self._tables)
        if self._clip_norm is not None or self.scaler is not None:
            make_scalable(self._tables)
        if self._clip_norm is not None:
            if self.scaler is not None:
                for optimizer in self.optimizers:
                    self.scaler.unscale_(optimizer)
            clip_gradients(self.parameters, self._clip_norm)
        for optimizer in self.optimizers:
            if self.scaler is None:
                optimizer.step()
            else:
                self.scaler.step(optimizer)
        if self.scaler is not None:
            self.scaler.update()

    def state(self) -> dict:
        """Of each optimiser the state by parameter number, and the loss scale."""
        scaler = None if self.scaler is None else self.scaler.state_dict()
        states = [optimizer.state_dict()["state"] for optimizer in self.optimizers]
        return {"optimizers": states, "scaler": scaler}

    def load(self, state: dict) -> None:
        rates = [part["lr"] for part in self._parameter_groups()]
        for optimizer, content in zip(self.optimizers, state["optimizers"], strict=True):
            groups = optimizer.state_dict()["param_groups"]  # ours: the file's may be of another device
            optimizer.load_state_dict({"state": content, "param_groups": groups})
        for part, rate in zip(self._parameter_groups(), rates, strict=True):
            part["lr"] = rate
        if self.scaler is not None and state["scaler"] is not None:
            self.scaler.load_state_dict(state["scaler"])

    def _parameter_groups(self) -> list[dict]:
        return [part for optimizer in self.optimizers for part in optimizer.param_groups]


class CompiledUpdater(Updater):
    """Network and loss through torch.compile. Batches of other than the full size take the eager way, because
    each new shape would compile again."""

    def __init__(self, *args: object, full_rows: int, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._full_rows = full_rows
        self._compiled = torch.compile(super().forward, dynamic=False)

    def forward(self, batch: Batch) -> Tensor:
        return self._compiled(batch) if rows_of(batch) == self._full_rows else super().forward(batch)

    def prepare(self, batch: Batch) -> None:
        """Compile now, so that a failure leaves no trace in weights, buffers or random generators."""
        with untouched(self):
            self.backward(batch, 1.0)


class GraphUpdater(Updater):
    """The whole step recorded once and replayed with one launch; other than full batches take the eager way.

    Sound only for a loss that is a function of network and batch: what Python computes is frozen in.
    """

    def prepare(self, batch: Batch) -> None:
        device = self.runtime.device
        self._inputs = {name: tensor.clone() for name, tensor in batch.items()}
        self._graph = torch.cuda.CUDAGraph()
        with untouched(self):
            stream = torch.cuda.Stream(device)
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                for _ in range(_GRAPH_WARMUP_STEPS):
                    super().__call__([self._inputs], [1.0])
            torch.cuda.current_stream(device).wait_stream(stream)
            for parameter in self.parameters:
                parameter.grad = None  # so that the graph allocates gradients in its own memory
            with torch.cuda.graph(self._graph):
                self._output = self.backward(self._inputs, 1.0)
                self.apply()

    def __call__(self, batches: Sequence[Batch], weights: Sequence[float]) -> list[Tensor]:
        batch = batches[0]
        if any(tensor.shape != self._inputs[name].shape for name, tensor in batch.items()):
            return super().__call__(batches, weights)
        for name, tensor in batch.items():
            self._inputs[name].copy_(tensor, non_blocking=True)
        self._graph.replay()
        return [self._output.clone()]


@contextmanager
def untouched(updater: Updater) -> Iterator[None]:
    """Weights, buffers, optimiser state and random generators are after the block what they were before."""
    random_state = rng.capture(updater.runtime.device)
    tensors = list(tensors_of(updater.model).values())
    weights = WeightCopy(tensors)
    before = {key: value.clone() for key, value in _optimizer_tensors(updater.optimizers)}
    try:
        yield
    finally:
        weights.give(tensors)
        # In place, because a graph keeps the addresses; a state that did not exist yet starts at zero.
        for key, value in _optimizer_tensors(updater.optimizers):
            value.copy_(before[key]) if key in before else value.zero_()
        for parameter in updater.parameters:
            parameter.grad = None
        rng.restore(random_state, updater.runtime.device)


def _optimizer_tensors(
    optimizers: Sequence[torch.optim.Optimizer],
) -> list[tuple[tuple[int, str], Tensor]]:
    return [
        ((id(parameter), name), value)
        for optimizer in optimizers
        for parameter, state in optimizer.state.items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    ]


def rows_of(batch: Batch) -> int:
    return next(iter(batch.values())).shape[0]


def choose_tier(
    settings: FitSettings, runtime: Runtime, group: Group, model: nn.Module, num_steps: int
) -> tuple[Tier, str]:
    """The tier to try, and why. auto: eager on CPU, where compiling needs a C++ compiler and takes longer
    than most runs here; a CUDA graph for small networks and runs long enough to pay for the recording. Sparse
    gradients, whose size is that of the batch's distinct rows, are always eager."""
    if sparse_tables(model):
        return "eager", "sparse gradients are neither recorded as a graph nor compiled"
    if settings.tier == "cuda_graph" or (settings.tier == "auto" and runtime.device.type == "cuda"):
        obstacle = _graph_obstacle(settings, runtime, group)
        if obstacle:
            return "eager", obstacle
    if settings.tier != "auto":
        return settings.tier, "asked for"
    if runtime.device.type == "cpu":
        return "eager", "auto: compiling on a CPU costs more than it saves in short runs"
    if num_steps < _GRAPH_MIN_STEPS:
        return "eager", f"auto: fewer than {_GRAPH_MIN_STEPS} steps do not pay for recording a graph"
    if sum(parameter.numel() for parameter in model.parameters()) > _GRAPH_MAX_PARAMETERS:
        return "eager", "auto: the network is large enough to hide kernel launches"
    return "cuda_graph", "auto: a small network on a GPU is bound by kernel launches"


def _graph_obstacle(settings: FitSettings, runtime: Runtime, group: Group) -> str:
    if runtime.device.type != "cuda":
        return "CUDA graphs need a CUDA device"
    if settings.accumulate_steps > 1:
        return "gradient accumulation is not recorded as a graph"
    if runtime.precision == "fp16":
        return "the fp16 loss scaler decides on the host"
    return "several processes are not recorded as a graph" if group.world > 1 else ""


def build_updater(
    model: nn.Module,
    loss: Loss,
    settings: FitSettings,
    runtime: Runtime,
    group: Group,
    *,
    num_steps: int,
    load: Callable[[Updater], None],
    example: Callable[[], Batch],
) -> tuple[Updater, Tier, str]:
    """The updater of the best tier that works here, with the reason. Any failure to compile or record falls
    back to eager and says so. `load` puts the state of an interrupted run in place before anything is
    recorded."""
    tier, reason = choose_tier(settings, runtime, group, model, num_steps)
    if tier != "eager":
        try:
            batch = example()
            updater: CompiledUpdater | GraphUpdater
            if tier == "compile":
                updater = CompiledUpdater(
                    model, loss, settings, runtime, group, capturable=False, full_rows=rows_of(batch)
                )
            else:
                updater = GraphUpdater(model, loss, settings, runtime, group, capturable=True)
            load(updater)
            updater.prepare(batch)
        except Exception as error:  # whatever a compiler or driver may raise
            first_line = (str(error).strip().splitlines() or [""])[0]
            reason = f"{tier} failed, eager instead: {type(error).__name__}: {first_line[:200]}"
        else:
            return updater, tier, reason
    eager = Updater(model, loss, settings, runtime, group, capturable=False)
    load(eager)
    return eager, "eager", reason
