"""EASE, item neighbours and popularity equal their definitions written out in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recommender.linear import Ease, ItemKnn, Popularity, common_users

NUM_USERS, NUM_ITEMS = 25, 12


def random_sets(seed: int = 0, num_items: int = NUM_ITEMS) -> list[set[int]]:
    """Histories of 0 to 8 items; the last item is nobody's."""
    random = np.random.default_rng(seed)
    return [
        set(random.choice(num_items - 1, random.integers(0, 9), replace=False).tolist())
        for _ in range(NUM_USERS)
    ]


def as_matrix(sets: list[set[int]]) -> np.ndarray:
    return np.array([[float(item in had) for item in range(NUM_ITEMS)] for had in sets])


def naive_neighbours(sets, user_exponent, target_exponent):
    """W[j, i] by two loops, before the strongest are chosen."""
    degrees = [max(1, sum(item in had for had in sets)) for item in range(NUM_ITEMS)]
    weights = np.zeros((NUM_ITEMS, NUM_ITEMS))
    for source in range(NUM_ITEMS):
        for target in range(NUM_ITEMS):
            if source != target:
                both = sum(len(had) ** -user_exponent for had in sets if {source, target} <= had)
                scale = degrees[source] ** (1 - target_exponent) * degrees[target] ** target_exponent
                weights[source, target] = both / scale
    return weights


def fit_neighbours(histories, user_exponent=0.0, target_exponent=0.5, num_neighbours=NUM_ITEMS):
    common = common_users(histories, user_exponent=user_exponent)
    return ItemKnn.fit(common, histories, num_neighbours=num_neighbours, target_exponent=target_exponent)


@pytest.mark.parametrize("regularisation", [1.0, 50.0])
def test_ease_equals_the_closed_form(histories_of, regularisation):
    sets = random_sets()
    histories, x = histories_of(sets, NUM_ITEMS), as_matrix(sets)
    inverse = np.linalg.inv(x.T @ x + regularisation * np.eye(NUM_ITEMS))
    expected = np.eye(NUM_ITEMS) - inverse @ np.diag(1 / np.diag(inverse))
    found = Ease.fit(common_users(histories), histories, regularisation=regularisation)
    np.fill_diagonal(expected, 0.0)
    assert np.allclose(found.weights.numpy(), expected, atol=1e-5)
    assert np.allclose(
        found.scores(found.known(histories, torch.arange(NUM_USERS))).numpy(), x @ expected, atol=1e-5
    )


def test_ease_is_the_best_zero_diagonal_model_for_its_loss(histories_of):
    """Nudging any weight off the diagonal makes the penalised squared error no smaller."""
    sets = random_sets(1)
    histories, x = histories_of(sets, NUM_ITEMS), as_matrix(sets)
    weights = Ease.fit(common_users(histories), histories, regularisation=5.0).weights.double().numpy()

    def loss(of):
        return ((x - x @ of) ** 2).sum() + 5.0 * (of**2).sum()

    random = np.random.default_rng(0)
    for _ in range(50):
        step = random.normal(0, 0.01, weights.shape)
        np.fill_diagonal(step, 0.0)
        assert loss(weights + step) >= loss(weights)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    user_exponent=st.sampled_from([0.0, 0.5, 1.0]),
    target_exponent=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
def test_item_neighbours_equal_two_loops(histories_of, seed, user_exponent, target_exponent):
    sets = random_sets(seed)
    found = fit_neighbours(histories_of(sets, NUM_ITEMS), user_exponent, target_exponent)
    assert np.allclose(
        found.weights.toarray(), naive_neighbours(sets, user_exponent, target_exponent), atol=1e-6
    )


def test_cosine_is_the_special_case_without_users_and_half_the_target(histories_of):
    sets = random_sets(2)
    x = as_matrix(sets)
    norms = np.maximum(np.linalg.norm(x, axis=0), 1e-12)
    cosine = (x.T @ x) / np.outer(norms, norms)
    np.fill_diagonal(cosine, 0.0)
    assert np.allclose(fit_neighbours(histories_of(sets, NUM_ITEMS)).weights.toarray(), cosine, atol=1e-6)


@pytest.mark.parametrize("num_neighbours", [1, 3])
def test_only_the_strongest_neighbours_of_each_item_are_kept(histories_of, num_neighbours):
    sets = random_sets(3)
    every = naive_neighbours(sets, 0.5, 0.25)
    histories = histories_of(sets, NUM_ITEMS)
    found = fit_neighbours(histories, 0.5, 0.25, num_neighbours).weights.toarray()
    for row, kept in zip(every, found, strict=True):
        assert np.allclose(
            np.sort(kept)[::-1][:num_neighbours], np.sort(row)[::-1][:num_neighbours], atol=1e-6
        )
        assert (kept > 0).sum() <= num_neighbours
        assert np.allclose(kept[kept > 0], row[kept > 0], atol=1e-6)


def test_fitting_several_neighbourhoods_from_one_table_does_not_wear_it_out(histories_of):
    histories = histories_of(random_sets(4), NUM_ITEMS)
    common = common_users(histories)
    before = common.toarray()
    ItemKnn.fit(common, histories, num_neighbours=1, target_exponent=0.0)
    Ease.fit(common, histories, regularisation=3.0)
    assert np.array_equal(common.toarray(), before)


def test_popularity_counts_users_and_is_the_same_for_everybody(histories_of):
    sets = random_sets(5)
    model = Popularity.fit(histories_of([dict.fromkeys(had, 9.0) for had in sets], NUM_ITEMS))
    scores = model.scores(model.known(histories_of([{1}, set()], NUM_ITEMS), torch.arange(2)))
    assert scores.tolist() == [as_matrix(sets).sum(0).tolist()] * 2


def fitted(histories):
    return {
        "popularity": Popularity.fit(histories),
        "item_knn": fit_neighbours(histories, num_neighbours=4),
        "ease": Ease.fit(common_users(histories), histories, regularisation=5.0),
    }


@pytest.mark.parametrize("kind", ["popularity", "item_knn", "ease"])
def test_contributions_and_base_add_up_to_the_score(histories_of, kind):
    histories = histories_of(random_sets(6), NUM_ITEMS)
    model = fitted(histories)[kind]
    users = model.fold_in(histories)
    items = torch.arange(NUM_ITEMS).repeat(NUM_USERS, 1)
    found = model.contributions(users, items)
    assert found.values.shape == (NUM_USERS, NUM_ITEMS, int(histories.counts.max()))
    assert torch.allclose(found.values.sum(-1) + found.base, model.scores(users), atol=1e-5)


@pytest.mark.parametrize("kind", ["item_knn", "ease"])
def test_an_interaction_of_weight_zero_contributes_what_it_adds_to_the_score(histories_of, kind):
    """The contract allows a weight of 0, and these models count who had what, not how much."""
    histories = histories_of(random_sets(6), NUM_ITEMS)
    model = fitted(histories)[kind]
    users = model.fold_in(histories_of([{0: 0.0, 1: 1.0, 2: 2.0}], NUM_ITEMS))
    found = model.contributions(users, torch.arange(NUM_ITEMS)[None])
    assert torch.allclose(found.values.sum(-1) + found.base, model.scores(users), atol=1e-5)


@pytest.mark.parametrize("kind", ["popularity", "item_knn", "ease"])
def test_nobody_can_be_scored_and_explained(histories_of, kind):
    """A table in which nobody is known leaves no user for the model."""
    model, nobody = fitted(histories_of(random_sets(7), NUM_ITEMS))[kind], histories_of([], NUM_ITEMS)
    users = model.fold_in(nobody)
    assert model.scores(users).shape == (0, NUM_ITEMS)
    assert model.contributions(users, torch.zeros(0, 3, dtype=torch.int64)).values.shape == (0, 3, 0)


@pytest.mark.parametrize("kind", ["item_knn", "ease"])
def test_a_user_without_history_scores_zero_everywhere(histories_of, kind):
    model = fitted(histories_of(random_sets(8), NUM_ITEMS))[kind]
    users = model.fold_in(histories_of([set(), {1}, set()], NUM_ITEMS))
    scores = model.scores(users)
    assert not scores[[0, 2]].any()
    assert scores[1].any()


@pytest.mark.parametrize("kind", ["popularity", "item_knn", "ease"])
def test_what_was_saved_scores_and_explains_the_same(histories_of, kind):
    histories = histories_of(random_sets(9), NUM_ITEMS)
    model = fitted(histories)[kind]
    again = type(model).restore(model.settings(), model.tensors())
    users, items = model.fold_in(histories), torch.arange(NUM_ITEMS).repeat(NUM_USERS, 1)
    assert again.num_items == model.num_items
    assert torch.equal(again.scores(users), model.scores(users))
    assert torch.equal(again.contributions(users, items).values, model.contributions(users, items).values)
