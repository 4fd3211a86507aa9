"""Histories are sets of items: every operation equals the same one on Python's sets, on every path."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recommender import histories as module
from pipelines.recommender.histories import Histories

NUM_ITEMS = 9
SETS = st.lists(st.sets(st.integers(0, NUM_ITEMS - 1)), min_size=1, max_size=7)


def made(sets: list[set[int]], num_items: int = NUM_ITEMS) -> Histories:
    pairs = [(user, item) for user, had in enumerate(sets) for item in had]
    users, items = (torch.tensor([pair[i] for pair in pairs], dtype=torch.int64) for i in (0, 1))
    return Histories.of_pairs(users, items, torch.ones(len(pairs)), len(sets), num_items)


def as_sets(histories: Histories) -> list[set[int]]:
    bounds = histories.offsets.tolist()
    return [set(histories.items[begin:end].tolist()) for begin, end in pairwise(bounds)]


def every_pair(num_users: int, num_items: int = NUM_ITEMS) -> tuple[torch.Tensor, torch.Tensor]:
    users, items = torch.meshgrid(torch.arange(num_users), torch.arange(num_items), indexing="ij")
    return users.reshape(-1), items.reshape(-1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(1, 5)), max_size=30))
def test_pairs_in_any_order_become_sorted_distinct_items_with_added_weights(rows):
    columns = [torch.tensor([row[i] for row in rows], dtype=torch.int64) for i in range(3)]
    found = Histories.of_pairs(columns[0], columns[1], columns[2].float(), 5, 7)
    expected: dict[tuple[int, int], float] = {}
    for user, item, weight in rows:
        expected[user, item] = expected.get((user, item), 0.0) + weight
    pairs = zip(found.users.tolist(), found.items.tolist(), strict=True)
    assert dict(zip(pairs, found.weights.tolist(), strict=True)) == expected
    assert list(zip(found.users.tolist(), found.items.tolist(), strict=True)) == sorted(expected)
    assert len(found) == 5
    assert int(found.offsets[-1]) == len(expected)


@settings(max_examples=60, deadline=None)
@given(SETS, st.data())
def test_selecting_rows_repeats_and_reorders_whole_users(sets, data):
    rows = data.draw(st.lists(st.integers(0, len(sets) - 1), max_size=8))
    selected = made(sets).select(torch.tensor(rows, dtype=torch.int64))
    assert as_sets(selected) == [sets[row] for row in rows]
    assert selected.counts.tolist() == [len(sets[row]) for row in rows]


@settings(max_examples=60, deadline=None)
@given(SETS, st.data())
def test_union_is_the_union_of_each_user_and_adds_weights(sets, data):
    others = data.draw(
        st.lists(st.sets(st.integers(0, NUM_ITEMS - 1)), min_size=len(sets), max_size=len(sets))
    )
    both = made(sets).union(made(others))
    assert as_sets(both) == [one | other for one, other in zip(sets, others, strict=True)]
    assert float(both.weights.sum()) == sum(map(len, sets)) + sum(map(len, others))


@settings(max_examples=60, deadline=None)
@given(SETS, st.integers(1, NUM_ITEMS))
def test_first_items_and_keeping_drop_pairs_and_never_users(sets, num_first):
    histories = made(sets)
    assert as_sets(histories.first_items(num_first)) == [
        {item for item in had if item < num_first} for had in sets
    ]
    odd = histories.keeping(histories.items % 2 == 1)
    assert as_sets(odd) == [{item for item in had if item % 2} for had in sets]
    assert len(odd) == len(sets)


@settings(max_examples=60, deadline=None)
@given(SETS)
def test_transposing_twice_gives_the_histories_back(sets):
    histories = made(sets)
    turned = histories.transposed()
    assert as_sets(turned) == [
        {user for user, had in enumerate(sets) if item in had} for item in range(NUM_ITEMS)
    ]
    again = turned.transposed()
    assert torch.equal(again.items, histories.items)
    assert torch.equal(again.offsets, histories.offsets)


@settings(max_examples=60, deadline=None)
@given(SETS)
def test_padding_holds_each_history_and_zeros_beyond_it(sets):
    items, weights = made(sets).padded()
    assert items.shape == (len(sets), max(map(len, sets)))
    for user, had in enumerate(sets):
        assert items[user, : len(had)].tolist() == sorted(had)
        assert weights[user].tolist() == [1.0] * len(had) + [0.0] * (items.shape[1] - len(had))


@settings(max_examples=60, deadline=None)
@given(SETS, st.integers(1, NUM_ITEMS + 3))
def test_masking_touches_what_was_had_and_nothing_else(sets, width):
    scores = torch.arange(float(len(sets) * width)).view(len(sets), width)
    masked = made(sets).mask_(scores.clone())
    for user, had in enumerate(sets):
        for item in range(width):
            expected = -torch.inf if item in had else scores[user, item]
            assert masked[user, item] == expected


@settings(max_examples=60, deadline=None)
@given(SETS)
def test_contain_asks_each_row_for_its_own_user_even_about_items_beyond_the_catalogue(sets):
    asked = torch.arange(NUM_ITEMS + 4).repeat(len(sets), 1)
    found = made(sets).contain(asked)
    assert found.tolist() == [[item in had for item in range(NUM_ITEMS + 4)] for had in sets]


@settings(max_examples=60, deadline=None)
@given(SETS, st.data())
def test_contain_pairs_answers_for_every_pair_of_the_other(sets, data):
    others = data.draw(
        st.lists(st.sets(st.integers(0, NUM_ITEMS - 1)), min_size=len(sets), max_size=len(sets))
    )
    other = made(others)
    expected = [
        item in sets[user] for user, item in zip(other.users.tolist(), other.items.tolist(), strict=True)
    ]
    assert made(sets).contain_pairs(other).tolist() == expected


@pytest.mark.parametrize("path", ["table", "hashed"])
@settings(max_examples=60, deadline=None)
@given(sets=SETS)
def test_membership_is_exact_for_every_pair(path, sets):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TABLE_CELLS", 1 << 26 if path == "table" else 0)
        contains = made(sets).membership()
    users, items = every_pair(len(sets))
    expected = [item in sets[user] for user, item in zip(users.tolist(), items.tolist(), strict=True)]
    assert contains(users, items).tolist() == expected


@pytest.mark.parametrize("slots_per_pair", [1, 16])
def test_hashed_membership_is_exact_where_the_catalogue_is_huge_and_slots_collide(
    monkeypatch, slots_per_pair
):
    """Keys beyond 2^40, as of ten million users: the hash works on numbers that no table could hold."""
    monkeypatch.setattr(module, "_SLOTS_PER_PAIR", slots_per_pair)
    num_users, num_items = 3_000_000, 1_000_000
    generator = torch.Generator().manual_seed(0)
    users = torch.randint(num_users, (4000,), generator=generator)
    items = torch.randint(num_items, (4000,), generator=generator)
    contains = Histories.of_pairs(users, items, torch.ones(4000), num_users, num_items).membership()
    assert contains(users, items).all()
    known = set(zip(users.tolist(), items.tolist(), strict=True))
    neighbours = (items + torch.randint(1, 50, (4000,), generator=generator)) % num_items
    expected = [pair in known for pair in zip(users.tolist(), neighbours.tolist(), strict=True)]
    assert contains(users, neighbours).tolist() == expected


@pytest.mark.parametrize("cells", [0, 1 << 26], ids=["hashed", "table"])
def test_users_without_anything_are_served_by_every_operation(monkeypatch, cells):
    monkeypatch.setattr(module, "_TABLE_CELLS", cells)
    nobody = made([set(), set()])
    assert nobody.counts.tolist() == [0, 0]
    assert nobody.padded()[0].shape == (2, 0)
    assert not nobody.contain(torch.arange(4).repeat(2, 1)).any()
    assert not nobody.membership()(*every_pair(2)).any()
    assert nobody.contain_pairs(nobody).shape == (0,)
    assert as_sets(nobody.union(nobody)) == [set(), set()]
    assert as_sets(nobody.transposed()) == [set()] * NUM_ITEMS
    assert len(made([]).select(torch.arange(0))) == 0
