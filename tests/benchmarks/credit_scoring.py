"""Credit scoring: training beside a bare loop, latency of one applicant, throughput of a batch, memory at 10x.

Run: python -m tests.benchmarks.credit_scoring [--rounds 5] [--rows 20000]. Training rounds are interleaved; the
ratio is to the bare loop of the same round, median (range). Prints Markdown.
"""

import argparse
import math
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import polars as pl
import torch

from pipelines.credit_scoring.config import CreditConfig, quick
from pipelines.credit_scoring.features import Features
from pipelines.credit_scoring.generator import SCHEMA, generate
from pipelines.credit_scoring.model import CreditNetwork, loss
from pipelines.credit_scoring.score import Scorer
from pipelines.credit_scoring.train import outcomes, train_network
from shared.evaluation.calibration import PlattScaling
from shared.training.fit import FitResult


def bare_epochs(training: pl.DataFrame, config: CreditConfig) -> float:
    """Rows per second of a hand-written loop: same network, batches, optimiser and schedule."""
    features = Features.fit(training, SCHEMA, config.model)
    x, y = features.transform(training), torch.tensor(outcomes(training), dtype=torch.float32)
    network = CreditNetwork(features, config.model)
    settings, num_rows = config.training, len(training)
    steps = math.ceil(num_rows / settings.batch_size)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=steps * settings.epochs
    )
    started = time.perf_counter()
    for _ in range(settings.epochs):
        network.train()
        order = torch.randperm(num_rows)
        for first in range(0, num_rows, settings.batch_size):
            rows = order[first : first + settings.batch_size]
            value = loss(network, {"x": x[rows], "target": y[rows]})
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
            schedule.step()
    return num_rows * settings.epochs / (time.perf_counter() - started)


def fitted(training: pl.DataFrame, config: CreditConfig) -> tuple[Features, FitResult]:
    """The pipeline's own training without validation, which the bare loop does not have either."""
    return train_network(training, None, SCHEMA, config, seed=0)


def seconds_of(work: Callable[[], object], repeats: int) -> np.ndarray:
    """Wall seconds of each call, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return np.array(times)


def peak_megabytes() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def train_table(rows: int, rounds: int, config: CreditConfig) -> Scorer:
    """Prints the training comparison; returns a scorer for the rest."""
    training = generate(rows, seed=1)
    ours, bare = [], []
    for _ in range(rounds):
        bare.append(bare_epochs(training, config))
        features, result = fitted(training, config)
        ours.append(result.samples_per_second)
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    print("| training, 8 members, batch 256 | rows/s | ratio to the bare loop |\n|---|---:|---:|")
    print(f"| bare loop | {statistics.median(bare):,.0f} | 1.00 |")
    print(
        f"| pipeline | {statistics.median(ours):,.0f} | {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}) |\n"
    )
    return Scorer(
        schema=SCHEMA, config=config, features=features, network=result.model,
        calibration=PlattScaling(1.0, 0.0), background=training[:100],
    )  # fmt: skip


def score_table(scorer: Scorer, rows: int) -> None:
    """Prints latency and throughput of scoring."""
    one, many = generate(1, seed=2), generate(rows, seed=3)
    latency = seconds_of(lambda: scorer.probability(one), 300) * 1e3
    decided = seconds_of(lambda: scorer.score(one), 50) * 1e3
    print("| scoring | |\n|---|---:|")
    print(
        f"| one applicant, probability, ms | {np.median(latency):.2f} (p99 {np.quantile(latency, 0.99):.2f}) |"
    )
    print(f"| one applicant, decision with reasons, ms | {np.median(decided):.2f} |")
    for name, work in (("probability", scorer.probability), ("decisions with reasons", scorer.score)):
        speed = rows / np.median(seconds_of(lambda work=work: work(many), 3))
        print(f"| batch, {name}, rows/s | {speed:,.0f} |")
    print(f"| peak memory after {rows:,} rows, MB | {peak_megabytes():,.0f} |")
    larger = pl.concat([many] * 10)
    scorer.probability(larger)
    print(f"| peak memory after {10 * rows:,} rows, MB | {peak_megabytes():,.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20_000)
    options = parser.parse_args()
    settings = quick()
    settings = settings.model_copy(update={"training": settings.training.model_copy(update={"epochs": 3})})
    score_table(train_table(options.rows, options.rounds, settings), options.rows)
