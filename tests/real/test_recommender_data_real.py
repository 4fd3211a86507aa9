"""The public sets are read whole: every count is the published one, and every row keeps its contract."""

import os
from pathlib import Path

import polars as pl
import pytest

from pipelines.recommender.config import DataConfig, ProtocolConfig
from pipelines.recommender.data import load_tables
from pipelines.recommender.prepare import prepare
from pipelines.recommender.protocol import audit_division, divide
from pipelines.recommender.tables import Tables
from shared.contracts.contract import load
from shared.contracts.table import check_table

DATA = os.environ.get("FIELDWORK_DATA", "")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA, reason="FIELDWORK_DATA names no folder with the public data sets"),
]


def read(source: str) -> Tables:
    if not (Path(DATA) / source).is_dir():
        pytest.skip(f"{source} is not in {DATA}")
    return load_tables(source, DataConfig(), seed=0)


@pytest.fixture(scope="module")
def movielens() -> Tables:
    return read("movielens_100k")


@pytest.fixture(scope="module")
def gowalla() -> Tables:
    return read("gowalla")


def test_movielens_has_its_published_size_and_keeps_the_contracts(movielens):
    interactions = movielens.interactions
    sizes = (interactions.height, interactions["user_id"].n_unique(), interactions["item_id"].n_unique())
    assert sizes == (100_000, 943, 1682)
    for name, frame in (
        ("interactions", interactions),
        ("item_attributes", movielens.items),
        ("user_attributes", movielens.users),
    ):
        assert check_table(frame, load(name)).violations == ()


def test_movielens_is_of_1997_and_1998_and_its_films_have_their_genres(movielens):
    assert set(movielens.interactions["interacted_at"].dt.year()) == {1997, 1998}
    film = movielens.items.row(0, named=True)
    assert film == {
        "item_id": "1",
        "title": "Toy Story (1995)",
        "year": 1995,
        "genres": "Animation|Children's|Comedy",
    }
    assert (
        movielens.items.filter(pl.col("title").str.contains("é")).height > 0
    )  # Latin-1, not cut or replaced
    assert movielens.users.columns == ["user_id", "age", "gender", "occupation"]


def test_gowalla_has_its_published_size_and_division(gowalla):
    interactions = gowalla.interactions
    counts = dict(interactions["part"].value_counts().iter_rows())
    assert counts == {"train": 810_128, "test": 217_242}
    assert (interactions["user_id"].n_unique(), interactions["item_id"].n_unique()) == (29_858, 40_981)
    assert check_table(interactions, load("interactions")).violations == ()


@pytest.mark.parametrize("split", ["leave_last_out", "global_time", "leave_one_out"])
def test_movielens_divides_without_a_leak(movielens, split):
    frame = prepare(movielens.interactions, DataConfig()).frame
    division = divide(frame, ProtocolConfig(split=split), 0)
    audit_division(division).require()
    assert sum(part.height for part in division.parts().values()) == 100_000


def test_gowalla_keeps_its_test_part_and_has_no_leak(gowalla):
    frame = prepare(gowalla.interactions, DataConfig()).frame
    division = divide(frame, ProtocolConfig(), 0)
    assert audit_division(division).require().checks == ("repeated_pairs",)
    assert division.test.height == 217_242
    assert division.validation.height == pytest.approx(81_013, rel=0.01)
