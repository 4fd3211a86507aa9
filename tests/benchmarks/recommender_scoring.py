"""Recommender: ranking a whole catalogue for everybody, and what serving takes.

    python -m tests.benchmarks.recommender_scoring [--rounds 3] [--users 29858] [--only ranking|serving] [--json]

Ranking: the 20 best of 40,981 items for the 29,858 users of Gowalla (`FIELDWORK_DATA`; without it generated data of
this size), each model in a process of its own; memory is the peak beyond what was in use before, of which 256 MB are
set aside for scores. The ratio is to the dot product of iALS. Then NeuMF's scores of some users with its first layer
split into a half for users and one for items, computed once, beside those by pairs. Serving: whole recommendations
with their reasons from a table, of users with trained vectors and of strangers, who are folded in. Vectors that time
does not depend on are random. Prints Markdown, median (smallest to largest), or with --json one line a measurement.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator
from functools import partial

import polars as pl
import torch

from pipelines.recommender.config import DataConfig, RecommenderConfig
from pipelines.recommender.data import load_tables
from pipelines.recommender.features import Catalogue
from pipelines.recommender.generator import generate
from pipelines.recommender.histories import Histories
from pipelines.recommender.ials import Ials
from pipelines.recommender.linear import ItemKnn, common_users
from pipelines.recommender.network_ranker import NetworkRanker, NetworkSettings
from pipelines.recommender.prepare import prepare
from pipelines.recommender.ranker import Ranker
from pipelines.recommender.ranking import top_items
from pipelines.recommender.score import Scorer
from shared.errors import RequestError
from tests.benchmarks.recommender import NUM_FACTORS, TOWER, Measured, final_network, show
from tests.benchmarks.recommender_memory import in_own_process, with_extra_peak

NUM_USERS, NUM_ITEMS = 29_858, 40_981  # of Gowalla
LIST_LENGTH, NUM_BY_PAIRS = 20, 16
SERVED_USERS, SERVED_ITEMS, SERVED_AT_ONCE = 6_040, 3_706, 1_000


def known_pairs() -> Histories:
    """What the users of Gowalla had for training."""
    try:
        interactions = load_tables("gowalla", DataConfig(), 0).interactions.filter(pl.col("part") == "train")
    except RequestError:
        interactions = generate(NUM_USERS, NUM_ITEMS, seed=0).tables.interactions
    return Catalogue.fit(interactions).histories(interactions)


def network_of(histories: Histories, num_factors: int, tower: tuple[int, ...]) -> NetworkRanker:
    """A network with random weights."""
    layout = NetworkSettings("neumf", len(histories), histories.num_items, num_factors, tower)
    return NetworkRanker(layout.build(), layout, fold_in_steps=60, integration_steps=16)


def ials_of(histories: Histories) -> Ials:
    return Ials(torch.randn(len(histories), 64), torch.randn(histories.num_items, 64), 0.01, 0.1)


def knn_of(histories: Histories) -> ItemKnn:
    return ItemKnn.fit(common_users(histories), histories, num_neighbours=50, target_exponent=0.5)


MODELS: dict[str, Callable[[Histories], Ranker]] = {
    "iALS-64": ials_of,
    "item neighbours, 50": knn_of,
    "GMF-64": lambda histories: network_of(histories, 64, ()),
    "NeuMF": lambda histories: network_of(histories, NUM_FACTORS, TOWER),
}


def rank_everybody(name: str, num_users: int) -> tuple[float, float, int, int]:
    """Wall seconds, CPU seconds, extra bytes, and how many users there were."""
    histories = known_pairs()
    ranker = MODELS[name](histories)
    index = torch.arange(min(num_users, len(histories)))
    seen = histories.select(index)
    users = ranker.known(seen, index)
    memory_mb = RecommenderConfig().evaluation.memory_mb
    begin, cpu_begin = time.perf_counter(), time.process_time()
    _, extra = with_extra_peak(lambda: top_items(ranker, users, seen, LIST_LENGTH, memory_mb=memory_mb))
    return time.perf_counter() - begin, time.process_time() - cpu_begin, extra, len(index)


def ranking(options: argparse.Namespace) -> Iterator[Measured]:
    """Models alternate in every round; the figures come at the end of all rounds."""
    runs = [
        {name: in_own_process(rank_everybody, name, options.users) for name in order}
        for order in (random.sample(list(MODELS), len(MODELS)) for _ in range(options.rounds))
    ]
    for name in MODELS:
        walls, cpus, extras, counts = zip(*(run[name] for run in runs), strict=True)
        ratios = [wall / run["iALS-64"][0] for wall, run in zip(walls, runs, strict=True)]
        yield Measured(f"{name}, {counts[0]:,} users", "s", list(walls), ratios)
        yield Measured(f"{name}, CPU time", "s", list(cpus), [])
        rates = [count / wall for count, wall in zip(counts, walls, strict=True)]
        yield Measured(f"{name}, rate", "users/s", rates, [])
        yield Measured(f"{name}, extra memory", "MB", [extra / 1e6 for extra in extras], [])
    yield from first_layer(options)


def first_layer(options: argparse.Namespace) -> Iterator[Measured]:
    """One thread: the scores of some users by halves of the first layer, and by pairs, of which each is computed."""
    network = network_of(known_pairs(), NUM_FACTORS, TOWER).network
    with torch.inference_mode():
        vectors = network.embeddings.user_vectors(torch.arange(NUM_BY_PAIRS))
        items = network.embeddings.all_items()[None]
        ways: dict[str, Callable[[], object]] = {
            "split first layer": lambda: network.catalogue_scores(vectors),
            "by pairs": lambda: [network.pairs(each[None], items) for each in vectors],
        }
        times = {name: seconds_of([way] * options.rounds) for name, way in ways.items()}
    for name, seconds in times.items():
        ratios = [mine / split for mine, split in zip(seconds, times["split first layer"], strict=True)]
        yield Measured(
            f"NeuMF, {name}, scores of a user", "ms", [1e3 * each / NUM_BY_PAIRS for each in seconds], ratios
        )


def serving(options: argparse.Namespace) -> Iterator[Measured]:
    """Users a second from one large table, and milliseconds for tables of one user."""
    config = RecommenderConfig()
    interactions = generate(SERVED_USERS, SERVED_ITEMS, seed=0).tables.interactions
    known = prepare(interactions, config.data).frame
    catalogue = Catalogue.fit(known)
    past = catalogue.histories(known)
    for kind, ranker in (("iALS-64", ials_of(past)), ("NeuMF", final_network(past))):
        scorer = Scorer(config, kind, ranker, catalogue, past)
        strangers = known.with_columns(user_id="new " + pl.col("user_id"))
        for way, table in (("trained vectors", known), ("folded in", strangers)):
            users = table["user_id"].unique().sort()
            many = table.filter(pl.col("user_id").is_in(users[:SERVED_AT_ONCE].implode()))
            seconds = seconds_of([partial(scorer.score, many)] * options.rounds)
            rates = [SERVED_AT_ONCE / each for each in seconds]
            yield Measured(f"{kind}, {way}, {SERVED_AT_ONCE:,} users", "users/s", rates, [])
            single = [table.filter(pl.col("user_id") == user) for user in users[:20]]
            seconds = seconds_of([partial(scorer.score, one) for one in single])
            yield Measured(f"{kind}, {way}, one user", "ms", [1e3 * each for each in seconds], [])


def seconds_of(calls: list[Callable[[], object]]) -> list[float]:
    """Wall seconds of each call, after one that is not counted."""
    calls[0]()
    times = []
    for call in calls:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return times


SECTIONS = {"ranking": ranking, "serving": serving}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of one operation; ranking has two workers")
    parser.add_argument("--users", type=int, default=NUM_USERS, help="how many of Gowalla's are ranked for")
    parser.add_argument("--only", choices=SECTIONS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    for name, section in SECTIONS.items():
        if options.only in (None, name):
            show(name, section(options), as_json=options.json)


if __name__ == "__main__":
    main()
