"""iALS solves what it says it minimises: against the normal equations and the loss in numpy."""

import numpy as np
import pytest
import torch

from pipelines.recommender import ials as module
from pipelines.recommender.ials import Ials

NUM_USERS, NUM_ITEMS, FACTORS = 30, 18, 5
REGULARISATION, UNOBSERVED = 0.02, 0.3


def weighted_sets(seed: int = 0) -> list[dict[int, float]]:
    """Histories of 1 to 8 items with weights from 0.3 to 20; the last user has nothing."""
    random = np.random.default_rng(seed)
    histories = []
    for _ in range(NUM_USERS - 1):
        items = random.choice(NUM_ITEMS, random.integers(1, 9), replace=False)
        histories.append(
            dict(zip(items.tolist(), random.choice([0.3, 1.0, 4.0, 20.0], len(items)), strict=True))
        )
    return [*histories, {}]


def confidence(weight: float) -> float:
    return 1 + np.log(weight) if weight > 1 else weight


def fit(histories, num_sweeps=4, seed=0, **changes):
    options = {"regularisation": REGULARISATION, "unobserved_weight": UNOBSERVED} | changes
    return Ials.fit(histories, num_factors=FACTORS, num_sweeps=num_sweeps, seed=seed, **options)


def numpy_vector(had: dict[int, float], items: np.ndarray) -> np.ndarray:
    """The minimiser of one user's part of the loss, by its normal equations."""
    penalty = REGULARISATION * (len(had) + UNOBSERVED * len(items))
    system = UNOBSERVED * items.T @ items + penalty * np.eye(items.shape[1])
    target = np.zeros(items.shape[1])
    for item, weight in had.items():
        system += confidence(weight) * np.outer(items[item], items[item])
        target += confidence(weight) * items[item]
    return np.linalg.solve(system, target)


def loss(model: Ials, sets) -> float:
    """The objective as the module states it."""
    users, items = model.users.double().numpy(), model.items.double().numpy()
    scores = users @ items.T
    total = UNOBSERVED * (scores**2).sum()
    audience = np.zeros(len(items))
    for user, had in enumerate(sets):
        for item, weight in had.items():
            total += confidence(weight) * (1 - scores[user, item]) ** 2
            audience[item] += 1
    of_users = np.array([len(had) for had in sets]) + UNOBSERVED * len(items)
    of_items = audience + UNOBSERVED * len(users)
    penalty = (of_users * (users**2).sum(1)).sum() + (of_items * (items**2).sum(1)).sum()
    return float(total + REGULARISATION * penalty)


def test_every_user_vector_solves_the_normal_equations(histories_of):
    sets = weighted_sets()
    model = fit(histories_of(sets, NUM_ITEMS))
    items = model.items.double().numpy()
    for user, had in enumerate(sets):
        assert np.allclose(model.users[user].numpy(), numpy_vector(had, items), atol=1e-5)


def test_the_loss_falls_with_every_sweep(histories_of):
    sets = weighted_sets(1)
    losses = [loss(fit(histories_of(sets, NUM_ITEMS), num_sweeps=sweeps), sets) for sweeps in range(1, 9)]
    steps = np.diff(losses)
    assert (steps <= 1e-5 * losses[0]).all()
    assert losses[-1] < 0.99 * losses[0]


def test_no_small_change_of_a_solution_lowers_the_loss(histories_of):
    """After many sweeps users and items are both at the optimum for each other."""
    sets = weighted_sets(2)
    model = fit(histories_of(sets, NUM_ITEMS), num_sweeps=60)
    best, random = loss(model, sets), torch.Generator().manual_seed(0)
    for _ in range(20):
        moved = [
            vectors + 1e-3 * torch.randn(vectors.shape, generator=random)
            for vectors in (model.users, model.items)
        ]
        assert loss(Ials(*moved, REGULARISATION, UNOBSERVED), sets) > best


def test_folding_in_a_training_user_gives_back_the_trained_vector(histories_of):
    histories = histories_of(weighted_sets(3), NUM_ITEMS)
    model = fit(histories)
    assert torch.allclose(model.fold_in(histories).vectors, model.users, atol=1e-5)
    some = torch.tensor([7, 2, NUM_USERS - 1])
    assert torch.allclose(model.fold_in(histories.select(some)).vectors, model.users[some], atol=1e-5)


@pytest.mark.parametrize("cells", [1, 1 << 25], ids=["one user at once", "all users at once"])
def test_batches_do_not_change_the_solution(histories_of, monkeypatch, cells):
    histories = histories_of(weighted_sets(4), NUM_ITEMS)
    expected = fit(histories)
    monkeypatch.setattr(module, "_BATCH_CELLS", cells)
    assert torch.allclose(fit(histories).users, expected.users, atol=1e-4)


def test_contributions_add_up_to_the_score(histories_of):
    histories = histories_of(weighted_sets(5), NUM_ITEMS)
    model = fit(histories)
    users = model.known(histories, torch.arange(NUM_USERS))
    found = model.contributions(users, torch.arange(NUM_ITEMS).repeat(NUM_USERS, 1))
    assert torch.allclose(found.values.sum(-1) + found.base, model.scores(users), atol=1e-5)
    assert found.values.abs().max() > 0.1
    beyond = torch.arange(found.values.shape[2]) >= histories.counts[:, None]
    assert not found.values.transpose(1, 2)[beyond].any()


def test_a_heavier_interaction_pulls_its_item_closer(histories_of):
    model = fit(histories_of(weighted_sets(6), NUM_ITEMS))
    light, heavy = (
        model.scores(model.fold_in(histories_of([{0: weight, 1: 1.0}], NUM_ITEMS)))[0, 0]
        for weight in (1.0, 50.0)
    )
    assert heavy > light + 1e-3


def test_an_interaction_of_weight_zero_counts_as_one_not_seen_but_for_the_penalty(histories_of):
    model = fit(histories_of(weighted_sets(6), NUM_ITEMS))
    users = model.fold_in(histories_of([{0: 0.0}, {}], NUM_ITEMS))
    assert not users.vectors.any()


def test_a_user_without_history_has_the_zero_vector(histories_of):
    model = fit(histories_of(weighted_sets(7), NUM_ITEMS))
    assert not model.users[-1].any()
    users = model.fold_in(histories_of([set(), {1}], NUM_ITEMS))
    assert not model.scores(users)[0].any()
    assert model.contributions(users, torch.zeros(2, 3, dtype=torch.int64)).values[0].abs().max() == 0.0
    nobody = model.fold_in(histories_of([], NUM_ITEMS))
    assert model.contributions(nobody, torch.zeros(0, 3, dtype=torch.int64)).values.shape == (0, 3, 0)


def test_same_seed_same_model_and_what_was_saved_scores_the_same(histories_of):
    histories = histories_of(weighted_sets(8), NUM_ITEMS)
    model = fit(histories)
    assert torch.equal(model.items, fit(histories).items)
    assert not torch.equal(model.items, fit(histories, seed=1).items)
    again = Ials.restore(model.settings(), model.tensors())
    users = model.fold_in(histories)
    assert torch.equal(again.scores(again.fold_in(histories)), model.scores(users))
