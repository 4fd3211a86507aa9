"""The recommender on a table of one's own: any form, with and without times, parts, ratings and attributes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest


@pytest.fixture(scope="module")
def run(tmp_path_factory, fieldwork_in, tiny_recommender) -> Callable[..., dict[str, Any]]:
    """`run(path, *changes, models=...)` in one home for all, by default with models that train no network."""
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("sources") / "home")

    def run_on(path: Path, *changes: str, models: str = "item_knn") -> dict[str, Any]:
        little = (
            "evaluation.num_bootstraps=50",
            "explanation.num_checked=10",
            f"models=[popularity, {models}]",
        )
        options = [part for change in (*little, *changes) for part in ("--set", change)]
        command = (*tiny_recommender, "--data", path, *options, "--quiet", "--json", "-")
        document: dict[str, Any] = fieldwork(*command).require_success().document
        return document

    return run_on


@pytest.fixture(scope="module")
def rated(generated) -> pl.DataFrame:
    """Generated interactions with ratings from 1 to 5."""
    return generated.interactions.with_columns(rating=1.0 + pl.int_range(pl.len()) % 5)


def measured(document: dict[str, Any]) -> dict[str, Any]:
    return {key: document[key] for key in ("rows", "metrics", "baselines", "verdict")}


def evidence(document: dict[str, Any]) -> dict[str, Any]:
    text = (Path(document["model"]["bundle"]) / "metrics.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def plain(run, rated, tmp_path_factory) -> dict[str, Any]:
    """The run on the plain table, which others are compared with."""
    path = tmp_path_factory.mktemp("plain") / "own.parquet"
    rated.write_parquet(path)
    return run(path)


def test_own_table_is_divided_by_its_times(plain, rated):
    users = rated["user_id"].n_unique()
    assert plain["rows"] == {
        "in": len(rated), "quarantined": 0, "train": len(rated) - 2 * users, "validation": users, "test": users,
    }  # fmt: skip
    assert plain["contract"].startswith("interactions@")


def test_names_of_columns_format_and_order_of_rows_change_no_number(run, plain, rated, tmp_path):
    own = rated.select(
        pl.lit("web").alias("channel"),
        pl.col("interacted_at").dt.epoch("ms").alias("when"),
        pl.col("item_id").alias("product"),
        pl.col("user_id").alias("customer"),
        pl.col("rating").alias("stars"),
    )
    own.sample(fraction=1.0, shuffle=True, seed=3).write_csv(tmp_path / "own.csv")
    columns = "data.columns=[user_id=customer, item_id=product, interacted_at=when, rating=stars]"
    document = run(tmp_path / "own.csv", columns, "data.time_unit=ms")
    assert measured(document) == measured(plain)


def test_table_without_times_is_tested_on_one_interaction_of_each_user(run, plain, rated, tmp_path):
    rated.drop("interacted_at").write_csv(tmp_path / "own.csv")
    document = run(tmp_path / "own.csv")
    assert document["rows"] == plain["rows"]
    assert document["metrics"] != plain["metrics"], "drawn by a hash, not the last ones"


def test_given_parts_are_kept(run, generated, tmp_path):
    place = pl.int_range(pl.len()).over("user_id")
    part = pl.when(place % 5 == 4).then(pl.lit("test")).when(place % 5 == 3).then(pl.lit("validation"))
    table = generated.interactions.drop("interacted_at").with_columns(part=part.otherwise(pl.lit("train")))
    table.write_csv(tmp_path / "own.csv")
    rows = run(tmp_path / "own.csv")["rows"]
    counts = dict(table["part"].value_counts().iter_rows())
    assert {name: rows[name] for name in counts} == counts


def test_split_by_time_tests_on_the_latest_interactions(run, rated, tmp_path):
    rated.write_parquet(tmp_path / "own.parquet")
    rows = run(tmp_path / "own.parquet", "protocol.split=global_time")["rows"]
    assert rows["test"] == pytest.approx(0.1 * len(rated), abs=2)
    assert rows["validation"] == pytest.approx(0.1 * len(rated), abs=2)


def test_threshold_and_core_leave_out_what_they_say(run, rated, tmp_path):
    rated.write_parquet(tmp_path / "own.parquet")
    options = ("data.min_rating=2", "data.min_user_interactions=10", "data.min_item_interactions=8")
    rows = run(tmp_path / "own.parquet", *options)["rows"]
    core, size = rated.filter(pl.col("rating") >= 2), -1
    while len(core) != size:
        size = len(core)
        core = core.filter(pl.len().over("user_id") >= 10).filter(pl.len().over("item_id") >= 8)
    assert 500 < len(core) < len(rated) * 0.8
    assert rows["train"] + rows["validation"] + rows["test"] == len(core)
    assert rows["test"] == core["user_id"].n_unique()
    assert rows["in"] == len(rated)


def test_broken_rows_go_to_quarantine_and_the_run_goes_on(run, rated, tmp_path):
    broken = pl.int_range(pl.len()) % 100 == 7
    item = pl.when(broken).then(pl.lit(None)).otherwise("item_id").alias("item_id")
    rated.with_columns(item).write_csv(tmp_path / "own.csv")
    rows = run(tmp_path / "own.csv")["rows"]
    assert rows["quarantined"] == rated.select(broken.sum()).item() > 10
    assert rows["quarantined"] + rows["train"] + rows["validation"] + rows["test"] == rows["in"]


def test_attributes_of_an_own_table_make_the_hybrid_possible(run, rated, generated, tmp_path):
    rated.write_parquet(tmp_path / "own.parquet")
    generated.items.write_csv(tmp_path / "items.csv")
    generated.users.write_csv(tmp_path / "users.csv")
    attributes = (f"data.items={tmp_path / 'items.csv'}", f"data.users={tmp_path / 'users.csv'}")
    document = run(
        tmp_path / "own.parquet", *attributes, "training.epochs=1", "serving.model=hybrid", models="item_knn"
    )
    assert document["baselines"].keys() == {"popularity", "item_knn"}
    assert evidence(document)["served"] == "hybrid"


def test_hybrid_without_attributes_is_left_out_with_the_reason(run, rated, tmp_path):
    rated.write_parquet(tmp_path / "own.parquet")
    document = run(tmp_path / "own.parquet", models="hybrid")
    assert document["baselines"] == {}, "popularity alone is left, and served"
    assert "attributes" in evidence(document)["not_trained"]["hybrid"]
    assert document["verdict"].startswith("No network was trained.")
