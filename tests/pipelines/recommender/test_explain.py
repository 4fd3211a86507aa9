"""Explanations are complete, checked on the histories that they explain, and say what would change."""

import dataclasses

import numpy as np
import pytest
import torch

from pipelines.recommender import explain as module
from pipelines.recommender.explain import (
    checked_explanation,
    counterfactual_summary,
    counterfactuals,
    examples,
    explain_first,
    truth_agreement,
)
from pipelines.recommender.linear import Ease, common_users
from pipelines.recommender.score import Audience, Scorer

PERSONAL = ("item_knn", "ease", "ials", "mf", "gmf", "neumf", "hybrid")
EXACT = ("item_knn", "ease", "ials")
ITEMS_OF_A_CLUSTER = 14


def audience_of(world, num_users=24):
    scorer = world.scorer("ease")
    return scorer.audience(world.before).select(torch.arange(num_users))


@pytest.mark.parametrize("kind", PERSONAL)
def test_the_first_item_is_explained_completely(world, kind):
    explained = explain_first(world.scorer(kind), audience_of(world))
    error, spread = explained.attribution.completeness_error, float(np.std(explained.attribution.output))
    assert error < (1e-5 if kind in EXACT else 0.15 * spread)
    assert explained.attribution.completeness_mean < (1e-5 if kind in EXACT else 0.05 * spread)


@pytest.mark.parametrize("kind", PERSONAL)
def test_the_explained_item_is_the_one_recommended_first(world, kind):
    scorer = world.scorer(kind)
    explained = explain_first(scorer, audience_of(world))
    lists = scorer.score(world.before).filter(rank=1)["item_id"][:24]
    assert scorer.catalogue.items[explained.items.numpy()].to_list() == lists.to_list()


@pytest.mark.parametrize("kind", EXACT)
def test_exact_contributions_pass_their_check(world, kind):
    found = checked_explanation(world.scorer(kind), audience_of(world, 60), seed=0).attribution
    assert found.faithful, found.warning


def test_popularity_has_nothing_to_check(world):
    found = checked_explanation(world.scorer("popularity"), audience_of(world), seed=0).attribution
    assert found.faithful is None
    assert not found.values.any()


@pytest.mark.parametrize("kind", ["ease", "gmf"])
@pytest.mark.parametrize("fake", ["shuffled", "the same for every item"])
def test_contributions_that_say_nothing_fail_the_check(world, monkeypatch, kind, fake):
    """Histories of eight items in five groups: taking two items away does more than taking one, which is no merit of
    an explanation."""
    honest = module.explain_first

    def meaningless(scorer, audience):
        explained = honest(scorer, audience)
        values = explained.attribution.values
        if fake == "shuffled":
            values = np.random.default_rng(0).permuted(values, axis=1)
        else:
            values = np.repeat(values.mean(1, keepdims=True), values.shape[1], 1)
        return dataclasses.replace(
            explained, attribution=dataclasses.replace(explained.attribution, values=values)
        )

    monkeypatch.setattr(module, "explain_first", meaningless)
    assert not checked_explanation(world.scorer(kind), audience_of(world, 96), seed=0).attribution.faithful


def long_and_short(histories_of, world):
    """EASE on users of whom some have 120 items and most 8."""
    random = np.random.default_rng(0)
    sets = [
        set(random.choice(200, 120 if user % 4 == 0 else 8, replace=False).tolist()) for user in range(60)
    ]
    histories = histories_of(sets, 200)
    ease = Ease.fit(common_users(histories), histories, regularisation=20.0)
    catalogue = dataclasses.replace(
        world.catalogue,
        users=world.catalogue.users[:60],
        items=world.catalogue.items[:1].clear().extend_constant("item", 200),
        titles=None,
        num_warm=200,
    )
    scorer = Scorer(world.config, "ease", ease, catalogue, histories)
    known = torch.ones(60, dtype=torch.bool)
    return scorer, Audience(catalogue.users, histories, histories, known, torch.arange(60)), sets


def test_short_histories_are_checked_whole_beside_long_ones(world, histories_of, monkeypatch):
    scorer, audience, sets = long_and_short(histories_of, world)
    checked = []
    monkeypatch.setattr(
        module,
        "check",
        lambda predict, attribution, rows, absent, **options: checked.append((attribution, rows)),
    )
    checked_explanation(scorer, audience, seed=0)
    ((attribution, rows),) = checked
    for user, had in enumerate(sets):
        assert {int(code) - 1 for code in rows[user, :-1] if code > 0} == had
    gap = np.abs(attribution.values.sum(1) + attribution.base_value - attribution.output)
    assert gap.max() < 1e-4, "removal groups do not hold the whole explanation"


def test_long_histories_do_not_make_an_exact_explanation_fail(world, histories_of):
    scorer, audience, _ = long_and_short(histories_of, world)
    found = checked_explanation(scorer, audience, seed=0).attribution
    assert found.faithfulness.relative_gap < 1e-4
    assert found.faithful, found.warning


def test_the_strongest_item_of_a_history_is_of_the_kind_that_is_recommended(world):
    scorer = world.scorer("item_knn")
    explained = explain_first(scorer, audience_of(world, 96))

    def likeness(first, second):
        return (first[:, None] // ITEMS_OF_A_CLUSTER == second // ITEMS_OF_A_CLUSTER).numpy().astype(float)

    found = truth_agreement(explained, likeness)
    assert found["users"] == 96
    assert found["most_alike"] > 0.9
    assert found["less_alike_share"] > 0.55


@pytest.mark.parametrize("kind", ["item_knn", "ease", "ials", "gmf"])
def test_taking_away_what_speaks_most_lowers_the_first_item(world, kind):
    scorer = world.scorer(kind)
    changes = counterfactuals(scorer, explain_first(scorer, audience_of(world, 96)))
    summary = counterfactual_summary(changes)
    assert summary["users"] == 96
    assert summary["share_that_falls"] > 0.1
    assert all(change["rank_before"] == 1 for change in changes) or kind == "gmf"


def test_what_is_taken_away_is_an_item_of_the_history_even_when_nothing_speaks_for_the_first(world):
    """All contributions negative: the strongest is the least negative one, not a place beyond the history."""
    scorer = world.scorer("ease")
    audience = scorer.audience(world.before).select(torch.arange(6))
    # only the first keeps a whole history, and places beyond the others' would be read as item 0
    shorter = audience.histories.keeping(
        (audience.histories.users == 0) | (audience.histories.items % 2 == 1)
    )
    explained = explain_first(scorer, dataclasses.replace(audience, histories=shorter))
    filled = (explained.users.histories.padded()[1] > 0).numpy()
    negative = np.where(filled, -1e-3 - np.abs(explained.attribution.values), 0.0)
    explained = dataclasses.replace(
        explained, attribution=dataclasses.replace(explained.attribution, values=negative)
    )
    past = world.before.group_by("user_id").agg("item_id")
    owned = {user: {f"Title of {item}" for item in items} for user, items in past.rows()}
    for change in counterfactuals(scorer, explained):
        assert change["without"] in owned[change["user_id"]], change


@pytest.mark.parametrize("kind", ["item_knn", "ease", "ials"])
def test_a_user_left_with_nothing_is_not_said_to_keep_his_first_item(world, histories_of, kind):
    """Without any history every score is 0: the item ties with all others, and ties never count as hits."""
    scorer = world.scorer(kind)
    histories = histories_of([{5}, {20}], len(world.catalogue.items))
    audience = Audience(
        world.catalogue.users[:2],
        histories,
        histories,
        torch.zeros(2, dtype=torch.bool),
        torch.tensor([-1, -1]),
    )
    for change in counterfactuals(scorer, explain_first(scorer, audience)):
        assert change["rank_after"] > 1


def test_examples_are_real_contributions_by_title_strongest_first(world):
    scorer = world.scorer("ease")
    explained = explain_first(scorer, audience_of(world))
    past = {user: set(items) for user, items in world.before.group_by("user_id").agg("item_id").rows()}
    for shown in examples(scorer, explained):
        titles, values = zip(*shown["contributions"], strict=True)
        assert {title.removeprefix("Title of ") for title in titles} == past[shown["user_id"]]
        assert list(values) == sorted(values, reverse=True)
        row = explained.audience.ids.to_list().index(shown["user_id"])
        assert sum(values) == pytest.approx(explained.attribution.output[row], abs=1e-5)


def test_summaries_of_nobody_are_empty_and_not_a_crash(world):
    assert counterfactual_summary([]) == {
        "users": 0,
        "median_rank_after": None,
        "share_that_falls": None,
        "examples": [],
    }
    scorer = world.scorer("ease")
    nobody = explain_first(scorer, audience_of(world, 0))
    assert counterfactuals(scorer, nobody) == []
    assert examples(scorer, nobody) == []
    assert truth_agreement(nobody, lambda one, other: np.zeros((1, 1)))["users"] == 0.0
