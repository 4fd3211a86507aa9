"""Metrics of lists, against numbers worked out by hand and against scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from pipelines.recommender.metrics import (
    catalogue_use,
    long_tail,
    per_user,
    sampled_audit,
    sampled_per_user,
)
from pipelines.recommender.ranking import Judged, judge

NUM_ITEMS = 30


def lists(rows: list[list[int]], k: int = 20) -> Judged:
    """Hits at the given places."""
    hits = torch.zeros(len(rows), k, dtype=torch.bool)
    for user, places in enumerate(rows):
        hits[user, places] = True
    return Judged(hits, torch.zeros(len(rows), k, dtype=torch.int64), None)


def test_recall_ndcg_and_hit_rate_by_hand(histories_of):
    relevant = histories_of([{1, 2, 3}, {5}, set(range(25))], NUM_ITEMS)
    found = per_user(lists([[0, 4], [], list(range(20))]), relevant, (10, 20))
    first, fifth = 1.0, 1.0 / np.log2(6)
    ideal = 1.0 + 1.0 / np.log2(3) + 0.5
    assert found["recall_at_10"].tolist() == pytest.approx([2 / 3, 0.0, 10 / 25])
    assert found["recall_at_20"].tolist() == pytest.approx([2 / 3, 0.0, 20 / 25])
    assert found["ndcg_at_10"].tolist() == pytest.approx([(first + fifth) / ideal, 0.0, 1.0])
    assert found["hit_rate_at_10"].tolist() == [1.0, 0.0, 1.0]


def test_a_hit_beyond_the_cut_off_counts_for_the_longer_list_alone(histories_of):
    found = per_user(lists([[10]]), histories_of([{1}], NUM_ITEMS), (10, 20))
    assert found["recall_at_10"][0] == found["ndcg_at_10"][0] == found["hit_rate_at_10"][0] == 0.0
    assert found["recall_at_20"][0] == 1.0
    assert found["ndcg_at_20"][0] == pytest.approx(1.0 / np.log2(12))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 25))
def test_ndcg_equals_scikit_learn_where_no_scores_tie(fixed, histories_of, seed, k):
    random = np.random.default_rng(seed)
    scores = random.permuted(np.tile(np.arange(NUM_ITEMS, dtype=np.float32), (4, 1)), axis=1)
    relevant = [
        set(random.choice(NUM_ITEMS, random.integers(1, 12), replace=False).tolist()) for _ in range(4)
    ]
    histories, nothing = histories_of(relevant, NUM_ITEMS), histories_of([set()] * 4, NUM_ITEMS)
    ranker = fixed(torch.from_numpy(scores))
    users = ranker.known(nothing, torch.arange(4))
    judged = judge(ranker, users, nothing, histories, k, memory_mb=8)
    truth = np.array([[item in had for item in range(NUM_ITEMS)] for had in relevant], dtype=float)
    expected = [ndcg_score(truth[[user]], scores[[user]], k=k) for user in range(4)]
    assert per_user(judged, histories, (k,))[f"ndcg_at_{k}"] == pytest.approx(expected, abs=1e-12)


def test_sampled_metrics_by_hand():
    judged = Judged(torch.zeros(4, 20), torch.zeros(4, 20), torch.tensor([0, 1, 9, 10]))
    found = sampled_per_user(judged, 99)
    assert found["hit_rate_at_10_sampled99"].tolist() == [1.0, 1.0, 1.0, 0.0]
    assert found["ndcg_at_10_sampled99"] == pytest.approx([1.0, 1 / np.log2(3), 1 / np.log2(11), 0.0])


def test_an_item_that_the_ranker_does_not_know_is_no_sampled_hit_however_few_the_others_are(
    fixed, histories_of
):
    """With fewer than ten negatives the last place is still among the first ten."""
    ranker, nothing = fixed(torch.zeros(1, 5)), histories_of([set()], 8)
    users = ranker.known(nothing, torch.arange(1))
    rows = torch.tensor([[7, 0, 1, 2, -1]])
    judged = judge(ranker, users, nothing, histories_of([{7}], 8), 10, memory_mb=8, candidates=rows)
    found = sampled_per_user(judged, 4)
    assert found["hit_rate_at_10_sampled4"].tolist() == [0.0]
    assert found["ndcg_at_10_sampled4"].tolist() == [0.0]


def test_showing_everything_equally_often_has_no_gini_and_one_item_for_all_nearly_one():
    popularity = torch.arange(1, 11)
    even = catalogue_use(torch.arange(10).view(5, 2), popularity, tail_share=0.2)
    assert even["coverage"] == 1.0
    assert even["gini"] == pytest.approx(0.0)
    one = catalogue_use(torch.zeros(50, 1, dtype=torch.int64), popularity, tail_share=0.2)
    assert one["coverage"] == pytest.approx(0.1)
    assert one["gini"] == pytest.approx(0.9)
    assert one["tail_share"] == 1.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1, 6), min_size=1, max_size=40).filter(lambda shown: max(shown) >= 0))
def test_gini_is_half_the_mean_difference_relative_to_the_mean(shown):
    counts = np.bincount([item for item in shown if item >= 0], minlength=7)
    expected = np.abs(counts[:, None] - counts).mean() / (2 * counts.mean())
    found = catalogue_use(torch.tensor([shown]), torch.ones(7), tail_share=0.5)
    assert found["gini"] == pytest.approx(expected)
    assert found["coverage"] == (counts > 0).mean()


def test_lists_without_items_have_no_gini_and_do_not_crash():
    found = catalogue_use(torch.full((3, 2), -1), torch.ones(5), tail_share=0.2)
    assert found["coverage"] == 0.0
    assert np.isnan(found["gini"])
    assert np.isnan(found["tail_share"])


def test_the_long_tail_is_the_least_popular_items_and_holds_at_most_its_share():
    popularity = torch.tensor([50, 1, 5, 30, 10, 4])
    assert long_tail(popularity, 0.2).tolist() == [False, True, True, False, True, True]
    assert long_tail(popularity, 0.19).tolist() == [False, True, True, False, False, True]


def test_tail_share_counts_shown_items_of_the_tail():
    shown = torch.tensor([[0, 1], [3, -1]])
    found = catalogue_use(shown, torch.tensor([50, 1, 5, 30, 10, 4]), tail_share=0.2)
    assert found["tail_share"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("negatives", "fault"),
    [
        ([3, 4, 5], None),
        ([3, 4, 3], "duplicates"),
        ([3, 4, 1], "positives"),
        ([3, 4, 2], "positives"),
        ([3, 4, -1], "short"),
        ([3, -1, -1], "short"),
    ],
)
def test_the_audit_of_sampled_negatives_finds_each_planted_fault_and_no_other(histories_of, negatives, fault):
    """The user has had 0 and 1 before; 2 is the tested item."""
    found = sampled_audit(torch.tensor([[2, *negatives], [2, 3, 4, 5]]), histories_of([{0, 1}, {0}], 9))
    expected = {"users": 2, "duplicates": 0, "positives": 0, "short": 0} | ({fault: 1} if fault else {})
    assert found == expected
