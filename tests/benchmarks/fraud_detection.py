"""Fraud detection: training and scoring beside bare loops, the features of a whole table, one payment at a time.

    python -m tests.benchmarks.fraud_detection [--rounds 5] [--cpu-time] [--only training|...] [--json]

Training: an autoencoder 30-64-32-16-32-64-30 on 284,807 rows in batches of 256, by `fit` and by a bare loop; then the
ensemble of the default configuration, whose row counts once for each member, beside a bare loop over one member.
Scoring: the first network in parts of 4,096 rows, where the pipeline scales a table first and computes in float64;
then `Scorer.score` from transactions to alerts, of which those within the budget get reasons. Features: of the
Handbook's table (`FIELDWORK_DATA`; without it generated payments of its size), each round in a process of its own;
memory is the peak beyond the table. Streaming: 2,000 payments one by one.

Contenders alternate, in a new order each round; the ratio is to the first of them in the same round. On a busy
machine --cpu-time with one thread counts the time that the process got. Needs Linux. Prints Markdown, median
(smallest to largest), or with --json one line a measurement.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import pairwise

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from pipelines.fraud_detection.config import DataConfig, FraudConfig, quick
from pipelines.fraud_detection.data import load_transactions
from pipelines.fraud_detection.explain import usual_rows
from pipelines.fraud_detection.features import compute_features, feature_names
from pipelines.fraud_detection.generator import generate
from pipelines.fraud_detection.live import LiveScorer
from pipelines.fraud_detection.model import Autoencoder, reconstruction_loss
from pipelines.fraud_detection.protocol import divide, folds
from pipelines.fraud_detection.scaling import Scaling
from pipelines.fraud_detection.score import Scorer
from pipelines.fraud_detection.streaming import Transaction
from pipelines.fraud_detection.train import Trainer, anomaly_scores, not_known_as_fraud, with_errors
from shared.errors import RequestError
from shared.training.batches import DeviceBatches
from shared.training.fit import fit
from shared.training.runtime import keep_freed_memory
from shared.training.settings import FitSettings
from tests.benchmarks.recommender import Measured, show
from tests.benchmarks.recommender_memory import in_own_process, with_extra_peak

NUM_ROWS, BATCH_SIZE = 284_807, 256
NUM_INPUTS, HIDDEN_SIZES, CODE_SIZE = 30, (64, 32), 16
LEARNING_RATE = 2e-3
SCORED_AT_ONCE = 4_096  # as many as in the pipeline
HANDBOOK_SIZE = (5_000, 10_000, 183)  # customers, terminals, days
NUM_STREAMED = 2_000

Work = Callable[[], object]
Clock = Callable[[], float]


def clock_of(options: argparse.Namespace) -> Clock:
    return time.process_time if options.cpu_time else time.perf_counter


def seconds_of(work: Work, clock: Clock) -> float:
    begin = clock()
    work()
    return clock() - begin


def compared(contenders: Mapping[str, tuple[Work, int]], options: argparse.Namespace) -> Iterator[Measured]:
    """Rows per second of contenders, given with how many rows they work through, after one run that does not count."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for work, _ in contenders.values():
        work()
    for _ in range(options.rounds):
        for name in random.sample(list(contenders), len(contenders)):
            work, num_rows = contenders[name]
            rates[name].append(num_rows / seconds_of(work, clock_of(options)))
    reference = next(iter(rates.values()))
    for name, values in rates.items():
        ratios = [mine / first for mine, first in zip(values, reference, strict=True)]
        yield Measured(name, "rows/s", values, ratios)


def usual_autoencoder(sizes: tuple[int, ...]) -> nn.Sequential:
    """The network of the pipeline as most write it; its code, the narrowest layer, has no ReLU behind it."""
    layers: list[nn.Module] = []
    for below, above in pairwise(sizes):
        layers += [nn.Linear(below, above)]
        if above not in (min(sizes), sizes[-1]):
            layers += [nn.ReLU()]
    return nn.Sequential(*layers)


def train_bare(rows: Tensor, sizes: tuple[int, ...], batch_size: int) -> nn.Sequential:
    """One epoch over rows in memory, shuffled at once, with the fused kernel of AdamW."""
    network = usual_autoencoder(sizes)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    for batch in rows[torch.randperm(len(rows))].split(batch_size):
        optimiser.zero_grad(set_to_none=True)
        nn.functional.mse_loss(network(batch), batch).backward()
        optimiser.step()
    return network


def train_pipeline(rows: Tensor, build: Callable[[], Autoencoder], batch_size: int) -> nn.Module:
    """One epoch as the pipeline fits an autoencoder for the last time."""
    settings = FitSettings(
        epochs=1, learning_rate=LEARNING_RATE, monitor="train_loss", restore_best=False, device="cpu"
    )
    return fit(build(), reconstruction_loss, DeviceBatches({"x": rows}, batch_size, seed=0), settings).model


def mirrored(num_inputs: int, hidden_sizes: tuple[int, ...], code_size: int) -> tuple[int, ...]:
    """Sizes of all layers of an autoencoder."""
    return (num_inputs, *hidden_sizes, code_size, *reversed(hidden_sizes), num_inputs)


def training(options: argparse.Namespace) -> Iterator[Measured]:
    """One network, then the default ensemble beside one of its members."""
    rows = torch.randn(NUM_ROWS, NUM_INPUTS)
    sizes = mirrored(NUM_INPUTS, HIDDEN_SIZES, CODE_SIZE)
    single = partial(Autoencoder, NUM_INPUTS, HIDDEN_SIZES, CODE_SIZE)
    contenders: dict[str, tuple[Work, int]] = {
        "one network, bare loop": (lambda: train_bare(rows, sizes, BATCH_SIZE), NUM_ROWS),
        "one network, fit": (lambda: train_pipeline(rows, single, BATCH_SIZE), NUM_ROWS),
    }
    yield from compared(contenders, options)

    config = quick()
    model, batch_size = config.model, config.training.batch_size
    rows = torch.randn(NUM_ROWS, len(feature_names(config.features, labelled=True)))
    sizes = mirrored(rows.shape[1], model.hidden_sizes, model.code_size)
    ensemble = partial(
        Autoencoder, rows.shape[1], model.hidden_sizes, model.code_size, num_members=model.num_members
    )
    contenders = {
        f"{'-'.join(map(str, sizes))}, bare loop": (lambda: train_bare(rows, sizes, batch_size), NUM_ROWS),
        f"{model.num_members} of them, fit, members x rows": (
            lambda: train_pipeline(rows, ensemble, batch_size),
            model.num_members * NUM_ROWS,
        ),
    }
    yield from compared(contenders, options)


def scoring(options: argparse.Namespace) -> Iterator[Measured]:
    """The autoencoder alone, then everything from transactions to alerts."""
    rows = torch.randn(NUM_ROWS, NUM_INPUTS)
    usual = usual_autoencoder(mirrored(NUM_INPUTS, HIDDEN_SIZES, CODE_SIZE))
    detector = with_errors(Autoencoder(NUM_INPUTS, HIDDEN_SIZES, CODE_SIZE), rows).double()
    table = pl.from_numpy(rows.double().numpy())
    scaling = Scaling.fit(table, table.columns)
    contenders: dict[str, tuple[Work, int]] = {
        "one network, bare loop": (lambda: bare_scores(usual, rows), NUM_ROWS),
        "one network, bare loop, float64": (lambda: bare_scores(usual64, rows64), NUM_ROWS),
        "one network, pipeline": (lambda: anomaly_scores(detector, scaling, table, limit=50.0), NUM_ROWS),
    }
    usual64, rows64 = usual_autoencoder(mirrored(NUM_INPUTS, HIDDEN_SIZES, CODE_SIZE)).double(), rows.double()
    yield from compared(contenders, options)

    scorer, week = fitted_scorer()
    num_alerts = int(scorer.score(week)["alert"].sum())
    contenders = {
        f"alerts of {len(week):,}, {len(scorer.history):,} before": (lambda: scorer.score(week), len(week)),
        f"alerts, {num_alerts:,} with reasons": (lambda: scorer.score(week, explain=True), len(week)),
    }
    yield from compared(contenders, options)


def bare_scores(network: nn.Module, rows: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([(network(part) - part).square().mean(1) for part in rows.split(SCORED_AT_ONCE)])


@cache
def fitted_scorer() -> tuple[Scorer, pl.DataFrame]:
    """A scorer of the default size, trained for two epochs, and the transactions of its test week."""
    config = quick()
    short = config.training.model_copy(update={"epochs": 2, "head_epochs": 2})
    config = config.model_copy(update={"training": short})
    frame = generate(config.data.num_customers, config.data.num_terminals, config.data.num_days, 0).frame
    features = compute_features(frame, config.features)
    table = pl.concat([frame, features.drop("transaction_id", "amount")], how="horizontal")
    delay = config.features.label_delay_days
    parts = divide(table, folds(table["time"], config.protocol, delay)[-1], delay)
    names = feature_names(config.features, labelled=True)
    fitted = Trainer(config, names).fit_fold(parts, with_head=True)
    usual = usual_rows(not_known_as_fraud(parts.train), names, config.explanation.num_background, seed=0)
    history = frame.filter(pl.col("time") < parts.fold.test_start)
    week = parts.test.select(frame.columns)
    return Scorer.of(fitted, usual, history, config, labelled=True), week


def features(options: argparse.Namespace) -> Iterator[Measured]:
    """Seconds and extra memory of the features of all transactions."""
    runs = [in_own_process(features_of_all, options.cpu_time) for _ in range(options.rounds)]
    num_rows, seconds, extras = zip(*runs, strict=True)
    yield Measured(f"all features of {num_rows[0]:,}", "s", list(seconds), [])
    yield Measured("extra memory", "MB", [extra / 1e6 for extra in extras], [])


def features_of_all(cpu_time: bool) -> tuple[int, float, int]:
    """Transactions, seconds and extra peak bytes."""
    clock = clock_of(argparse.Namespace(cpu_time=cpu_time))
    try:
        frame = load_transactions("fraud_handbook", DataConfig(), seed=0).frame
    except RequestError:
        frame = generate(*HANDBOOK_SIZE, seed=0).frame
    config = FraudConfig().features
    compute_features(frame[:1_000], config)
    seconds, extra = with_extra_peak(lambda: seconds_of(lambda: compute_features(frame, config), clock))
    return len(frame), seconds, extra


def streaming(options: argparse.Namespace) -> Iterator[Measured]:
    """Milliseconds of single payments, each of which is then part of what is known."""
    scorer, week = fitted_scorer()
    columns = week[:NUM_STREAMED].select(Transaction._fields)
    payments = [Transaction(*row) for row in columns.iter_rows()]
    found: dict[str, list[np.ndarray]] = {"features alone": [], "score": []}
    for _ in range(options.rounds):
        for name, times in found.items():
            live = LiveScorer.begin(scorer)
            observe: Callable[[Transaction], object] = (
                live.observe if name == "score" else live.state.observe
            )
            calls = [seconds_of(partial(observe, payment), clock_of(options)) for payment in payments]
            times.append(1e3 * np.array(calls))
    for name, rounds in found.items():
        for percent in (50, 99):
            values = [float(np.percentile(times, percent)) for times in rounds]
            yield Measured(f"one payment, {name}, p{percent}", "ms", values, [])


SECTIONS = {"training": training, "scoring": scoring, "features": features, "streaming": streaming}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--only", choices=SECTIONS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    keep_freed_memory()  # as `fit` does
    for name, section in SECTIONS.items():
        if options.only in (None, name):
            show(name, section(options), as_json=options.json)


if __name__ == "__main__":
    main()
