"""The day's numbers are those that one counts by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.fraud_detection.metrics import card_precision_at_k, ranks_of_day, recall_at_budget

START = datetime(2024, 3, 1, tzinfo=UTC)
# Day, customer, score, whether it is fraud.
ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 4), st.integers(0, 1)),
    min_size=1,
    max_size=40,
)


def columns(rows) -> tuple[pl.Series, pl.Series, np.ndarray, np.ndarray]:
    days, customers, scores, frauds = zip(*rows, strict=True)
    times = pl.Series([START + timedelta(days=day, hours=number % 24) for number, day in enumerate(days)])
    ids = pl.Series([f"c{number}" for number in customers])
    return times, ids, np.array(scores, dtype=float), np.array(frauds)


def by_hand(rows, k: int) -> list[float]:
    """Card precision in loops."""
    found: set[int] = set()
    values = []
    for day in sorted({row[0] for row in rows}):
        cards: dict[int, tuple[int, int]] = {}
        for _, customer, score, fraud in (row for row in rows if row[0] == day):
            best, any_fraud = cards.get(customer, (-1, 0))
            cards[customer] = (max(best, score), max(any_fraud, fraud))
        ranked = sorted((c for c in cards if c not in found), key=lambda c: (-cards[c][0], c))[:k]
        hits = [customer for customer in ranked if cards[customer][1]]
        found.update(hits)
        values.append(len(hits) / k)
    return values


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, k=st.integers(1, 4))
def test_card_precision_is_what_one_counts_by_hand(rows, k):
    times, ids, scores, frauds = columns(rows)
    assert card_precision_at_k(times, ids, scores, frauds, k).values.tolist() == by_hand(rows, k)


def test_a_card_counts_once_a_day_and_not_again_after_it_was_found():
    rows = [(0, 1, 9, 1), (0, 1, 8, 1), (0, 2, 7, 0), (1, 1, 9, 1), (1, 2, 5, 1), (1, 3, 4, 0)]
    found = card_precision_at_k(*columns(rows), k=2)
    assert found.values.tolist() == [0.5, 0.5]
    assert found.days == (START, START + timedelta(days=1))
    assert found.mean == 0.5


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, budget=st.integers(1, 4))
def test_recall_at_the_budget_is_what_one_counts_by_hand(rows, budget):
    times, _, scores, frauds = columns(rows)
    expected = []
    for day in sorted({row[0] for row in rows}):
        of_day = sorted((row for row in rows if row[0] == day), key=lambda row: -row[2])
        total = sum(row[3] for row in of_day)
        if total:
            expected.append(sum(row[3] for row in of_day[:budget]) / total)
    assert recall_at_budget(times, scores, frauds, budget).values.tolist() == pytest.approx(expected)


def test_days_without_frauds_have_no_recall_and_a_table_without_any_no_mean():
    times, _, scores, frauds = columns([(0, 1, 1, 0), (1, 1, 1, 1), (2, 1, 1, 0)])
    assert recall_at_budget(times, scores, frauds, 1).days == (START + timedelta(days=1),)
    assert np.isnan(recall_at_budget(times, scores, np.zeros(3, dtype=int), 1).mean)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_ranks_of_a_day_run_from_1_in_the_order_of_scores(rows):
    times, _, scores, _ = columns(rows)
    ranks = ranks_of_day(times, scores)
    for day in {row[0] for row in rows}:
        of_day = [number for number, row in enumerate(rows) if row[0] == day]
        ordered = sorted(of_day, key=lambda number: (-scores[number], number))
        assert [int(ranks[number]) for number in ordered] == list(range(1, len(of_day) + 1))
