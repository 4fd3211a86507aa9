"""Recommender: how its memory grows with the data.

    python -m tests.benchmarks.recommender_memory [--sizes 1200x800 12000x2400 120000x8000] [--json]

For each size of the generator the peak memory that a stage takes beyond what was in use before it: the data (prepare,
divide, catalogue, histories), one epoch of NeuMF, and ranking the catalogue for 10,000 users, for which 256 MB are
set aside. Beside it what a table of users x items floats would take, which nothing here ever holds. Every size has a
process of its own, warmed up with a small world. Needs Linux. Prints Markdown, or with --json one line a measurement.
"""

import argparse
import ctypes
import gc
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import polars as pl
import torch

from pipelines.recommender.config import RecommenderConfig
from pipelines.recommender.features import Catalogue
from pipelines.recommender.generator import generate
from pipelines.recommender.histories import Histories
from pipelines.recommender.prepare import prepare
from pipelines.recommender.protocol import divide
from pipelines.recommender.ranker import Ranker
from pipelines.recommender.ranking import Ranked, top_items
from tests.benchmarks.recommender import final_network

Result = TypeVar("Result")

SIZES = ("1200x800", "12000x2400", "120000x8000")
NUM_RANKED, LIST_LENGTH = 10_000, 20
_RESET_PEAK = "5"  # proc(5), clear_refs


@dataclass(frozen=True, slots=True)
class Growth:
    """Extra peak bytes of the stages at one size."""

    num_users: int
    num_items: int
    num_interactions: int
    stages: dict[str, int]

    def to_row(self) -> str:
        cells = [
            f"{taken / 1e6:,.0f} ({taken / self.num_interactions:,.0f})" for taken in self.stages.values()
        ]
        dense = 4 * self.num_users * self.num_items / 1e6
        size = f"{self.num_users:,} x {self.num_items:,} | {self.num_interactions:,}"
        return f"| {size} | {' | '.join(cells)} | {dense:,.0f} |"

    def to_json(self) -> str:
        size = f"{self.num_users}x{self.num_items}"
        return "\n".join(
            json.dumps(
                {
                    "id": f"{stage}, {size}",
                    "value": taken / 1e6,
                    "unit": "MB",
                    "bytes_per_interaction": taken / self.num_interactions,
                }
            )
            for stage, taken in self.stages.items()
        )


def in_own_process(work: Callable[..., Result], *arguments: object) -> Result:
    """So that what came before neither fills the memory nor lends it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def with_extra_peak(work: Callable[[], Result]) -> tuple[Result, int]:
    """The result, and the peak of resident memory beyond what was resident before, in bytes."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # memory that was freed but kept would hide as much of the new
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    before = _resident("VmRSS")
    result = work()
    return result, max(0, _resident("VmHWM") - before)


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def prepared_histories(interactions: pl.DataFrame) -> Histories:
    """What the pipeline does to a table before it trains."""
    config = RecommenderConfig()
    division = divide(prepare(interactions, config.data).frame, config.protocol, config.seed)
    before = pl.concat([division.train, division.validation])
    return Catalogue.fit(before).histories(before)


def ranked_lists(ranker: Ranker, histories: Histories) -> Ranked:
    """The best items of the first users, as the pipeline ranks them."""
    index = torch.arange(min(NUM_RANKED, len(histories)))
    past = histories.select(index)
    memory_mb = RecommenderConfig().evaluation.memory_mb
    return top_items(ranker, ranker.known(past, index), past, LIST_LENGTH, memory_mb=memory_mb)


def growth_at(num_users: int, num_items: int) -> Growth:
    """All stages at one size, one after the other in this process."""
    torch.set_num_threads(1)
    small = prepared_histories(generate(300, 200, seed=0).tables.interactions)
    ranked_lists(final_network(small), small)
    interactions = generate(num_users, num_items, seed=0).tables.interactions
    histories, of_data = with_extra_peak(lambda: prepared_histories(interactions))
    ranker, of_epoch = with_extra_peak(lambda: final_network(histories))
    _, of_ranking = with_extra_peak(lambda: ranked_lists(ranker, histories))
    stages = {"data": of_data, "one epoch": of_epoch, "ranking": of_ranking}
    return Growth(num_users, num_items, len(interactions), stages)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="users x items, as in 1200x800")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.json:
        stages = "data, MB (bytes an interaction) | one epoch | ranking 10,000 users"
        print(f"| users x items | interactions | {stages} | users x items floats, MB |")
        print("|---|--:|--:|--:|--:|--:|", flush=True)
    for size in options.sizes:
        num_users, num_items = map(int, size.split("x"))
        growth = in_own_process(growth_at, num_users, num_items)
        print(growth.to_json() if options.json else growth.to_row(), flush=True)


if __name__ == "__main__":
    main()
