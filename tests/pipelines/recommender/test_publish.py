"""The gate compares challenger and champion on the same users as each would serve them, whatever each knows."""

import dataclasses

import numpy as np
import polars as pl
import pytest
import torch

from pipelines.recommender.evaluate import TestPart as Part
from pipelines.recommender.evaluate import run_test
from pipelines.recommender.features import Catalogue
from pipelines.recommender.linear import Ease, Popularity, common_users
from pipelines.recommender.publish import _checks, headline_per_user
from pipelines.recommender.score import Scorer


def ndcg_by_user(frame: pl.DataFrame) -> dict[str, float]:
    return dict(frame.rows())


@pytest.mark.parametrize("kind", ["popularity", "item_knn", "ease", "ials", "neumf", "hybrid"])
def test_the_challenger_is_measured_as_in_its_evaluation(world, kind):
    part = Part.of(world.catalogue, world.before, world.test, world.config)
    expected = run_test(world.final[kind], part, world.config).per_user["ndcg_at_20"]
    found = headline_per_user(world.scorer(kind), world.before, world.test)
    assert found["user_id"].to_list() == world.catalogue.users[part.index.numpy()].to_list()
    assert found["ndcg_at_20"].to_numpy() == pytest.approx(expected, abs=1e-9)


def ease_of(world, interactions: pl.DataFrame) -> Scorer:
    catalogue = Catalogue.fit(interactions)
    histories = catalogue.histories(interactions)
    ease = Ease.fit(common_users(histories), histories, regularisation=20.0)
    return Scorer(world.config, "ease", ease, catalogue, histories, "1")


def test_a_champion_with_another_catalogue_is_measured_on_the_same_users(world):
    """It was trained on half of the users and items: it knows less, and what it does not know are misses."""
    half = world.before.filter(
        pl.col("user_id").str.slice(1).cast(pl.Int64) % 2 == 0, ~pl.col("item_id").str.starts_with("i-3")
    )
    champion = ease_of(world, half)
    found = headline_per_user(champion, world.before, world.test)
    challenger = headline_per_user(world.scorer("ease"), world.before, world.test)
    assert found["user_id"].to_list() == challenger["user_id"].to_list()
    unknown = world.test.filter(pl.col("item_id").str.starts_with("i-3"))["user_id"]
    assert found.filter(pl.col("user_id").is_in(unknown.implode()))["ndcg_at_20"].sum() == 0.0
    known = found.filter(~pl.col("user_id").is_in(unknown.implode()))
    assert known["ndcg_at_20"].mean() > 0.3


def test_a_champion_that_knows_nothing_of_a_user_gets_nothing_for_him(world):
    other = world.before.with_columns(
        item_id="other " + pl.col("item_id"), user_id="other " + pl.col("user_id")
    )
    found = headline_per_user(ease_of(world, other), world.before, world.test)
    assert len(found) == world.test["user_id"].n_unique()
    assert found["ndcg_at_20"].sum() == 0.0


def test_a_test_user_without_a_history_changes_nothing_for_the_others(world):
    """By a split in time some test users are new. Their items are nobody else's."""
    strangers = pl.DataFrame(
        {
            "user_id": ["a first", "u0105", "u050 and a bit", "zzz"],
            "item_id": ["i-0-01", "i-1-03", "i-2-03", "i-3-03"],
        }
    )
    test = world.test.select("user_id", "item_id")
    expected = ndcg_by_user(headline_per_user(world.scorer("ease"), world.before, test))
    found = ndcg_by_user(headline_per_user(world.scorer("ease"), world.before, pl.concat([strangers, test])))
    assert {user: found[user] for user in expected} == pytest.approx(expected)
    assert set(found) - set(expected) <= set(strangers["user_id"])


def test_a_test_part_of_strangers_alone_is_an_empty_comparison(world):
    strangers = world.test.with_columns(user_id="new " + pl.col("user_id"))
    assert len(headline_per_user(world.scorer("ease"), world.before, strangers)) == 0


def test_users_of_the_challengers_training_who_are_not_tested_play_no_part(world):
    few = world.test[:20]
    found = headline_per_user(world.scorer("item_knn"), world.before, few)
    every = headline_per_user(world.scorer("item_knn"), world.before, world.test)
    assert set(found["user_id"]) == set(few["user_id"])
    assert found.join(every, on="user_id", suffix="_all").select(
        (pl.col("ndcg_at_20") - pl.col("ndcg_at_20_all")).abs().max()
    ).item() == pytest.approx(0.0)


def test_a_better_model_is_better_in_the_comparison(world):
    values = {
        kind: headline_per_user(world.scorer(kind), world.before, world.test)["ndcg_at_20"].mean()
        for kind in ("popularity", "item_knn")
    }
    assert values["item_knn"] > 1.5 * values["popularity"]


def test_a_personal_model_needs_a_faithful_explanation_and_popularity_none(tmp_path):
    @dataclasses.dataclass
    class Bundle:
        metrics: dict

    def passed(served, faithful):
        document = {"attribution": {"faithful": faithful, "warning": None if faithful else "Not faithful."}}
        checks = _checks(Bundle({"served": served, "explanation": document}))
        return checks["explanation_faithful"].passed

    assert passed("ease", True)
    assert not passed("ease", False)
    assert not passed("ease", None), "an explanation that was not checked"
    assert passed("popularity", None)


def test_comparison_survives_scores_that_tie_everywhere(world):
    """A champion that is popularity over another catalogue still has one number for each user."""
    constant = Popularity(torch.ones(world.catalogue.num_warm))
    scorer = dataclasses.replace(world.scorer("popularity"), ranker=constant)
    found = headline_per_user(scorer, world.before, world.test)
    assert np.isfinite(found["ndcg_at_20"].to_numpy()).all()
    assert found["ndcg_at_20"].sum() == 0.0


def test_test_items_that_a_champion_has_learnt_from_are_not_its_misses(world):
    """Another seed or split makes the challenger's test items part of the champion's past. Masked as seen, they would
    make it lose to anything."""
    everything = world.catalogue.histories(pl.concat([world.before, world.test]))
    champion = dataclasses.replace(world.scorer("item_knn"), past=everything)
    expected = headline_per_user(world.scorer("item_knn"), world.before, world.test)
    found = headline_per_user(champion, world.before, world.test)
    assert found["ndcg_at_20"].mean() >= expected["ndcg_at_20"].mean()
