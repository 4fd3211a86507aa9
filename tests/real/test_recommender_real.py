"""What the project promises on public interactions: alternatives that work, and metrics that are not mixed up."""

import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

DATA = os.environ.get("FIELDWORK_DATA", "")

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="FIELDWORK_DATA names no folder with the public data sets"),
]


def run(fieldwork_in: Any, home: Path, source: str, *settings: str) -> tuple[Any, dict[str, Any]]:
    if not (Path(DATA) / source).is_dir():
        pytest.skip(f"{source} is not in {DATA}")
    fieldwork = fieldwork_in(home)
    options = [part for setting in settings for part in ("--set", setting)]
    command = ("run", "recommender", "--preset", "tiny", "--data", source, *options, "--quiet", "--json", "-")
    return fieldwork, fieldwork(*command).require_success().document


@pytest.fixture(scope="module")
def movielens(tmp_path_factory, fieldwork_in) -> tuple[Any, dict[str, Any]]:
    return run(
        fieldwork_in, tmp_path_factory.mktemp("movielens") / "home", "movielens_100k",
        "models=[popularity, ease, ials, gmf]", "serving.model=ease", "linear.ease_regularisation=[300]",
        "linear.ials_factors=32", "linear.ials_sweeps=8", "training.batch_size=4096",
    )  # fmt: skip


@pytest.fixture(scope="module")
def gowalla(tmp_path_factory, fieldwork_in) -> dict[str, Any]:
    _, document = run(
        fieldwork_in, tmp_path_factory.mktemp("gowalla") / "home", "gowalla",
        "models=[popularity, item_knn]", "serving.model=item_knn", "linear.knn_neighbours=[200]",
        "linear.knn_target_exponent=[0]", "linear.knn_user_exponent=[1]",
    )  # fmt: skip
    return document


def test_movielens_is_divided_by_time_with_all_users_tested(movielens):
    _, document = movielens
    assert document["contract"].startswith("interactions@")
    assert document["rows"] == {
        "in": 100_000, "quarantined": 0, "train": 98_114, "validation": 943, "test": 943,
    }  # fmt: skip
    for metrics in (document["metrics"], *document["baselines"].values()):
        for metric in metrics.values():
            assert metric["low"] <= metric["value"] <= metric["high"]
            assert metric["n"] == 943


def test_movielens_ease_and_ials_beat_popularity_outside_noise(movielens):
    _, document = movielens
    popularity = document["baselines"]["popularity"]["test/ndcg_at_20"]
    for metrics in (document["metrics"], document["baselines"]["ials"]):
        assert metrics["test/ndcg_at_20"]["low"] > popularity["high"]


def test_movielens_sampled_hit_rate_is_no_hit_rate_of_the_catalogue(movielens):
    """The most common mistake with this protocol: a hit among 100 items reported as one among all."""
    _, document = movielens
    for metrics in (document["metrics"], *document["baselines"].values()):
        sampled, full = metrics["test/hit_rate_at_10_sampled99"], metrics["test/hit_rate_at_10"]
        assert sampled["value"] > 2 * full["value"]
        assert sampled["low"] > full["high"]


def test_movielens_explanations_are_complete_and_faithful(movielens):
    _, document = movielens
    assert document["explanation"]["faithful"] is True
    assert document["explanation"]["completeness_error"] <= 1e-3
    assert document["model"]["promoted"] is True


def test_movielens_users_are_served_films_that_they_have_not_rated(movielens, tmp_path):
    fieldwork, _ = movielens
    rated = pl.read_csv(
        Path(DATA) / "movielens_100k" / "u.data", separator="\t", has_header=False,
        new_columns=["user_id", "item_id", "rating", "interacted_at"],
    )  # fmt: skip
    rated.write_csv(tmp_path / "rated.csv")
    out = tmp_path / "films.parquet"
    command = ("score", "recommender", tmp_path / "rated.csv", "--out", out, "--json", "-")
    rows = fieldwork(*command).require_success().document["rows"]
    assert rows == {
        "in": 100_000, "quarantined": 0, "scored": 9430, "users": 943, "fallback_users": 0,
    }  # fmt: skip
    films = pl.read_parquet(out)
    had = rated.select(pl.col("user_id", "item_id").cast(pl.String))
    assert films.join(had, on=["user_id", "item_id"], how="semi").is_empty()
    assert films["reason"].str.contains(r"Because of .+ \(19\d\d\)").mean() > 0.9, "films by their titles"


def test_gowalla_item_neighbours_reach_the_promised_floor_on_the_given_parts(gowalla):
    assert gowalla["rows"]["in"] == 1_027_370
    assert gowalla["rows"]["test"] == 217_242
    assert gowalla["metrics"]["test/recall_at_20"]["value"] >= 0.16
    assert gowalla["metrics"]["test/ndcg_at_20"]["value"] >= 0.135
    assert gowalla["metrics"]["test/ndcg_at_20"]["n"] == 29_858


def test_gowalla_item_neighbours_beat_popularity_outside_noise(gowalla):
    popularity = gowalla["baselines"]["popularity"]["test/ndcg_at_20"]
    assert gowalla["metrics"]["test/ndcg_at_20"]["low"] > popularity["high"]
