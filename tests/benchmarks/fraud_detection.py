"""Fraud detection: training and scoring beside bare loops, the features of a whole table, one payment at a time.

    python -m tests.benchmarks.fraud_detection [--rounds 5] [--cpu-time] [--only training|...] [--json]

Training: an autoencoder 30-64-32-16-32-64-30 on 284,807 rows in batches of 256, by `fit` and by a bare loop; then the
ensemble of the default configuration, whose row counts once for each member, beside a bare loop over one member.
Scoring: the first network in parts of 4,096 rows, where the pipeline scales a table of float64 first; then `Scorer`
from transactions to alerts, to alerts with their reasons, and what explains them alone. Features: of the Handbook's
table (`FIELDWORK_DATA`; without it generated payments of its size), each round in a process of its own; memory is the
peak beyond the table. Streaming: 2,000 payments one by one.

Contenders alternate, in a new order each round; the ratio is to the first of them in the same round. On a busy
machine --cpu-time with one thread counts the time that the process got. Needs Linux. Prints Markdown, median
(smallest to largest), or with --json one line a measurement.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from itertools import pairwise

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from pipelines.fraud_detection.config import DataConfig, TrainingConfig, quick
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
SIZES = (30, (64, 32), 16)  # inputs, hidden units, code
LEARNING_RATE = 2e-3
SCORED_AT_ONCE = 4_096  # as many as in the pipeline
HANDBOOK_SIZE = (5_000, 10_000, 183)  # customers, terminals, days
NUM_EXPLAINED, NUM_STREAMED = 100, 2_000
# Polars gives back what reading freed about half a second later; until then it would hide as much of the new.
ALLOCATOR_SECONDS = 2.0

Sizes = tuple[int, tuple[int, ...], int]
Work = Callable[[], object]
Clock = Callable[[], float]
Sections = Mapping[str, Callable[[argparse.Namespace], Iterable[Measured]]]


def clock_of(cpu_time: bool) -> Clock:
    return time.process_time if cpu_time else time.perf_counter


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
            rates[name].append(num_rows / seconds_of(work, clock_of(options.cpu_time)))
    reference = next(iter(rates.values()))
    for name, values in rates.items():
        ratios = [mine / first for mine, first in zip(values, reference, strict=True)]
        yield Measured(name, "rows/s", values, ratios)


def usual_autoencoder(num_inputs: int, hidden_sizes: tuple[int, ...], code_size: int) -> nn.Sequential:
    """The network of the pipeline as most write it."""

    def tower(sizes: tuple[int, ...]) -> nn.Sequential:
        layers = [each for pair in pairwise(sizes) for each in (nn.Linear(*pair), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    there = (num_inputs, *hidden_sizes, code_size)
    return nn.Sequential(tower(there), tower(there[::-1]))


def train_bare(network: nn.Module, rows: Tensor, batch_size: int) -> None:
    """One epoch over rows in memory, shuffled at once, with the fused kernel of AdamW."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    for batch in rows[torch.randperm(len(rows))].split(batch_size):
        optimiser.zero_grad(set_to_none=True)
        nn.functional.mse_loss(network(batch), batch).backward()
        optimiser.step()


def train_pipeline(network: Autoencoder, rows: Tensor, batch_size: int) -> None:
    """One epoch as the pipeline fits an autoencoder for the last time."""
    settings = FitSettings(
        epochs=1, learning_rate=LEARNING_RATE, monitor="train_loss", restore_best=False, device="cpu"
    )
    fit(network, reconstruction_loss, DeviceBatches({"x": rows}, batch_size, seed=0), settings)


def training(options: argparse.Namespace) -> Iterator[Measured]:
    """One network, then the default ensemble beside one of its members."""
    yield from trained("one network", SIZES, 1, BATCH_SIZE, options)
    config = quick()
    model, num_inputs = config.model, len(feature_names(config.features, labelled=True))
    sizes = (num_inputs, model.hidden_sizes, model.code_size)
    yield from trained("default ensemble", sizes, model.num_members, config.training.batch_size, options)


def trained(
    name: str, sizes: Sizes, num_members: int, batch_size: int, options: argparse.Namespace
) -> Iterator[Measured]:
    rows = torch.randn(NUM_ROWS, sizes[0])

    def by_hand() -> None:
        train_bare(usual_autoencoder(*sizes), rows, batch_size)

    def by_fit() -> None:
        train_pipeline(Autoencoder(*sizes, num_members=num_members), rows, batch_size)

    contenders = {"bare loop": (by_hand, NUM_ROWS), f"fit of {num_members}": (by_fit, num_members * NUM_ROWS)}
    yield from compared({f"{name}, {how}": each for how, each in contenders.items()}, options)


def scoring(options: argparse.Namespace) -> Iterator[Measured]:
    """The autoencoder alone, then everything from transactions to alerts."""
    rows = torch.randn(NUM_ROWS, SIZES[0])
    usual = usual_autoencoder(*SIZES)
    detector = with_errors(Autoencoder(*SIZES), rows)
    table = pl.from_numpy(rows.double().numpy())
    scaling, limit = Scaling.fit(table, table.columns), quick().model.scoring_limit
    contenders: dict[str, tuple[Work, int]] = {
        "scoring, bare loop": (lambda: bare_scores(usual, rows), NUM_ROWS),
        "scoring, pipeline": (lambda: anomaly_scores(detector, scaling, table, limit), NUM_ROWS),
    }
    yield from compared(contenders, options)

    scorer, week = fitted_scorer()
    num_rows, num_alerts = len(week), int(scorer.score(week)["alert"].sum())

    def with_reasons() -> None:
        features = scorer.features_of(week)
        scorer.explained(features, scorer.alerts(week, features))

    contenders = {
        f"alerts of {num_rows:,}, {len(scorer.history):,} before": (lambda: scorer.score(week), num_rows),
        f"alerts, {num_alerts:,} explained": (with_reasons, num_rows),
    }
    yield from compared(contenders, options)
    some = scorer.features_of(week[:NUM_EXPLAINED])
    yield from compared({"explanations": (lambda: scorer.explain(some), len(some))}, options)


def bare_scores(network: nn.Module, rows: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([(network(part) - part).square().mean(1) for part in rows.split(SCORED_AT_ONCE)])


@cache
def fitted_scorer() -> tuple[Scorer, pl.DataFrame]:
    """A scorer of the default size, trained for two epochs, and the transactions of its test week."""
    config = quick().model_copy(update={"training": TrainingConfig(epochs=2, head_epochs=2)})
    frame = load_transactions("synthetic", config.data, seed=0).frame
    features = compute_features(frame, config.features)
    table = pl.concat([frame, features.drop("transaction_id", "amount")], how="horizontal")
    delay = config.features.label_delay_days
    parts = divide(table, folds(table["time"], config.protocol, delay)[-1], delay)
    names = feature_names(config.features, labelled=True)
    fitted = Trainer(config, names).fit_fold(parts, with_head=True)
    usual = usual_rows(not_known_as_fraud(parts.train), names, config.explanation.num_background, seed=0)
    history = frame.filter(pl.col("time") < parts.fold.test_start)
    return Scorer.of(fitted, usual, history, config, labelled=True), parts.test.select(frame.columns)


def features(options: argparse.Namespace) -> Iterator[Measured]:
    """Seconds and extra memory of the features of all transactions."""
    runs = [in_own_process(features_of_all, options.cpu_time) for _ in range(options.rounds)]
    num_rows, seconds, extras = zip(*runs, strict=True)
    yield Measured(f"all features of {num_rows[0]:,}", "s", list(seconds), [])
    yield Measured("extra memory", "MB", [extra / 1e6 for extra in extras], [])


def features_of_all(cpu_time: bool) -> tuple[int, float, int]:
    """Transactions, seconds and extra peak bytes."""
    try:
        frame = load_transactions("fraud_handbook", DataConfig(), seed=0).frame
    except RequestError:
        frame = generate(*HANDBOOK_SIZE, seed=0).frame
    compute = partial(compute_features, config=quick().features)
    compute(frame[:1_000])
    time.sleep(ALLOCATOR_SECONDS)
    seconds, extra = with_extra_peak(lambda: seconds_of(lambda: compute(frame), clock_of(cpu_time)))
    return len(frame), seconds, extra


def streaming(options: argparse.Namespace) -> Iterator[Measured]:
    """Milliseconds of single payments, each of which is then part of what is known."""
    scorer, week = fitted_scorer()
    payments = [Transaction(*row) for row in week[:NUM_STREAMED].select(Transaction._fields).iter_rows()]
    clock = clock_of(options.cpu_time)
    found: dict[str, list[list[float]]] = {"features alone": [], "score": []}
    for _ in range(options.rounds):
        for name, rounds in found.items():
            live = LiveScorer.begin(scorer)
            observe = live.observe if name == "score" else live.state.observe
            rounds.append([seconds_of(partial(observe, payment), clock) for payment in payments])
    for name, rounds in found.items():
        for percent in (50, 99):
            values = [1e3 * float(np.percentile(times, percent)) for times in rounds]
            yield Measured(f"one payment, {name}, p{percent}", "ms", values, [])


SECTIONS = {"training": training, "scoring": scoring, "features": features, "streaming": streaming}


def parser_of(description: str | None, sections: Sections, *, threads: int = 1) -> argparse.ArgumentParser:
    """The options that every benchmark of a pipeline has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=threads)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--only", choices=sections)
    parser.add_argument("--json", action="store_true")
    return parser


def run_sections(sections: Sections, parser: argparse.ArgumentParser) -> None:
    """Measure and show all sections, or the one that is asked for."""
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    keep_freed_memory()  # as `fit` does
    for name, section in sections.items():
        if options.only in (None, name):
            show(name, section(options), as_json=options.json)


if __name__ == "__main__":
    run_sections(SECTIONS, parser_of(__doc__, SECTIONS))
