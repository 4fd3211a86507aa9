"""Recommender: training of NeuMF beside a bare loop and beside a DataLoader.

    python -m tests.benchmarks.recommender [--rounds 5] [--threads 1] [--cpu-time] [--batch 256 2048 16384] [--json]

6,040 users, 3,706 items and 200,000 positives by a power law, with 4 negatives each; a sample is a positive or a
negative. Everything is in the time: building the network, what tells seen items from unseen ones, drawing the
negatives of every epoch. The bare loop has the vectors of GMF and MLP in one table and a fused optimiser; the
DataLoader has what comes with it in most programs, four tables and Adam as it is. Both shuffle single samples, and
the batches of the pipeline keep a positive and its negatives together.

Contenders alternate, in a new order each round; the ratio is to the bare loop of the same round. On a busy machine
--cpu-time with one thread counts the time that the process got. Prints Markdown, median (smallest to largest), or
with --json one line a measurement: `--batch 2048 --contender pipeline --json` is a part of somebody else's rounds.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pipelines.recommender.config import NetworkConfig, RecommenderConfig, TrainingConfig
from pipelines.recommender.features import Catalogue
from pipelines.recommender.histories import Histories
from pipelines.recommender.ranker import Ranker
from pipelines.recommender.train import Trainer, Trial
from shared.training.runtime import keep_freed_memory

NUM_USERS, NUM_ITEMS, NUM_POSITIVES, NUM_NEGATIVES = 6_040, 3_706, 200_000, 4
NUM_FACTORS, TOWER = 8, (64, 32, 16, 8)
WIDTHS = [NUM_FACTORS, TOWER[0] // 2]  # of the vectors of GMF and MLP
BATCH_SIZES = (256, 2_048, 16_384)
LEARNING_RATE = 1e-3
NUM_EPOCHS = 2
Samples = tuple[Tensor, Tensor, Tensor]  # users, items, labels


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure for each round, and its ratios to the reference of the round, if there is one."""

    name: str
    unit: str
    values: list[float]
    ratios: list[float]

    def to_json(self) -> str:
        ratio = statistics.median(self.ratios) if self.ratios else None
        value = statistics.median(self.values)
        return json.dumps(
            {"id": self.name, "value": value, "unit": self.unit, "ratio": ratio, "values": self.values}
        )

    def to_row(self) -> str:
        return f"| {self.name} | {spread_of(self.values)} | {self.unit} | {spread_of(self.ratios)} |"


def spread_of(values: list[float]) -> str:
    """Median (smallest to largest), with three digits or as many as whole numbers have."""
    if not values:
        return ""
    median, low, high = (
        f"{each:,.0f}" if each >= 100 else f"{each:.3g}"
        for each in (statistics.median(values), min(values), max(values))
    )
    return median if len(values) == 1 else f"{median} ({low} to {high})"


def show(title: str, measured: Iterable[Measured], *, as_json: bool) -> None:
    """Prints each measurement as soon as it is there."""
    if not as_json:
        print(f"\n| {title} | median | unit | ratio |\n|---|---:|---|---:|", flush=True)
    for each in measured:
        print(each.to_json() if as_json else each.to_row(), flush=True)


@cache
def positives() -> Histories:
    """Distinct pairs: users and items are drawn by powers of their ranks."""
    rng = np.random.default_rng(0)
    of_users, of_items = ((1.0 + np.arange(n)) ** -power for n, power in ((NUM_USERS, 0.5), (NUM_ITEMS, 0.8)))
    found = np.zeros(0, np.int64)
    while len(found) < NUM_POSITIVES:
        users = rng.choice(NUM_USERS, NUM_POSITIVES, p=of_users / of_users.sum())
        items = rng.choice(NUM_ITEMS, NUM_POSITIVES, p=of_items / of_items.sum())
        found = np.union1d(found, users * NUM_ITEMS + items)
    codes = torch.from_numpy(rng.permutation(found)[:NUM_POSITIVES])
    return Histories.of_pairs(
        codes // NUM_ITEMS, codes % NUM_ITEMS, torch.ones(NUM_POSITIVES), NUM_USERS, NUM_ITEMS
    )


class UsualNeuMF(nn.Module):
    """The network of the pipeline as most write it: one layer over both vectors, a row for each sample.

    The vectors for GMF and MLP have a table each, or lie side by side in one.
    """

    def __init__(self, *, one_table: bool) -> None:
        super().__init__()
        widths = [sum(WIDTHS)] if one_table else WIDTHS
        self.users = nn.ModuleList(nn.Embedding(NUM_USERS, width) for width in widths)
        self.items = nn.ModuleList(nn.Embedding(NUM_ITEMS, width) for width in widths)
        for table in (*self.users, *self.items):
            nn.init.normal_(table.weight, std=0.05)
        layers = [(nn.Linear(below, above), nn.ReLU()) for below, above in pairwise(TOWER)]
        self.tower = nn.Sequential(*(each for pair in layers for each in pair))
        self.output = nn.Linear(NUM_FACTORS + TOWER[-1], 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        (user_factors, user), (item_factors, item) = (
            tables[0](rows).split(WIDTHS, 1) if len(tables) == 1 else [table(rows) for table in tables]
            for tables, rows in ((self.users, users), (self.items, items))
        )
        hidden = self.tower(torch.cat([user, item], dim=1))
        logits: Tensor = self.output(torch.cat([user_factors * item_factors, hidden], dim=1))
        return logits.squeeze(1)


def train_usual(epochs: Iterable[Iterable[Samples]], *, fused: bool) -> None:
    """The loop of everybody; `fused` stands for one table and the fused kernel of Adam."""
    network = UsualNeuMF(one_table=fused)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=fused)
    for epoch in epochs:
        for users, items, labels in epoch:
            optimiser.zero_grad(set_to_none=True)
            nn.functional.binary_cross_entropy_with_logits(network(users, items), labels).backward()
            optimiser.step()


def train_bare(batch_size: int, num_epochs: int) -> None:
    """Tensors in memory; negatives are drawn for all at once and redrawn where a table knows them."""
    histories = positives()
    users, items = histories.users, histories.items
    seen = torch.zeros(NUM_USERS, NUM_ITEMS, dtype=torch.bool)
    seen[users, items] = True
    everybody = torch.cat([users, users.repeat_interleave(NUM_NEGATIVES)])
    labels = (torch.arange(len(everybody)) < len(users)).float()

    def epoch() -> Iterator[Samples]:
        of_whom = everybody[len(users) :]
        drawn = torch.randint(NUM_ITEMS, of_whom.shape)
        while len(wrong := seen[of_whom, drawn].nonzero().squeeze(1)):
            drawn[wrong] = torch.randint(NUM_ITEMS, wrong.shape)
        order = torch.randperm(len(everybody))
        columns = [each[order].split(batch_size) for each in (everybody, torch.cat([items, drawn]), labels)]
        yield from zip(*columns, strict=True)

    train_usual((epoch() for _ in range(num_epochs)), fused=True)


class PairSet(Dataset[tuple[int, int, float]]):
    """One sample at a time from Python lists; `resample` draws the negatives of an epoch."""

    def __init__(self, histories: Histories) -> None:
        self.had = list(zip(histories.users.tolist(), histories.items.tolist(), strict=True))
        self.known = set(self.had)
        self.pairs = self.had

    def resample(self) -> None:
        not_had = []
        for user, _ in self.had:
            for _ in range(NUM_NEGATIVES):
                item = random.randrange(NUM_ITEMS)
                while (user, item) in self.known:
                    item = random.randrange(NUM_ITEMS)
                not_had.append((user, item))
        self.pairs = self.had + not_had

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, place: int) -> tuple[int, int, float]:
        return *self.pairs[place], float(place < len(self.had))


def train_with_loader(batch_size: int, num_epochs: int) -> None:
    """A DataLoader over single samples, without workers."""
    pairs = PairSet(positives())
    loader = DataLoader(pairs, batch_size, shuffle=True)

    def epoch() -> Iterator[Samples]:
        pairs.resample()
        for users, items, labels in loader:
            yield users, items, labels.float()

    train_usual((epoch() for _ in range(num_epochs)), fused=False)


def train_pipeline(batch_size: int, num_epochs: int) -> None:
    """What the pipeline does when it fits a network for the last time."""
    final_network(positives(), batch_size, num_epochs)


def final_network(histories: Histories, batch_size: int = 2_048, num_epochs: int = 1) -> Ranker:
    """A NeuMF of the size measured here, trained by the pipeline."""
    config = RecommenderConfig(
        network=NetworkConfig(gmf_factors=NUM_FACTORS, tower=TOWER),
        training=TrainingConfig(
            batch_size=batch_size,
            num_negatives=NUM_NEGATIVES,
            learning_rate=LEARNING_RATE,
            weight_decay=(0.0,),
        ),
    )
    users, items = (
        pl.int_range(n, eager=True).cast(pl.String) for n in (len(histories), histories.num_items)
    )
    trainer = Trainer(config, Catalogue(users, items, num_warm=len(items)))
    return trainer.final("neumf_scratch", histories, Trial({"weight_decay": 0.0}, 0.0, num_epochs), {})


CONTENDERS: dict[str, tuple[Callable[[int, int], None], int]] = {  # with epochs a round
    "bare loop": (train_bare, NUM_EPOCHS),
    "pipeline": (train_pipeline, NUM_EPOCHS),
    "DataLoader": (train_with_loader, 1),
}


def training(options: argparse.Namespace) -> Iterator[Measured]:
    """Samples per second for each batch size and contender."""
    num_samples = NUM_POSITIVES * (1 + NUM_NEGATIVES)
    clock = time.process_time if options.cpu_time else time.perf_counter
    for batch_size in options.batch:
        rates: dict[str, list[float]] = {name: [] for name in options.contender}
        train_pipeline(batch_size, 1)
        for _ in range(options.rounds):
            for name in random.sample(options.contender, len(options.contender)):
                train, num_epochs = CONTENDERS[name]
                begin = clock()
                train(batch_size, num_epochs)
                rates[name].append(num_samples * num_epochs / (clock() - begin))
        for name, values in rates.items():
            ratios = [mine / bare for mine, bare in zip(values, rates.get("bare loop", []), strict=False)]
            yield Measured(f"{name}, batch {batch_size:,}", "samples/s", values, ratios)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--batch", type=int, nargs="+", default=BATCH_SIZES)
    parser.add_argument("--contender", choices=CONTENDERS, nargs="+", default=list(CONTENDERS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    keep_freed_memory()  # as `fit` does
    show("training of NeuMF", training(options), as_json=options.json)


if __name__ == "__main__":
    main()
