"""What `fit` costs beside a bare PyTorch loop over tensors in memory, what a DataLoader costs, and from which
size on embedding tables are better updated row by row.

    python tests/benchmarks/training.py [--rounds 9] [--threads 1] [--cpu-time] [--only tables]

All contenders run in one process, one after the other in every round and in a new order each round, so that
the noise of the machine falls on all of them. On a machine that is busy with other work, --cpu-time with one
thread counts the time that the process got instead of the time that passed. Prints a Markdown table: rows per
second of the median round, and the ratio to the bare loop of the same round, median (smallest to largest). For
tables the same of updates per second and the ratio to dense fused Adam.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from shared.training.batches import Batch, DeviceBatches
from shared.training.fit import fit
from shared.training.row_adam import RowAdam
from shared.training.runtime import keep_freed_memory
from shared.training.settings import FitSettings

LEARNING_RATE = 1e-3
UPDATES_PER_ROUND = 20
TABLE_SIZES = [  # rows of each of the two tables, batch size
    (10_000, 256), (10_000, 2_048), (20_000, 2_048), (50_000, 2_048), (100_000, 2_048), (1_000_000, 2_048),
    (50_000, 16_384), (100_000, 16_384), (1_000_000, 16_384),
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    name: str
    network: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Batch], Tensor]
    tensors: dict[str, Tensor]
    batch_size: int
    num_epochs: int

    @property
    def num_rows(self) -> int:
        return len(self.tensors["y"])


class TwoEmbeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Embedding(5000, 32), nn.Embedding(2000, 32)
        self.head = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.head(torch.cat([self.left(left), self.right(right)], dim=1))


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(23, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, 16, 7, stride=2), nn.ReLU(), nn.Conv1d(16, 32, 5, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 1),
    )  # fmt: skip


def loss_of_x(model: nn.Module, batch: Batch) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(model(batch["x"]), batch["y"])


def loss_of_pairs(model: nn.Module, batch: Batch) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(model(batch["left"], batch["right"]), batch["y"])


def cases() -> list[Case]:
    def labels(num_rows: int) -> Tensor:
        return (torch.rand(num_rows, 1) < 0.3).float()

    table = {"x": torch.randn(30_000, 23), "y": labels(30_000)}
    pairs = {
        "left": torch.randint(5000, (100_000,)),
        "right": torch.randint(2000, (100_000,)),
        "y": labels(100_000),
    }
    signals = {"x": torch.randn(4_000, 1, 187), "y": labels(4_000)}
    return [
        Case("MLP 23-64-64-1, batch 512", perceptron, loss_of_x, table, 512, 5),
        Case("embeddings + MLP, batch 2048", TwoEmbeddings, loss_of_pairs, pairs, 2048, 3),
        Case("1-D convolutions, batch 64", convolutions, loss_of_x, signals, 64, 3),
    ]


def train_bare(case: Case, model: nn.Module) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    for _ in range(case.num_epochs):
        order = torch.randperm(case.num_rows)
        for begin in range(0, case.num_rows, case.batch_size):
            rows = order[begin : begin + case.batch_size]
            batch = {name: tensor[rows] for name, tensor in case.tensors.items()}
            optimizer.zero_grad(set_to_none=True)
            case.loss(model, batch).backward()
            optimizer.step()


def train_with_loader(case: Case, model: nn.Module) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    loader = DataLoader(TensorDataset(*case.tensors.values()), case.batch_size, shuffle=True)
    for _ in range(case.num_epochs):
        for columns in loader:
            optimizer.zero_grad(set_to_none=True)
            case.loss(model, dict(zip(case.tensors, columns, strict=True))).backward()
            optimizer.step()


def train_with_fit(case: Case, model: nn.Module) -> None:
    data = DeviceBatches(case.tensors, case.batch_size, seed=0)
    fit(model, case.loss, data, FitSettings(epochs=case.num_epochs, learning_rate=LEARNING_RATE))


CONTENDERS = {"bare loop": train_bare, "fit": train_with_fit, "DataLoader": train_with_loader}


def rates_of(case: Case, num_rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Rows per second by contender, one figure per round; a first round warms up and is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for round_number in range(num_rounds + 1):
        for name in random.sample(list(CONTENDERS), len(CONTENDERS)):
            torch.manual_seed(0)
            model = case.network()
            begin = clock()
            CONTENDERS[name](case, model)
            seconds = clock() - begin
            if round_number:
                rates[name].append(case.num_rows * case.num_epochs / seconds)
    return rates


def short_run_cost_ms(num_runs: int) -> tuple[float, float]:
    """Median milliseconds of a whole run over 500 rows for one epoch: bare, fit."""
    table = {"x": torch.randn(500, 23), "y": torch.zeros(500, 1)}
    case = Case("short", perceptron, loss_of_x, table, 128, 1)
    times: dict[str, list[float]] = {"bare loop": [], "fit": []}
    for _ in range(num_runs):
        for name in times:
            model = perceptron()
            begin = time.perf_counter()
            CONTENDERS[name](case, model)
            times[name].append(1e3 * (time.perf_counter() - begin))
    return statistics.median(times["bare loop"]), statistics.median(times["fit"])


class UsersAndItems(nn.Module):
    """Product of two embeddings beside a perceptron over both, as in neural collaborative filtering."""

    def __init__(self, num_rows: int, *, sparse: bool) -> None:
        super().__init__()
        self.users = nn.Embedding(num_rows, 40, sparse=sparse)
        self.items = nn.Embedding(num_rows, 40, sparse=sparse)
        self.perceptron = nn.Sequential(nn.Linear(80, 40), nn.ReLU(), nn.Linear(40, 20), nn.ReLU())
        self.head = nn.Linear(60, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        user, item = self.users(left), self.items(right)
        return self.head(torch.cat([user * item, self.perceptron(torch.cat([user, item], dim=1))], dim=1))


TABLE_OPTIMIZERS: dict[str, type[torch.optim.Optimizer] | None] = {
    "dense fused Adam": None,
    "RowAdam": RowAdam,
    "torch SparseAdam": torch.optim.SparseAdam,
}


class TableUpdates:
    """Updates of one network by one way, on batches of uniformly drawn rows."""

    def __init__(self, name: str, num_rows: int) -> None:
        kind = TABLE_OPTIMIZERS[name]
        self.model = UsersAndItems(num_rows, sparse=kind is not None)
        tables = [self.model.users.weight, self.model.items.weight]
        apart = {id(table) for table in tables if kind is not None}
        dense = [each for each in self.model.parameters() if id(each) not in apart]
        self.optimizers: list[torch.optim.Optimizer] = [torch.optim.Adam(dense, lr=LEARNING_RATE, fused=True)]
        if kind is not None:
            self.optimizers.append(kind(tables, lr=LEARNING_RATE))

    def run(self, batches: list[Batch]) -> None:
        for batch in batches:
            self.model.zero_grad(set_to_none=True)
            loss_of_pairs(self.model, batch).backward()
            for optimizer in self.optimizers:
                optimizer.step()


def print_table_updates(num_rounds: int, clock: Callable[[], float]) -> None:
    print("| tables | batch | optimiser | updates/s | ratio to dense fused Adam |\n|---|---:|---|---:|---:|")
    for num_rows, batch_size in TABLE_SIZES:
        contenders = {name: TableUpdates(name, num_rows) for name in TABLE_OPTIMIZERS}
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for round_number in range(num_rounds + 1):
            batches = [
                {
                    "left": torch.randint(num_rows, (batch_size,)),
                    "right": torch.randint(num_rows, (batch_size,)),
                    "y": (torch.rand(batch_size, 1) < 0.3).float(),
                }
                for _ in range(UPDATES_PER_ROUND)
            ]
            for name in random.sample(list(contenders), len(contenders)):
                begin = clock()
                contenders[name].run(batches)
                if round_number:
                    rates[name].append(UPDATES_PER_ROUND / (clock() - begin))
        for name, values in rates.items():
            spread = spread_of(values, rates["dense fused Adam"])
            rate = statistics.median(values)
            print(f"| 2 x {num_rows:,} x 40 | {batch_size:,} | {name} | {rate:,.0f} | {spread} |", flush=True)


def spread_of(rates: list[float], reference: list[float]) -> str:
    """Median (smallest to largest) of the ratios of the rounds."""
    ratios = [mine / other for mine, other in zip(rates, reference, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def print_fits(num_rounds: int, clock: Callable[[], float]) -> None:
    print("| case | contender | rows/s | ratio to the bare loop |\n|---|---|---:|---:|")
    for case in cases():
        rates = rates_of(case, num_rounds, clock)
        for name, values in rates.items():
            spread = spread_of(values, rates["bare loop"])
            print(f"| {case.name} | {name} | {statistics.median(values):,.0f} | {spread} |")
    bare, ours = short_run_cost_ms(30)
    print(f"\nA whole run over 500 rows for one epoch: bare loop {bare:.1f} ms, fit {ours:.1f} ms.\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--only", choices=["fits", "tables"])
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    torch.set_num_threads(arguments.threads)
    kind = "CPU time" if arguments.cpu_time else "wall time"
    print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.rounds} rounds, {kind}\n")
    if arguments.only != "tables":
        print_fits(arguments.rounds, clock)
    if arguments.only != "fits":
        keep_freed_memory()  # as `fit` does
        print_table_updates(arguments.rounds, clock)


if __name__ == "__main__":
    main()
