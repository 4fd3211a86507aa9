"""On the generator the truth is known: the best possible ranking, and which items are really alike."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from pipelines.recommender.config import DataConfig
from pipelines.recommender.features import Catalogue
from pipelines.recommender.generator import Truth, generate
from pipelines.recommender.histories import Histories
from pipelines.recommender.linear import FromHistory
from pipelines.recommender.ranker import Users


@dataclass(frozen=True, slots=True)
class Oracle(FromHistory):
    """Ranks by the true utilities at the time of the test: what no model can beat but by luck.

    users, times: of each user of the catalogue; columns: of each item in the utilities.
    """

    truth: Truth
    users: pl.Series
    times: pl.Series
    columns: Tensor

    @property
    def num_items(self) -> int:
        return len(self.columns)

    def known(self, histories: Histories, index: Tensor) -> Users:
        return Users(histories, index[:, None])

    def scores(self, users: Users) -> Tensor:
        assert users.vectors is not None
        rows = users.vectors[:, 0].numpy()
        utilities = torch.from_numpy(self.truth.utility(self.users[rows], self.times[rows]))
        return utilities[:, self.columns].float()


def oracle(catalogue: Catalogue, test: pl.DataFrame, config: DataConfig, seed: int) -> Oracle:
    """The ranking of somebody who knows every user's tastes at the time of his first tested interaction."""
    generated = generate(config.num_users, config.num_items, seed)
    first = test.group_by("user_id").agg(pl.col("interacted_at").min())
    users = pl.DataFrame({"user_id": catalogue.users}).join(
        first, on="user_id", how="left", maintain_order="left"
    )
    latest = test["interacted_at"].max()
    columns = _columns(generated.tables.items, catalogue.items)
    return Oracle(generated.truth, catalogue.users, users["interacted_at"].fill_null(latest), columns)


def likeness(catalogue: Catalogue, config: DataConfig, seed: int) -> Callable[[Tensor, Tensor], np.ndarray]:
    """True likeness of items of the catalogue by index: (n,), (m,) -> (n, m)."""
    truth = generate(config.num_users, config.num_items, seed).truth

    def alike(first: Tensor, second: Tensor) -> np.ndarray:
        return truth.similarity(catalogue.items[first.numpy()], catalogue.items[second.numpy()])

    return alike


def _columns(items: pl.DataFrame | None, wanted: pl.Series) -> Tensor:
    assert items is not None
    places = items.select("item_id").with_row_index("place")
    found = pl.DataFrame({"item_id": wanted}).join(places, on="item_id", how="left", maintain_order="left")
    return torch.from_numpy(found["place"].cast(pl.Int64).to_numpy(writable=True))
