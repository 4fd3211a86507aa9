"""Wrong requests to the recommender end with exit code 2 and plain lines, before anything is trained or published."""

from pathlib import Path

import polars as pl
import pytest

from tests.flows.bad_files import share, unreadable_tables

# What was expected, one line for each kind of violation, the way out.
CONTRACT_LINES = 3


@pytest.fixture
def table(generated) -> pl.DataFrame:
    return generated.interactions


def run_on(fieldwork, tiny_recommender, path: Path, *more: str):
    return fieldwork(*tiny_recommender, "--quiet", "--data", path, *more)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--set", "trainin.epochs=3"], ["trainin.epochs", "training"]),
        (["--set", "training.epoch=3"], ["training.epoch", "epochs"]),
        (["--set", "training.epochs=0"], ["training.epochs", "greater than or equal to 1"]),
        (["--set", "models=[forest]"], ["models", "'popularity'", "forest"]),
        (["--set", "models=[]"], ["models"]),
        (["--set", "serving.model=forest"], ["serving.model", "forest"]),
        (["--set", "serving.top_n=0"], ["serving.top_n", "greater than or equal to 1"]),
        (["--set", "protocol.split=random"], ["protocol.split", "random"]),
        (["--set", "linear.ease_regularisation=[]"], ["linear.ease_regularisation"]),
        (["--set", "linear.ease_regularisation=[-1]"], ["linear.ease_regularisation"]),
        (["--set", "linear.ials_regularisation=[-1]"], ["linear.ials_regularisation"]),
        (["--set", "linear.knn_neighbours=[0]"], ["linear.knn_neighbours"]),
        (["--set", "network.tower=[16, 0]"], ["network.tower"]),
        (["--set", "training.mf_weight_decay=[]"], ["training.mf_weight_decay"]),
        (["--data", "no_such_table"], ["no_such_table", "synthetic, movielens_100k, gowalla"]),
        (["--data", "german_credit"], ["german_credit", "another domain"]),
        (["--data", "/tmp"], ["/tmp", "folder"]),
        (["--data", "no/such/file.csv"], ["no/such/file.csv", "no such file"]),
        (["--set", "data.items=items.csv"], ["data.items", "synthetic"]),
        (["--set", "data.min_rating=3"], ["rating", "data.min_rating"]),
        (["--set", "protocol.split=given"], ["part", "protocol.split"]),
        (["--set", "data.min_user_interactions=1000"], ["data.min_user_interactions", "0 users"]),
    ],
)
def test_wrong_option_is_refused_at_once(fieldwork, tiny_recommender, options, parts):
    fieldwork(*tiny_recommender, "--quiet", *options).require_plain_failure(2, *parts)
    assert not (fieldwork.home / "checkpoints").exists()


def test_public_set_that_is_not_there_names_the_way_to_get_it(fieldwork, tiny_recommender, monkeypatch):
    monkeypatch.delenv("FIELDWORK_DATA", raising=False)
    fieldwork(*tiny_recommender, "--quiet", "--data", "movielens_100k").require_plain_failure(
        2, "movielens_100k", "fieldwork data fetch movielens_100k"
    )


@unreadable_tables(b"user_id,item_id", "Büro " + pl.col("item_id"))
def test_unreadable_table_is_a_wrong_request(fieldwork, tiny_recommender, tmp_path, table, write):
    path = write(tmp_path, table)
    run_on(fieldwork, tiny_recommender, path).require_plain_failure(2, path.name)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.drop("user_id"), ["user_id", "data.columns=[user_id=YOUR_COLUMN]"]),
        (lambda table: table.drop("item_id"), ["item_id", "data.columns=[item_id=YOUR_COLUMN]"]),
        (share("item_id", None, 0.2), ["item_id", "5 %"]),
        (share("user_id", " ", 0.2), ["user_id", "5 %"]),
        (share("interacted_at", "yesterday", 0.2), ["interacted_at", "5 %"]),
        (share("interacted_at", "1066-10-14T00:00:00Z", 0.2), ["interacted_at", "5 %"]),
        (share("rating", "good", 0.2), ["rating", "5 %"]),
        (share("rating", float("inf"), 0.2), ["rating", "5 %"]),
        (share("weight", float("nan"), 0.2), ["weight", "5 %"]),
        (share("weight", -1.0, 0.2), ["weight", "5 %"]),
        (lambda table: table.with_columns(part=pl.lit("exam")), ["part"]),
        (lambda table: table.with_columns(part=pl.lit("train")), ["none for test", "protocol.split"]),
        (lambda table: table.with_columns(user_id=pl.lit("me")), ["at least 20 users", "1 users"]),
        (lambda table: table.with_columns(item_id=pl.lit("it")), ["10 items", "1 items"]),
        (lambda table: table[:50], ["200 interactions", "50 interactions"]),
        (lambda table: pl.concat([table[:50]] * 20), ["repeated pairs"]),
    ],
    ids=[
        "no-user", "no-item", "null-item", "blank-user", "no-time", "time-out-of-range", "rating-as-text",
        "infinite-rating", "nan-weight", "negative-weight", "unknown-part", "no-test-part", "one-user", "one-item",
        "too-few-rows", "duplicates-alone",
    ],
)  # fmt: skip
def test_broken_contract_is_a_wrong_request(fieldwork, tiny_recommender, tmp_path, table, change, parts):
    whole = table.with_columns(rating=pl.lit(4.0), weight=pl.lit(1.0))
    change(whole).write_csv(tmp_path / "own.csv")
    outcome = run_on(fieldwork, tiny_recommender, tmp_path / "own.csv")
    outcome.require_plain_failure(2, *parts, most_lines=CONTRACT_LINES)
    assert not (fieldwork.home / "mlflow.db").exists()


@pytest.mark.parametrize("split", ["leave_last_out", "global_time"])
def test_division_by_time_without_times_names_the_way_out(
    fieldwork, tiny_recommender, tmp_path, table, split
):
    table.drop("interacted_at").write_csv(tmp_path / "own.csv")
    outcome = run_on(fieldwork, tiny_recommender, tmp_path / "own.csv", "--set", f"protocol.split={split}")
    outcome.require_plain_failure(2, "interacted_at", split, "protocol.split=auto")


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("data.columns=no/such/map.yaml", ["no/such/map.yaml"]),
        ("data.columns=[user_id=no_such_column]", ["no_such_column"]),
        ("data.columns=[usr_id=customer]", ["usr_id", "user_id"]),
        ("data.items=no/such/items.csv", ["data.items", "no such file"]),
        ("data.items={folder}/keyless.csv", ["item_id"]),
        ("data.items={folder}/twice.csv", ["item_attributes", "item_id"]),
        ("data.time_unit=weeks", ["data.time_unit", "weeks"]),
    ],
    ids=["no-map", "no-column", "no-name", "no-items", "items-without-key", "items-twice", "time-unit"],
)
def test_setting_that_does_not_fit_the_table_is_a_wrong_request(
    fieldwork, tiny_recommender, tmp_path, table, setting, parts
):
    table.write_csv(tmp_path / "own.csv")
    pl.DataFrame({"colour": ["red"]}).write_csv(tmp_path / "keyless.csv")
    pl.DataFrame({"item_id": ["i0001"] * 5, "colour": list("abcde")}).write_csv(tmp_path / "twice.csv")
    option = setting.format(folder=tmp_path)
    outcome = run_on(fieldwork, tiny_recommender, tmp_path / "own.csv", "--set", option)
    outcome.require_plain_failure(2, *parts, most_lines=CONTRACT_LINES)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (["serving.model=hybrid"], ["hybrid", "attributes"]),
        (["serving.model=ease", "linear.ease_max_items=50"], ["ease", "limit"]),
    ],
    ids=["hybrid-without-attributes", "ease-over-its-limit"],
)
def test_served_model_that_cannot_be_trained_is_a_wrong_request(
    fieldwork, tiny_recommender, few_models, tmp_path, table, settings, parts
):
    table.write_csv(tmp_path / "own.csv")
    options = [part for setting in settings for part in ("--set", setting)]
    outcome = run_on(fieldwork, tiny_recommender, tmp_path / "own.csv", *few_models, *options)
    outcome.require_plain_failure(2, *parts)


def test_pair_in_training_and_test_stops_the_run_and_is_named(fieldwork, tiny_recommender, tmp_path, table):
    place = pl.int_range(pl.len()).over("user_id")
    part = pl.when(place == 0).then(pl.lit("test")).when(place == 1).then(pl.lit("validation"))
    parted = table.drop("interacted_at").with_columns(part=part.otherwise(pl.lit("train")))
    planted = parted.filter(part="test").head(3).with_columns(part=pl.lit("train"))
    pl.concat([parted, planted]).write_csv(tmp_path / "own.csv")
    run_on(fieldwork, tiny_recommender, tmp_path / "own.csv").require_plain_failure(
        1, "3 pairs of user and item are in train and in test"
    )
    assert not (fieldwork.home / "mlflow.db").exists()


def test_contract_check_says_whether_a_run_would_take_the_file(fieldwork, tmp_path, table):
    table.write_csv(tmp_path / "good.csv")
    good = fieldwork("contract", "check", "interactions", tmp_path / "good.csv").require_success()
    assert f"{len(table):,} rows in, {len(table):,} valid, 0 to quarantine" in good.stdout
    share("item_id", None, 0.2)(table).write_csv(tmp_path / "bad.csv")
    bad = fieldwork("contract", "check", "interactions", tmp_path / "bad.csv")
    bad.require_plain_failure(2, "item_id", most_lines=CONTRACT_LINES)


def test_scoring_before_anything_was_published_says_what_to_run(fieldwork, tmp_path, table):
    table.write_csv(tmp_path / "own.csv")
    command = ("score", "recommender", tmp_path / "own.csv", "--out", tmp_path / "out.csv")
    fieldwork(*command).require_plain_failure(2, "fieldwork run recommender")
