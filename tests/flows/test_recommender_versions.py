"""Several models of the recommender in one home: repeatability, the gate, the registry, every kind served."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

NETWORKS = ("mf", "gmf", "mlp", "neumf_scratch", "neumf", "hybrid")
LITTLE = ("--set", "evaluation.num_bootstraps=50", "--set", "explanation.num_checked=10")


@dataclass(frozen=True)
class History:
    """A home with four versions: popularity, EASE beside networks, the same again, and a factorisation of two factors
    that was hardly fitted."""

    fieldwork: Any
    documents: tuple[dict[str, Any], ...]
    outcomes: tuple[Any, ...]


@pytest.fixture(scope="module")
def history(
    tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any, tiny_recommender: Sequence[str]
) -> History:
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("history") / "home")
    command = (*tiny_recommender, *LITTLE, "--json", "-")
    with_networks = ("--set", "models=[ease, mf, neumf]", "--set", "serving.model=ease")
    changes = (
        ("--set", "models=[popularity]"),
        with_networks,
        (*with_networks, "--no-cache"),
        ("--set", "models=[popularity, ials]", "--set", "serving.model=ials", "--set", "linear.ials_factors=2",
         "--set", "linear.ials_sweeps=1"),
    )  # fmt: skip
    outcomes = tuple(fieldwork(*command, *more).require_success() for more in changes)
    return History(fieldwork, tuple(outcome.document for outcome in outcomes), outcomes)


def weights(document: dict[str, Any]) -> bytes:
    return (Path(document["model"]["bundle"]) / "model.safetensors").read_bytes()


def test_same_seed_gives_the_same_numbers_of_all_models_and_the_same_weights(history):
    _, first, repeated, _ = history.documents
    assert "reused" not in history.outcomes[2].stderr
    assert first["baselines"].keys() == {"popularity", "mf", "gmf", "mlp", "neumf"}
    for key in ("metrics", "baselines", "verdict", "explanation"):
        assert repeated[key] == first[key]
    assert weights(repeated) == weights(first)


def test_changed_models_repeat_only_what_they_concern(history):
    assert "Reused from an earlier run: ingest, split." in history.outcomes[3].stderr


def test_gate_promotes_the_better_and_the_equal_and_refuses_the_worse(history):
    models = [document["model"] for document in history.documents]
    decisions = [(model["version"], model["promoted"]) for model in models]
    assert decisions == [(1, True), (2, True), (3, True), (4, False)]
    assert "version 4: not promoted. Worse than version 3: NDCG@20 differs by −" in history.outcomes[3].stderr


def champion(history: History) -> str:
    listed = history.fieldwork("models", "list").require_success()
    [version] = [line.split()[1] for line in listed.stdout.splitlines() if " champion " in line]
    return version


def test_rollback_serves_the_version_before_and_promotion_brings_the_champion_back(
    history, generated, tmp_path
):
    generated.interactions.head(200).write_csv(tmp_path / "users.csv")
    command = ("score", "recommender", tmp_path / "users.csv", "--out", tmp_path / "out.csv", "--json", "-")

    def served_by(*options: str) -> str:
        version: str = history.fieldwork(*command, *options).require_success().document["version"]
        return version

    for version in ("2", "3"):  # whatever other tests of this home have published
        history.fieldwork("models", "promote", "recommender", version).require_success()
    assert champion(history) == served_by() == "3"
    assert served_by("--version", "1") == "1"
    outcome = history.fieldwork("models", "rollback", "recommender").require_success()
    assert outcome.stdout == "recommender: version 2 is champion again.\n"
    assert champion(history) == served_by() == "2"
    history.fieldwork("models", "promote", "recommender", "3").require_success()
    assert champion(history) == "3"


def test_version_that_is_not_there_is_a_wrong_request(history, generated, tmp_path):
    generated.interactions.head(200).write_csv(tmp_path / "users.csv")
    command = (
        "score",
        "recommender",
        tmp_path / "users.csv",
        "--out",
        tmp_path / "out.csv",
        "--version",
        "99",
    )
    history.fieldwork(*command).require_plain_failure(2, "'99'", "4, 3, 2, 1")
    assert not (tmp_path / "out.csv").exists()


def recommended(
    fieldwork: Any, version: int, table: pl.DataFrame, folder: Path
) -> tuple[dict[str, Any], pl.DataFrame]:
    """The summary and the explained recommendations of one version for the users of a table."""
    table.write_csv(folder / "users.csv")
    command = ("score", "recommender", folder / "users.csv", "--out", folder / "out.parquet", "--explain")
    outcome = fieldwork(*command, "--version", version, "--json", "-").require_success()
    return outcome.document, pl.read_parquet(folder / "out.parquet")


@pytest.fixture(scope="module")
def audience(generated) -> pl.DataFrame:
    """A few trained users, and new ones with the same histories."""
    known = generated.interactions.filter(pl.col("user_id") <= "u00008")
    return pl.concat([known, known.with_columns(user_id="new-" + pl.col("user_id"))])


@pytest.mark.parametrize("place", [1, 3], ids=["ease", "ials"])
def test_contributions_of_a_linear_model_are_its_scores(history, audience, tmp_path, place):
    version = history.documents[place]["model"]["version"]
    document, lists = recommended(history.fieldwork, version, audience, tmp_path)
    sums = (
        pl.read_parquet(document["explanations"])
        .group_by("user_id", "item_id")
        .agg(pl.col("contribution").sum())
    )
    both = lists.join(sums, on=["user_id", "item_id"], how="left", validate="1:1").fill_null(0.0)
    assert len(both) == 160
    np.testing.assert_allclose(both["contribution"], both["score"], rtol=1e-4, atol=1e-5)


def test_popularity_serves_everybody_and_has_nothing_to_explain(history, audience, tmp_path):
    document, lists = recommended(history.fieldwork, 1, audience, tmp_path)
    assert lists["user_id"].n_unique() == 16
    assert not lists["fallback"].any()
    assert document["explanations"] is None


@pytest.mark.parametrize("kind", ["item_knn", *NETWORKS])
def test_every_kind_can_be_served_and_explained(history, tiny_recommender, audience, tmp_path, kind):
    changes = (
        "training.epochs=1", "serving.fold_in_steps=4", "explanation.integration_steps=4", f"models=[{kind}]",
        f"serving.model={kind}",
    )  # fmt: skip
    options = [part for change in changes for part in ("--set", change)]
    run = history.fieldwork(*tiny_recommender, *LITTLE, *options, "--quiet", "--json", "-").require_success()
    document, lists = recommended(history.fieldwork, run.document["model"]["version"], audience, tmp_path)
    assert lists["user_id"].n_unique() == 16
    assert not lists["fallback"].any()
    assert pl.read_parquet(document["explanations"])["user_id"].n_unique() == 16
