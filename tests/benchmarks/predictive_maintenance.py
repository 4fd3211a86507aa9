"""Predictive maintenance: training and scoring beside bare loops, and memory as windows grow.

    python -m tests.benchmarks.predictive_maintenance [--rounds 5] [--cpu-time] [--only training|...] [--json]

Training: 17,731 windows of 30 readings x 14 sensors in batches of 256, as many as C-MAPSS FD001 has, by a network that
is usual for them (convolutions 14-32-64, LSTM 64). The pipeline gathers them from the readings; the bare loop and the
DataLoader have a matrix of all windows. The bare loop has a fused optimiser; the DataLoader stands for what training
frameworks build on and has what comes with it in most programs, Adam as it is. Then the pipeline's own network with
its own loss and noise, beside a bare loop over the same. Scoring: one machine from its table, all windows of a fleet.
Memory: the peak of windows and one epoch beyond the readings, each length in a process of its own, beside what a matrix
of the windows would take.

Contenders alternate, in a new order each round; the ratio is to the first of them in the same round. On a busy
machine --cpu-time with one thread counts the time that the process got. Needs Linux. Prints Markdown, median
(smallest to largest), or with --json one line a measurement.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from pipelines.predictive_maintenance.config import ModelConfig, TrainingConfig, quick
from pipelines.predictive_maintenance.data import load_readings
from pipelines.predictive_maintenance.fitting import fit_forecaster
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.model import CnnLstm
from pipelines.predictive_maintenance.protocol import divide
from pipelines.predictive_maintenance.score import Scorer
from pipelines.predictive_maintenance.targets import Scale
from pipelines.predictive_maintenance.train import Trainer, forecast_loss, new_network, outputs
from pipelines.predictive_maintenance.windows import Windows
from shared.training.batches import Batch, DeviceBatches
from shared.training.fit import fit
from shared.training.settings import FitSettings, Precision
from tests.benchmarks.fraud_detection import Work, clock_of, compared, parser_of, run_sections, seconds_of
from tests.benchmarks.recommender import Measured
from tests.benchmarks.recommender_memory import in_own_process, with_extra_peak

NUM_ENGINES, NUM_READINGS, NUM_SENSORS = 100, 20_631, 14
LENGTH, BATCH_SIZE = 30, 256
NUM_WINDOWS = NUM_READINGS - NUM_ENGINES * (LENGTH - 1)
LEARNING_RATE = 1e-3
MEMORY_SIZES = (
    (1, 30),
    (1, 100),
    (10, 30),
    (10, 100),
)  # fleets of so many times as many readings, window length
NUM_REQUESTS = 200


class UsualNetwork(nn.Module):
    """Convolutions and LSTM without pooling, as most programs for these data have them."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(NUM_SENSORS, 32, 3, padding=1), nn.ReLU(), nn.Conv1d(32, 64, 3, padding=1), nn.ReLU()
        )
        self.lstm, self.out = nn.LSTM(64, 64, batch_first=True), nn.Linear(64, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """(B, C, L) -> (B,)"""
        states, _ = self.lstm(self.convolutions(windows).transpose(1, 2))
        return self.out(states[:, -1]).squeeze(-1)


def random_readings(times: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Readings of engines that lived equally long, up to one reading, and the first reading of each one's engine."""
    first = np.linspace(0, times * NUM_READINGS, times * NUM_ENGINES + 1).round().astype(np.int64)
    values = np.random.default_rng(0).standard_normal((times * NUM_READINGS, NUM_SENSORS), dtype=np.float32)
    return values, np.repeat(first[:-1], np.diff(first))


@cache
def readings() -> Windows:
    return Windows.of(*random_readings(), LENGTH)


@cache
def whole_rows() -> Tensor:
    """Readings whose window holds no copies."""
    return torch.nonzero(readings().num_observed == LENGTH).squeeze(1)


@cache
def matrix() -> tuple[Tensor, Tensor]:
    """All windows, (windows, C, L), as Conv1d takes them, and what is to be forecast."""
    windows = readings().gather(whole_rows()).transpose(1, 2).contiguous()
    return windows, torch.rand(len(windows), generator=torch.Generator().manual_seed(0))


def train_bare() -> None:
    """One epoch over the matrix."""
    windows, target = matrix()
    network = UsualNetwork()
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    for rows in torch.randperm(len(windows)).split(BATCH_SIZE):
        optimiser.zero_grad(set_to_none=True)
        nn.functional.mse_loss(network(windows[rows]), target[rows]).backward()
        optimiser.step()


def train_with_loader() -> None:
    """One epoch by a DataLoader over single windows, without workers."""
    network = UsualNetwork()
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    for windows, target in DataLoader(TensorDataset(*matrix()), BATCH_SIZE, shuffle=True):
        optimiser.zero_grad()
        nn.functional.mse_loss(network(windows), target).backward()
        optimiser.step()


def train_by_fit(precision: Precision) -> None:
    """One epoch over the readings."""
    windows = readings()

    def loss(network: nn.Module, batch: Batch) -> Tensor:
        found = network(windows.gather(batch["row"]).transpose(1, 2))
        return nn.functional.mse_loss(found.float(), batch["target"])

    data = DeviceBatches({"row": whole_rows(), "target": matrix()[1]}, BATCH_SIZE, seed=0)
    fit(UsualNetwork(), loss, data, settings(precision))


def settings(precision: Precision, weight_decay: float = 0.0) -> FitSettings:
    return FitSettings(
        epochs=1,
        learning_rate=LEARNING_RATE,
        weight_decay=weight_decay,
        monitor="train_loss",
        restore_best=False,
        device="cpu",
        precision=precision,
    )


def own_network() -> CnnLstm:
    return new_network(NUM_SENSORS, ModelConfig())


def targets_of(share: Tensor) -> Batch:
    """What the pipeline learns, where every remaining life, as a share of the cap, is known."""
    none = torch.zeros(len(share), dtype=torch.bool)
    return {"rul": share, "is_bound": none, "fails": (share < 0.2).float(), "is_known": (~none).float()}


def train_own_bare() -> None:
    """One epoch of the pipeline's network over a matrix of windows, with the same loss."""
    windows, network = matrix()[0].transpose(1, 2).contiguous(), own_network()
    kept = Windows(windows.flatten(0, 1), torch.arange(len(windows)) * LENGTH, whole_rows(), LENGTH)
    loss = own_loss(kept)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-3, fused=True)
    columns = targets_of(matrix()[1])
    for rows in torch.randperm(len(windows)).split(BATCH_SIZE):
        optimiser.zero_grad(set_to_none=True)
        loss(network, {"row": rows, **{name: column[rows] for name, column in columns.items()}}).backward()
        optimiser.step()


def own_loss(windows: Windows) -> Callable[[nn.Module, Batch], Tensor]:
    return forecast_loss(windows, coverage=0.9, interval_weight=0.1, horizon_weight=0.1)


def train_own_by_fit(precision: Precision) -> None:
    data = DeviceBatches({"row": whole_rows(), **targets_of(matrix()[1])}, BATCH_SIZE, seed=0)
    fit(own_network(), own_loss(readings()), data, settings(precision, weight_decay=1e-3))


def training(options: argparse.Namespace) -> Iterator[Measured]:
    """The usual network, then the pipeline's own."""
    usual = {
        "bare loop": train_bare,
        "fit": partial(train_by_fit, "fp32"),
        "fit, bf16": partial(train_by_fit, "bf16"),
        "DataLoader": train_with_loader,
    }
    own = {
        "bare loop": train_own_bare,
        "fit": partial(train_own_by_fit, "fp32"),
        "fit, bf16": partial(train_own_by_fit, "bf16"),
    }
    for network, contenders in {"CNN-LSTM 14-32-64-64": usual, "the pipeline's own": own}.items():
        yield from compared(
            {f"{network}, {how}": (work, NUM_WINDOWS) for how, work in contenders.items()}, options
        )


def scoring(options: argparse.Namespace) -> Iterator[Measured]:
    """From readings to forecasts: the last reading of one machine, of all machines; all windows."""
    scorer, frame = fitted_scorer()
    seen = scorer.seen(Fleet.of(frame, scorer.schema))
    rows = np.arange(len(seen.inputs.windows))
    one = frame.filter(pl.col("unit_id") == frame["unit_id"][0])
    latest = scorer.latest(one)
    worded = scorer.worded(latest)
    milliseconds = {
        f"one machine of {one.height} readings, forecast": lambda: scorer.score(one),
        "one machine, its driving sensors": lambda: scorer.explained(latest, worded),
    }
    clock = clock_of(options.cpu_time)
    for name, work in milliseconds.items():
        work()
        values = [1e3 * seconds_of(work, clock) for _ in range(NUM_REQUESTS)]
        for percent in (50, 99):
            yield Measured(f"{name}, p{percent}", "ms", [float(np.percentile(values, percent))], [])
    machines = frame["unit_id"].n_unique()
    yield from compared(
        {f"{machines} machines by their last windows": (lambda: scorer.score(frame), machines)}, options
    )
    single = scorer.explainer()
    assert single.network is not None, "the generated fleet fails"

    def by_hand() -> None:
        for network in (single.network, single.autoencoder):
            outputs(network, seen.inputs.windows, rows)

    contenders: dict[str, tuple[Work, int]] = {
        f"all windows, {len(single.network.members)} networks, bare": (by_hand, len(rows)),
        "all windows, pipeline": (lambda: scorer.forecasts(seen, rows), len(rows)),
    }
    yield from compared(contenders, options)


@cache
def fitted_scorer() -> tuple[Scorer, pl.DataFrame]:
    """A scorer of the default size, trained for a few steps, and the readings of a generated fleet."""
    config = quick().model_copy(
        update={"training": TrainingConfig(epochs=1, min_steps=1, autoencoder_epochs=1)}
    )
    readings = load_readings("synthetic", config.data, config.seed)
    fleet = Fleet.of(readings.frame, readings.schema)
    division = divide(fleet, config.protocol.test_share, config.protocol.num_folds, config.seed)
    train = fleet.of_units(division.train)
    trainer = Trainer(config, Scale.of(train, config.target, None))
    outcome = fit_forecaster(fleet, division, trainer.prepare(train), readings.schema, trainer)
    return outcome.scorer, readings.frame


def memory(options: argparse.Namespace) -> Iterator[Measured]:
    """Extra peak of windows and an epoch over them, and the size of the matrix that is not built."""
    for times, length in MEMORY_SIZES:
        name = f"{times * NUM_READINGS:,} windows of {length}"
        extra = in_own_process(memory_of, times, length)
        yield Measured(f"{name}, and an epoch", "MB", [extra / 1e6], [])
        yield Measured(f"{name}, as a matrix", "MB", [4e-6 * times * NUM_READINGS * length * NUM_SENSORS], [])


def memory_of(times: int, length: int) -> int:
    """Extra peak bytes of windows over the readings, and of an epoch of the pipeline's network over them."""
    torch.set_num_threads(1)
    values, first_row = random_readings(times)

    def epoch(num_readings: int) -> None:
        windows = Windows.of(values[:num_readings], first_row[:num_readings], length)
        columns = targets_of(torch.rand(num_readings))
        data = DeviceBatches({"row": torch.arange(num_readings), **columns}, BATCH_SIZE, seed=0)
        fit(own_network(), own_loss(windows), data, settings("fp32"))

    epoch(4 * BATCH_SIZE)  # what the first steps of any training take is there before
    return with_extra_peak(lambda: epoch(len(values)))[1]


SECTIONS = {"training": training, "scoring": scoring, "memory": memory}


if __name__ == "__main__":
    run_sections(SECTIONS, parser_of(__doc__, SECTIONS))
