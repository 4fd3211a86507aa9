"""A small world whose order is known: users and items in four clusters, every kind of model fitted on it once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from pipelines.recommender.config import (
    EvaluationConfig,
    ExplanationConfig,
    LinearConfig,
    NetworkConfig,
    RecommenderConfig,
    ServingConfig,
    TrainingConfig,
    tiny,
)
from pipelines.recommender.features import Catalogue
from pipelines.recommender.histories import Histories
from pipelines.recommender.linear import FromHistory
from pipelines.recommender.ranker import Ranker, Users
from pipelines.recommender.rankers import TITLES
from pipelines.recommender.score import Scorer
from pipelines.recommender.train import Judge, Selected, Trainer

CLUSTERS, ITEMS_OF_A_CLUSTER, NUM_USERS, HISTORY = 4, 14, 96, 9
START = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fixed(FromHistory):
    """Scores that are given: a row for each user, whatever the history. The row travels as the vector."""

    table: Tensor

    @property
    def num_items(self) -> int:
        return self.table.shape[1]

    def known(self, histories: Histories, index: Tensor) -> Users:
        return Users(histories, self.table[index])

    def fold_in(self, histories: Histories, start: Tensor | None = None) -> Users:
        return Users(histories, self.table[: len(histories)])

    def scores(self, users: Users) -> Tensor:
        assert users.vectors is not None
        return users.vectors.clone()


@pytest.fixture(scope="session")
def fixed() -> type[Fixed]:
    """`fixed(table)` ranks by a table of given scores."""
    return Fixed


@pytest.fixture(scope="session")
def histories_of() -> Callable[..., Histories]:
    """`histories_of([{1, 2}, {}], num_items)`: histories from a set of items, or item -> weight, for each user."""

    def build(sets: Iterable[Iterable[int]], num_items: int) -> Histories:
        listed = [had if isinstance(had, Mapping) else dict.fromkeys(had, 1.0) for had in sets]
        rows = [(user, item, weight) for user, had in enumerate(listed) for item, weight in had.items()]
        users, items, weights = zip(*rows, strict=True) if rows else ((), (), ())
        return Histories.of_pairs(
            torch.tensor(users, dtype=torch.int64),
            torch.tensor(items, dtype=torch.int64),
            torch.tensor(weights, dtype=torch.float32),
            len(listed),
            num_items,
        )

    return build


@dataclass(frozen=True)
class World:
    """The clustered world, its parts, and every kind of model after both stages."""

    config: RecommenderConfig
    catalogue: Catalogue
    train: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame
    judge: Judge
    selected: Mapping[str, Selected]
    final: Mapping[str, Ranker]

    @property
    def before(self) -> pl.DataFrame:
        return pl.concat([self.train, self.validation])

    @property
    def histories(self) -> Histories:
        return self.catalogue.histories(self.before)

    def scorer(self, kind: str) -> Scorer:
        return Scorer(self.config, kind, self.final[kind], self.catalogue, self.histories, "7")

    @staticmethod
    def cluster(item_id: str) -> int:
        return int(item_id.split("-")[1])


def clustered(seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Interactions in the order of time, four of five within the user's cluster, and a table of items, four of
    which nobody has had."""
    random = np.random.default_rng(seed)
    items = [
        f"i-{cluster}-{number:02}" for cluster in range(CLUSTERS) for number in range(ITEMS_OF_A_CLUSTER)
    ]
    rows = []
    for user in range(NUM_USERS):
        chance = np.full(len(items), 0.2 / len(items))
        own = slice(user % CLUSTERS * ITEMS_OF_A_CLUSTER, (user % CLUSTERS + 1) * ITEMS_OF_A_CLUSTER)
        popular = 1.0 / np.arange(1, ITEMS_OF_A_CLUSTER + 1) ** 0.5
        chance[own] += 0.8 * popular / popular.sum()
        for day, item in enumerate(
            random.choice(len(items), HISTORY, replace=False, p=chance / chance.sum())
        ):
            rows.append((f"u{user:03}", items[item], START + timedelta(days=day), 1.0 + user % 3))
    cold = [f"i-{cluster}-cold" for cluster in range(CLUSTERS)]
    table = pl.DataFrame({"item_id": items + cold}).with_columns(
        title="Title of " + pl.col("item_id"), kind="kind " + pl.col("item_id").str.slice(2, 1)
    )
    columns = ["user_id", "item_id", "interacted_at", "weight"]
    return pl.DataFrame(rows, schema=columns, orient="row"), table


@pytest.fixture(scope="session")
def small_config() -> RecommenderConfig:
    return tiny().model_copy(
        update={
            "linear": LinearConfig(
                ease_regularisation=(20.0, 200.0),
                knn_neighbours=(20,),
                knn_target_exponent=(0.0, 0.5),
                knn_user_exponent=(0.5,),
                ials_factors=8,
                ials_regularisation=(0.01,),
                ials_unobserved_weight=(0.2,),
                ials_sweeps=5,
            ),
            "network": NetworkConfig(mf_factors=8, gmf_factors=6, tower=(12, 10, 6)),
            "training": TrainingConfig(
                epochs=14,
                batch_size=256,
                learning_rate=0.03,
                weight_decay=(0.0,),
                mf_weight_decay=(0.01,),
                patience=7,  # an MLP is no better than popularity for some epochs, then learns all at once
            ),
            "evaluation": EvaluationConfig(num_bootstraps=60, num_sampled_negatives=20),
            "explanation": ExplanationConfig(num_checked=20),
            "serving": ServingConfig(top_n=5, fold_in_steps=60),
        }
    )


@pytest.fixture(scope="session")
def world(small_config: RecommenderConfig) -> World:
    interactions, items = clustered()
    place = pl.int_range(pl.len()).over("user_id")
    train, validation, test = (
        interactions.filter(part)
        for part in (place < HISTORY - 2, place == HISTORY - 2, place == HISTORY - 1)
    )
    catalogue = Catalogue.fit(pl.concat([train, validation]), items)
    seen, next_ones = catalogue.histories(train), catalogue.histories(validation)
    judge = Judge.of(seen, next_ones, max_users=1000, memory_mb=64, seed=0)
    trainer = Trainer(small_config, catalogue)
    selected: dict[str, Selected] = {}
    final: dict[str, Ranker] = {}
    for kind in TITLES:
        before = {name: model.ranker for name, model in selected.items()}
        selected[kind] = trainer.select(kind, seen, judge, before)
        final[kind] = trainer.final(kind, seen.union(next_ones), selected[kind].best, final)
    return World(small_config, catalogue, train, validation, test, judge, selected, final)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
