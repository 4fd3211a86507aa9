"""Negatives are never positives, uniform over the rest, and decided by seed and epoch alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from pipelines.recommender import histories as histories_module
from pipelines.recommender import negatives as module
from pipelines.recommender.negatives import Negatives, distinct_negatives

NUM_ITEMS = 12


@pytest.mark.parametrize("cells", [0, 1 << 26], ids=["hashed", "table"])
@settings(max_examples=40, deadline=None)
@given(
    sets=st.lists(st.sets(st.integers(0, NUM_ITEMS - 1), max_size=NUM_ITEMS - 1), min_size=1, max_size=6),
    num_negatives=st.integers(1, 7),
    seed=st.integers(0, 5),
)
def test_nothing_that_was_had_is_ever_drawn(histories_of, cells, sets, num_negatives, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histories_module, "_TABLE_CELLS", cells)
        sampler = Negatives(histories_of(sets, NUM_ITEMS), seed=seed)
    users = torch.arange(len(sets)).repeat(3)
    drawn = sampler.of_epoch(users, num_negatives, 0)
    assert drawn.shape == (len(users), num_negatives)
    assert drawn.dtype == torch.int32
    assert int(drawn.min()) >= 0
    assert int(drawn.max()) < NUM_ITEMS
    for user, row in zip(users.tolist(), drawn.tolist(), strict=True):
        assert not set(row) & sets[user]


def test_same_seed_and_epoch_same_draw_and_another_of_either_another(histories_of):
    histories, users = histories_of([{0}, {1, 2}], 500), torch.arange(2).repeat(50)

    def draw(seed, epoch):
        return Negatives(histories, seed=seed).of_epoch(users, 4, epoch)

    sampler = Negatives(histories, seed=3)
    after_others = [sampler.of_epoch(users, 4, epoch) for epoch in (5, 1, 2)][-1]
    assert torch.equal(draw(3, 2), after_others), "the draw depends on what was drawn before"
    assert not torch.equal(draw(3, 2), draw(3, 1))
    assert not torch.equal(draw(3, 2), draw(4, 2))


def test_draws_are_uniform_over_what_is_left(histories_of):
    sets = [{0, 3, 4}, set(range(10)), set()]
    sampler = Negatives(histories_of(sets, NUM_ITEMS), seed=0)
    drawn = sampler.of_epoch(torch.arange(3).repeat_interleave(4000), 3, 0).view(3, -1)
    for user, had in enumerate(sets):
        counts = torch.bincount(drawn[user].long(), minlength=NUM_ITEMS)
        left = [item for item in range(NUM_ITEMS) if item not in had]
        assert chisquare(counts[left].numpy()).pvalue > 1e-3


def test_draws_for_nearly_exhausted_users_are_uniform_too(histories_of, monkeypatch):
    """The last resort, which lists what is left, is reached when no round of guessing helps."""
    monkeypatch.setattr(module, "_MAX_ROUNDS", 0)
    histories = histories_of([set(range(NUM_ITEMS - 3))], NUM_ITEMS)
    drawn = Negatives(histories, seed=0).of_epoch(torch.zeros(3000, dtype=torch.int64), 1, 0).long().ravel()
    counts = torch.bincount(drawn, minlength=NUM_ITEMS)
    assert counts[:-3].sum() == 0
    assert chisquare(counts[-3:].numpy()).pvalue > 1e-3


def test_a_user_with_one_item_left_gets_it_and_one_with_none_is_an_error(histories_of):
    histories = histories_of([set(range(NUM_ITEMS)) - {5}, set(range(NUM_ITEMS))], NUM_ITEMS)
    sampler = Negatives(histories, seed=0)
    assert set(sampler.of_epoch(torch.zeros(20, dtype=torch.int64), 6, 0).ravel().tolist()) == {5}
    with pytest.raises(ValueError, match="Received user 1 with all of them"):
        sampler.of_epoch(torch.tensor([0, 1]), 2, 0)


def test_draws_in_many_parts_still_avoid_what_was_had(histories_of, monkeypatch):
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 10)
    sets = [set(range(user, user + 6)) for user in range(6)]
    users = torch.arange(6).repeat(20)
    drawn = Negatives(histories_of(sets, NUM_ITEMS), seed=1).of_epoch(users, 4, 0)
    assert all(not set(row) & sets[user] for user, row in zip(users.tolist(), drawn.tolist(), strict=True))
    assert len(torch.unique(drawn, dim=0)) > 60, "parts repeat each other"


@settings(max_examples=40, deadline=None)
@given(
    sets=st.lists(st.sets(st.integers(0, NUM_ITEMS - 1)), min_size=1, max_size=6),
    num_negatives=st.integers(1, NUM_ITEMS + 4),
    at_once=st.sampled_from([1, 1 << 20]),
)
def test_distinct_negatives_are_distinct_unseen_and_as_many_as_there_are(
    histories_of, sets, num_negatives, at_once
):
    users = torch.arange(len(sets)).flip(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PAIRS_AT_ONCE", at_once)
        drawn = distinct_negatives(histories_of(sets, NUM_ITEMS), users, num_negatives, seed=0)
    for user, row in zip(users.tolist(), drawn.tolist(), strict=True):
        found = [item for item in row if item >= 0]
        assert len(set(found)) == len(found) == min(num_negatives, NUM_ITEMS - len(sets[user]))
        assert not set(found) & sets[user]
        assert set(row) - set(found) <= {-1}


def test_distinct_negatives_are_uniform_and_repeatable(histories_of):
    histories, users = histories_of([{0, 7}], NUM_ITEMS), torch.zeros(4000, dtype=torch.int64)
    drawn = distinct_negatives(histories, users, 4, seed=2)
    counts = torch.bincount(drawn.ravel(), minlength=NUM_ITEMS)
    left = [item for item in range(NUM_ITEMS) if item not in {0, 7}]
    assert counts[[0, 7]].sum() == 0
    assert chisquare(counts[left].numpy()).pvalue > 1e-3
    assert torch.equal(drawn, distinct_negatives(histories, users, 4, seed=2))
    assert not torch.equal(drawn, distinct_negatives(histories, users, 4, seed=3))
