"""Ranking equals a naive sort of the whole catalogue, in which ties go against us, whatever the slices."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recommender import ranking
from pipelines.recommender.ranking import judge, top_items

KNOWN, BEYOND = 10, 3  # items that the ranker scores, and further ones that it does not know


@st.composite
def cases(draw):
    """Scores with many ties, what was seen and what is relevant, items beyond the ranker among both."""
    num_users = draw(st.integers(1, 6))
    scores = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, 2.0])
    table = draw(
        st.lists(st.lists(scores, min_size=KNOWN, max_size=KNOWN), min_size=num_users, max_size=num_users)
    )
    some = st.sets(st.integers(0, KNOWN + BEYOND - 1))
    everything = st.just(set(range(KNOWN)))
    seen = draw(st.lists(st.one_of(some, everything), min_size=num_users, max_size=num_users))
    relevant = draw(st.lists(some, min_size=num_users, max_size=num_users))
    return np.array(table, dtype=np.float32), seen, relevant, draw(st.integers(1, KNOWN + 3))


def naive_hits(scores: np.ndarray, seen: set[int], relevant: set[int], k: int) -> list[bool]:
    """A full sort: higher scores first, and of equal ones the relevant last; what is -inf is not listed."""
    listed = [item for item in range(len(scores)) if item not in seen and scores[item] > -np.inf]
    order = sorted(listed, key=lambda item: (-scores[item], item in relevant))
    hits = [item in relevant for item in order[:k]]
    return hits + [False] * (k - len(hits))


def judged(fixed, histories_of, table, seen, relevant, k, memory_mb=64, candidates=None):
    ranker = fixed(torch.from_numpy(table))
    before, after = (histories_of(sets, KNOWN + BEYOND) for sets in (seen, relevant))
    users = ranker.known(before, torch.arange(len(table)))
    return judge(ranker, users, before, after, k, memory_mb=memory_mb, candidates=candidates)


@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_hits_equal_a_naive_pessimistic_sort(fixed, histories_of, case):
    table, seen, relevant, k = case
    found = judged(fixed, histories_of, table, seen, relevant, k)
    expected = [naive_hits(*row, k) for row in zip(table, seen, relevant, strict=True)]
    assert found.hits.tolist() == expected


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_shown_items_are_unseen_distinct_and_in_the_order_of_their_scores(fixed, histories_of, case):
    table, seen, relevant, k = case
    shown = judged(fixed, histories_of, table, seen, relevant, k).shown
    assert shown.shape == (len(table), k)
    for row, items in enumerate(shown.tolist()):
        listed = [item for item in items if item >= 0]
        usable = [item for item in range(KNOWN) if item not in seen[row] and table[row, item] > -np.inf]
        assert len(set(listed)) == len(listed) == min(k, len(usable))
        assert set(listed) <= set(usable)
        assert items[len(listed) :] == [-1] * (k - len(listed))
        best = sorted(table[row, usable], reverse=True)[: len(listed)]
        assert table[row, listed].tolist() == best


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_served_lists_are_the_best_unseen_items(fixed, histories_of, case):
    table, seen, _, k = case
    ranker, before = fixed(torch.from_numpy(table)), histories_of(seen, KNOWN + BEYOND)
    found = top_items(ranker, ranker.known(before, torch.arange(len(table))), before, k, memory_mb=8)
    assert found.items.shape == (len(table), min(k, KNOWN))
    for row, (items, scores) in enumerate(zip(found.items.tolist(), found.scores.tolist(), strict=True)):
        free = np.where([item in seen[row] for item in range(KNOWN)], -np.inf, table[row])
        assert scores == sorted(free, reverse=True)[: len(scores)]
        assert [free[item] for item in items] == scores


@pytest.mark.parametrize("at_once", [1, 3, 1024])
def test_slices_of_any_size_give_the_same_result(fixed, histories_of, monkeypatch, at_once):
    random = np.random.default_rng(0)
    table = random.integers(0, 4, (50, KNOWN)).astype(np.float32)
    seen, relevant = (
        [set(random.choice(KNOWN, 3, replace=False).tolist()) for _ in range(50)] for _ in range(2)
    )
    whole = judged(fixed, histories_of, table, seen, relevant, 4)
    monkeypatch.setattr(ranking, "_MAX_USERS_AT_ONCE", at_once)
    sliced = judged(fixed, histories_of, table, seen, relevant, 4)
    assert torch.equal(whole.hits, sliced.hits)
    assert torch.equal(whole.shown, sliced.shown)


def test_scores_of_all_users_are_never_held_at_once(histories_of):
    """The largest slice, times the threads, fits the stated memory; and users come in their order."""
    sizes = []

    class Recording:
        num_items = 40_000

        def scores(self, users):
            sizes.append(len(users))
            return torch.arange(float(self.num_items)).repeat(len(users), 1)

    seen = histories_of([{user} for user in range(600)], 40_000)
    users = ranking.Users(seen, None)
    found = top_items(Recording(), users, seen, 3, memory_mb=32)
    assert max(sizes) * 40_000 * 12 * 2 <= 32 * 2**20
    assert sum(sizes) == 600
    assert found.items[:, 0].tolist() == [39_999] * 600


def test_a_catalogue_larger_than_the_memory_is_ranked_user_by_user(histories_of, fixed):
    ranker = fixed(torch.rand(3, 1_000_000, generator=torch.Generator().manual_seed(0)))
    seen = histories_of([set(), {1}, {2}], 1_000_000)
    found = top_items(ranker, ranker.known(seen, torch.arange(3)), seen, 2, memory_mb=8)
    assert torch.equal(found.items[:, 0], ranker.table.argmax(1))


def test_nobody_to_rank_for_is_an_empty_result(fixed, histories_of):
    """A split by time can leave no test user with a history."""
    ranker, nobody = fixed(torch.zeros(0, KNOWN)), histories_of([], KNOWN)
    users = ranker.known(nobody, torch.arange(0))
    assert top_items(ranker, users, nobody, 4, memory_mb=8).items.shape == (0, 4)
    found = judge(ranker, users, nobody, nobody, 4, memory_mb=8)
    assert found.hits.shape == found.shown.shape == (0, 4)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([-np.inf, 0.0, 1.0, 2.0]), min_size=KNOWN, max_size=KNOWN),
    st.integers(0, KNOWN - 1),
    st.lists(st.integers(-1, KNOWN - 1), min_size=1, max_size=8),
)
def test_sampled_rank_counts_every_candidate_that_is_not_worse(fixed, histories_of, scores, positive, others):
    table = np.array([scores], dtype=np.float32)
    rows = torch.tensor([[positive, *others]])
    found = judged(fixed, histories_of, table, [set()], [{positive}], 3, candidates=rows)
    expected = sum(scores[item] >= scores[positive] for item in others if item >= 0)
    # an item that is not to be shown at all may stand even further behind
    assert found.sampled_rank.item() == expected or (
        scores[positive] == -np.inf and found.sampled_rank >= expected
    )


def test_an_item_that_the_ranker_does_not_know_stands_behind_all_others(fixed, histories_of):
    table = np.arange(KNOWN, dtype=np.float32)[None]
    rows = torch.tensor([[KNOWN + 1, 0, 1, 2, -1]])
    found = judged(fixed, histories_of, table, [set()], [{KNOWN + 1}], 3, candidates=rows)
    assert found.sampled_rank >= 3


def test_scores_that_are_not_numbers_are_no_hits(fixed, histories_of):
    table = np.full((1, KNOWN), np.nan, dtype=np.float32)
    rows = torch.tensor([[0, 1, 2, 3]])
    found = judged(fixed, histories_of, table, [set()], [set(range(KNOWN))], 3, candidates=rows)
    assert not found.hits.any()
    assert found.sampled_rank >= 3
