"""ECG anomaly detection: training beside bare loops, scoring of beats and whole recordings, and streaming.

    python -m tests.benchmarks.ecg_anomaly [--rounds 5] [--cpu-time] [--only training|scoring|recording] [--json]

Training: the convolutional autoencoder that most examples have (16-32-64, batch norm) over 87,000 beats of 256 samples
in batches of 128; the bare loop has a fused optimiser, the DataLoader stands for what training frameworks build on and
has Adam as it is. Then the pipeline's own network with its own loss and noise, which gathers beats from the signals,
beside a bare loop over a matrix of all inputs. Scoring: all beats of twenty patients beside a bare loop over such a
matrix, and one beat. Recording: 30 minutes from a WFDB file to alerts, and an hour as a stream in pieces of a second.

Contenders alternate, in a new order each round; the ratio is to the first of them in the same round. On a busy
machine --cpu-time with one thread counts the time that the process got. Prints Markdown, median (smallest to largest),
or with --json one line a measurement.
"""

import argparse
import tempfile
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
import wfdb
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from pipelines.ecg_anomaly.config import EcgConfig, ModelConfig, TrainingConfig, quick
from pipelines.ecg_anomaly.generator import generate
from pipelines.ecg_anomaly.inputs import BeatInputs
from pipelines.ecg_anomaly.model import BeatAutoencoder
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.rhythm import normal_beats
from pipelines.ecg_anomaly.schema import Record
from pipelines.ecg_anomaly.score import Scorer
from pipelines.ecg_anomaly.score_files import ToScore
from pipelines.ecg_anomaly.train import Trainer, anomaly_parts, new_autoencoder, reconstruction_loss
from shared.training.batches import Batch, DeviceBatches
from shared.training.fit import fit
from shared.training.settings import FitSettings, Precision
from tests.benchmarks.fraud_detection import Work, clock_of, compared, parser_of, run_sections, seconds_of
from tests.benchmarks.recommender import Measured

NUM_BEATS, NUM_SAMPLES, USUAL_BATCH = 87_000, 256, 128
LEARNING_RATE = 1e-3
NUM_PATIENTS, MINUTES = 20, 15.0
RECORD_MINUTES, STREAM_MINUTES = 30.0, 10.0
NUM_REQUESTS = 200


def usual_network() -> nn.Sequential:
    """1-16-32-64 and back, every layer halving or doubling the beat."""

    def down(num_in: int, num_out: int) -> list[nn.Module]:
        return [nn.Conv1d(num_in, num_out, 7, 2, 3), nn.BatchNorm1d(num_out), nn.ReLU()]

    def up(num_in: int, num_out: int) -> list[nn.Module]:
        return [nn.ConvTranspose1d(num_in, num_out, 8, 2, 3), nn.BatchNorm1d(num_out), nn.ReLU()]

    return nn.Sequential(
        *down(1, 16),
        *down(16, 32),
        *down(32, 64),
        *up(64, 32),
        *up(32, 16),
        nn.ConvTranspose1d(16, 1, 8, 2, 3),
    )


@cache
def random_beats() -> Tensor:
    return torch.randn(NUM_BEATS, 1, NUM_SAMPLES, generator=torch.Generator().manual_seed(0))


def train_usual_bare(precision: Precision) -> None:
    """One epoch over beats in memory."""
    beats, network = random_beats(), usual_network()
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    for rows in torch.randperm(len(beats)).split(USUAL_BATCH):
        batch = beats[rows]
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            found = network(batch)
        optimiser.zero_grad(set_to_none=True)
        nn.functional.mse_loss(found.float(), batch).backward()
        optimiser.step()


def train_usual_with_loader() -> None:
    """One epoch by a DataLoader over single beats, without workers."""
    network = usual_network()
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    for (batch,) in DataLoader(TensorDataset(random_beats()), USUAL_BATCH, shuffle=True):
        optimiser.zero_grad()
        nn.functional.mse_loss(network(batch), batch).backward()
        optimiser.step()


def train_usual_by_fit(precision: Precision) -> None:
    def loss(network: nn.Module, batch: Batch) -> Tensor:
        return nn.functional.mse_loss(network(batch["beat"]).float(), batch["beat"])

    data = DeviceBatches({"beat": random_beats()}, USUAL_BATCH, seed=0)
    fit(usual_network(), loss, data, settings(precision))


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


def config() -> EcgConfig:
    """The default sizes, trained for a few steps."""
    return quick().model_copy(update={"training": TrainingConfig(epochs=1, min_steps=1, head_epochs=1)})


@cache
def recordings() -> Recordings:
    made = generate(NUM_PATIENTS, MINUTES, 0).records
    return Recordings.of(made, config().signal, config().beats)


@cache
def inputs() -> BeatInputs:
    return BeatInputs.of(recordings(), config().beats)


@cache
def normal() -> Tensor:
    return torch.from_numpy(normal_beats(recordings(), np.arange(NUM_PATIENTS), 0.5))


@cache
def matrix() -> Tensor:
    """Inputs of all normal beats, (beats, 3, samples)."""
    return torch.cat([inputs().gather(part) for part in normal().split(4096)])


def own_network() -> BeatAutoencoder:
    return new_autoencoder(NUM_SAMPLES, ModelConfig())


def train_own_bare() -> None:
    """One epoch of the pipeline's network over a matrix of inputs, with the same loss."""
    beats, network = matrix(), own_network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-3, fused=True)
    for rows in torch.randperm(len(beats)).split(TrainingConfig().batch_size):
        optimiser.zero_grad(set_to_none=True)
        network.loss(beats[rows]).backward()
        optimiser.step()


def train_own_by_fit(precision: Precision) -> None:
    data = DeviceBatches({"beat": normal()}, TrainingConfig().batch_size, seed=0)
    fit(own_network(), reconstruction_loss(inputs()), data, settings(precision, weight_decay=1e-3))


def training(options: argparse.Namespace) -> Iterator[Measured]:
    """The usual network, then the pipeline's own."""
    usual = {
        "bare loop": partial(train_usual_bare, "fp32"),
        "bare loop, bf16": partial(train_usual_bare, "bf16"),
        "fit": partial(train_usual_by_fit, "fp32"),
        "fit, bf16": partial(train_usual_by_fit, "bf16"),
        "DataLoader": train_usual_with_loader,
    }
    own = {
        "bare loop": train_own_bare,
        "fit": partial(train_own_by_fit, "fp32"),
        "fit, bf16": partial(train_own_by_fit, "bf16"),
    }
    cases = {"autoencoder 1-16-32-64": (usual, NUM_BEATS), "the pipeline's own": (own, len(normal()))}
    for network, (contenders, num_beats) in cases.items():
        yield from compared(
            {f"{network}, {how}": (work, num_beats) for how, work in contenders.items()}, options
        )


@cache
def fitted_scorer() -> Scorer:
    trainer = Trainer(config(), recordings(), inputs())
    return Scorer.of(trainer.fit(np.arange(NUM_PATIENTS), "benchmark"), config())


def scoring(options: argparse.Namespace) -> Iterator[Measured]:
    """Beats whose inputs are cut already, by the network alone; from signals to scores; one beat."""
    scorer, beats = fitted_scorer(), normal().numpy()
    detector, seen, early = scorer.detector, matrix(), inputs().early[normal()]

    def by_hand() -> None:
        with torch.inference_mode():
            for part, at in zip(seen.split(2048), early.split(2048), strict=True):
                detector.parts(part, at)

    contenders: dict[str, tuple[Work, int]] = {
        "all beats, bare loop over inputs": (by_hand, len(beats)),
        "all beats, pipeline": (lambda: anomaly_parts(detector, inputs(), beats), len(beats)),
    }
    yield from compared(contenders, options)
    yield from milliseconds("one beat", lambda: anomaly_parts(detector, inputs(), beats[:1]), options)


def milliseconds(name: str, work: Work, options: argparse.Namespace) -> Iterator[Measured]:
    work()
    values = [1e3 * seconds_of(work, clock_of(options.cpu_time)) for _ in range(NUM_REQUESTS)]
    for percent in (50, 99):
        yield Measured(f"{name}, p{percent}", "ms", [float(np.percentile(values, percent))], [])


def recording(options: argparse.Namespace) -> Iterator[Measured]:
    """From a file to alerts, and sample by sample."""
    scorer = fitted_scorer()
    record = generate(1, RECORD_MINUTES, 1).records[0]
    clock = clock_of(options.cpu_time)
    with tempfile.TemporaryDirectory() as folder:
        path = write_record(Path(folder), record)
        for name, explain in (("alerts", False), ("alerts with heat", True)):
            work = partial(alerts_of, scorer, path, explain)
            work()
            values = [seconds_of(work, clock) for _ in range(options.rounds)]
            yield Measured(f"{RECORD_MINUTES:.0f} minutes from a file to {name}", "s", values, [])
    pieces = np.array_split(record.signal, int(RECORD_MINUTES * 60))[: int(STREAM_MINUTES * 60)]
    values = [
        seconds_of(lambda: streamed(scorer, record.rate_hz, pieces), clock) * 60 / STREAM_MINUTES
        for _ in range(options.rounds)
    ]
    yield Measured("an hour of signal as a stream", "s", values, [])


def alerts_of(scorer: Scorer, path: Path, explain: bool) -> None:
    read = ToScore.of(path, scorer)
    scorer.alerts(read.recordings, scorer.score_recordings(read.recordings), read.rates_hz, explain=explain)


def streamed(scorer: Scorer, rate_hz: float, pieces: list[np.ndarray]) -> None:
    stream = scorer.stream(rate_hz)
    for piece in pieces:
        stream.push(piece)
    stream.finish()


def write_record(folder: Path, record: Record) -> Path:
    """As WFDB in format 212, like MIT-BIH."""
    wfdb.wrsamp(
        "record",
        fs=record.rate_hz,
        units=["mV"],
        sig_name=[record.lead],
        p_signal=record.signal[:, None].astype(np.float64),
        fmt=["212"],
        adc_gain=[200],
        baseline=[0],
        write_dir=str(folder),
    )
    return folder / "record.hea"


SECTIONS = {"training": training, "scoring": scoring, "recording": recording}


if __name__ == "__main__":
    run_sections(SECTIONS, parser_of(__doc__, SECTIONS))
