import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.data import hashing
from shared.data.hashing import hash_cells
from shared.data.splits import row_keys, split_by_hash, split_by_time, split_stratified_by_hash
from shared.errors import RequestError

keys_lists = st.lists(st.text(max_size=8), min_size=1, max_size=40)


def part_by_key(keys: list, split) -> dict:
    found = {}
    for name, rows in split.parts().items():
        for row in rows:
            assert found.setdefault(keys[row], name) == name
    return found


def assert_partition(split, num_rows: int) -> None:
    assert sorted(np.concatenate(list(split.parts().values())).tolist()) == list(range(num_rows))


def test_hash_is_pinned_forever():
    # A change here would move rows between the parts of every published split.
    found = hash_cells(pl.Series(["a", "", "é" * 10, None]), "salt").tolist()
    assert found == [9284197367491334390, 2794304801140600949, 8592712339776011089, 10645137863301647572]


def test_hash_agrees_between_processes():
    code = "import polars as pl; from shared.data.hashing import *; print(hash_cells(pl.Series([1, 2]), 's'))"
    output = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert output.stdout.strip() == str(hash_cells(pl.Series([1, 2]), "s"))


def test_values_that_read_the_same_hash_the_same_in_any_type():
    expected = hash_cells(pl.Series(["5", "-7", None]), "s").tolist()
    for values in (
        pl.Series([5, -7, None], dtype=pl.Int8),
        pl.Series([5.0, -7.0, float("nan")]),
        pl.Series([5.0, -7.0, None], dtype=pl.Float32),
        pl.Series(["5", "-7", None], dtype=pl.Categorical),
    ):
        assert hash_cells(values, "s").tolist() == expected
    midnight = pl.Series([datetime(2020, 1, 2)])
    assert hash_cells(pl.Series([date(2020, 1, 2)]), "s") == hash_cells(midnight.cast(pl.Datetime("ns")), "s")


def test_close_floats_infinities_and_empty_text_are_told_apart():
    values = pl.Series([0.1, 0.1 + 2**-56, float("inf"), -float("inf"), 1e300, -1e300, 2.5])
    assert len(np.unique(hash_cells(values, "s"))) == 7
    assert hash_cells(pl.Series([-0.0]), "s") == hash_cells(pl.Series([0.0]), "s")
    assert len(np.unique(hash_cells(pl.Series(["", None, " ", "a", "aa", "a" * 5000, "a" * 5001]), "s"))) == 7


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=12)), max_size=60), st.integers(1, 40))
def test_hash_of_a_cell_does_not_depend_on_its_neighbours_or_blocks(cells, block):
    series = pl.Series(cells, dtype=pl.String)
    whole = hash_cells(series, "s")
    single = [hash_cells(pl.Series([cell], dtype=pl.String), "s")[0] for cell in cells]
    assert whole.tolist() == single
    usual, hashing._BLOCK_BYTES = hashing._BLOCK_BYTES, block
    try:
        assert hash_cells(series, "s").tolist() == single
    finally:
        hashing._BLOCK_BYTES = usual


def test_hash_spreads_consecutive_numbers_evenly_over_all_bits():
    hashed = hash_cells(pl.Series(np.arange(100_000)), "s")
    assert len(np.unique(hashed)) == 100_000
    shares = [(hashed >> np.uint64(bit) & np.uint64(1)).mean() for bit in range(64)]
    assert max(abs(share - 0.5) for share in shares) < 0.01
    other = hash_cells(pl.Series(np.arange(100_000)), "t")
    assert abs(np.corrcoef(hashed.astype(float), other.astype(float))[0, 1]) < 0.02


def test_nested_values_are_refused_as_keys():
    with pytest.raises(RequestError, match="another key column"):
        hash_cells(pl.Series("k", [[1], [2]]), "s")


def test_hash_split_is_near_its_fractions():
    sizes = split_by_hash(pl.Series(range(50_000)), (0.7, 0.1, 0.2), salt="x").sizes()
    assert sizes["train"] == pytest.approx(35_000, abs=400)
    assert sizes["validation"] == pytest.approx(5_000, abs=270)


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=200), st.lists(st.integers(0, 200), max_size=100))
def test_key_never_changes_its_part_when_the_table_grows(keys, more):
    base = list(range(1000, 1200))  # enough that no part is empty
    before = split_by_hash(pl.Series(base + keys), salt="s")
    grown = [*reversed(more), *base, *keys]
    after = part_by_key(grown, split_by_hash(pl.Series(grown), salt="s"))
    assert_partition(before, len(base + keys))
    for key, part in part_by_key(base + keys, before).items():
        assert after[key] == part


def test_salt_gives_another_split():
    keys = pl.Series(range(1000))
    assert set(split_by_hash(keys, salt="a").test) != set(split_by_hash(keys, salt="b").test)


def test_part_with_fraction_zero_is_empty_and_others_are_not():
    split = split_by_hash(pl.Series(range(100)), (0.5, 0.0, 0.5))
    assert split.sizes()["validation"] == 0
    assert split.validation.dtype == np.int64


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5, 0.5), (0, 0.5, 0.5), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)]
)
def test_fractions_that_make_no_sense_are_refused(fractions):
    with pytest.raises(RequestError, match="sum to 1"):
        split_by_hash(pl.Series(range(100)), fractions)


@pytest.mark.parametrize(
    "keys", [pl.Series([], dtype=pl.Int64), pl.Series(["a", None]), pl.Series([1.0, float("nan")])]
)
def test_missing_keys_and_empty_tables_are_refused(keys):
    with pytest.raises(RequestError, match="Received"):
        split_by_hash(keys)


def test_one_row_cannot_be_split():
    with pytest.raises(RequestError, match="Received none for"):
        split_by_hash(pl.Series(["only"]))


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=30, max_size=300), st.integers(0, 5))
def test_stratified_split_is_exact_to_one_row_within_each_class(labels, salt):
    labels = labels + [True] * 10 + [False] * 10
    split = split_stratified_by_hash(pl.Series(range(len(labels))), pl.Series(labels), salt=str(salt))
    assert_partition(split, len(labels))
    array = np.array(labels)
    for label in (True, False):
        total = (array == label).sum()
        for rows, fraction in zip(split.parts().values(), (0.6, 0.2, 0.2), strict=True):
            assert abs((array[rows] == label).sum() - fraction * total) <= 1


@settings(deadline=None)
@given(st.permutations(range(60)))
def test_stratified_split_ignores_the_order_of_rows_and_keeps_equal_keys_together(order):
    keys = [index // 2 for index in range(60)]
    labels = [index % 3 == 0 for index in range(60)]
    first = part_by_key(keys, split_stratified_by_hash(pl.Series(keys), pl.Series(labels)))
    shuffled = [keys[index] for index in order]
    split = split_stratified_by_hash(pl.Series(shuffled), pl.Series([labels[index] for index in order]))
    assert part_by_key(shuffled, split) == first


def test_class_too_rare_for_every_part_is_refused():
    with pytest.raises(RequestError, match="of class 1 for every part"):
        split_stratified_by_hash(pl.Series(range(100)), pl.Series([1, 1] + [0] * 98))
    with pytest.raises(RequestError, match="one target for each key"):
        split_stratified_by_hash(pl.Series(range(100)), pl.Series([1]))


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=3, max_size=200), st.integers(0, 5))
def test_time_split_never_trains_on_the_future_and_keeps_equal_times_together(times, gap):
    if len(set(times)) < 3:
        times = [*times, 60, 61, 62]
    array = np.array(times)
    full = split_by_time(pl.Series(times))
    assert_partition(full, len(times))
    assert array[full.train].max() < array[full.validation].min()
    assert array[full.validation].max() < array[full.test].min()
    try:
        purged = split_by_time(pl.Series(times), gap=gap)
    except RequestError:
        return
    assert purged.test.tolist() == full.test.tolist()
    if gap:
        assert array[purged.train].max() <= array[full.validation].min() - gap
        assert array[purged.validation].max() <= array[full.test].min() - gap


def test_time_split_takes_dates_and_is_exact_without_ties():
    days = [date(2024, 1, 1) + timedelta(days=day) for day in range(100)]
    assert split_by_time(pl.Series(days)).sizes() == {"train": 60, "validation": 20, "test": 20}
    gapped = split_by_time(pl.Series(days), gap=timedelta(days=7))
    assert gapped.sizes() == {"train": 54, "validation": 14, "test": 20}
    zoned = pl.Series([datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(10)])
    assert split_by_time(zoned, (0.8, 0.0, 0.2)).sizes() == {"train": 8, "validation": 0, "test": 2}


@pytest.mark.parametrize(
    ("times", "gap", "message"),
    [
        ([1, 1, 2], 0, "3 distinct times"),
        ([1.0, None, 2.0], 0, "1 missing"),
        ([1, 2, 3], 10, "none for train"),
        ([1, 2, 3], -1, "gap of 0 or more"),
        ([1, 2, 3], float("nan"), "gap of 0 or more"),
        (["a", "b", "c"], 0, "Expected dates"),
        ([date(2020, 1, 1)] * 3, 5, "Expected a timedelta"),
    ],
)
def test_times_that_cannot_be_split_are_refused(times, gap, message):
    with pytest.raises(RequestError, match=message):
        split_by_time(pl.Series(times), gap=gap)


def test_row_keys_join_duplicates_whatever_the_order_of_columns_and_types():
    frame = pl.DataFrame({"a": [1, 1, 2], "b": ["x", "x", "x"], "c": [None, None, 1.5]})
    keys = row_keys(frame)
    assert keys.dtype == pl.UInt64
    assert keys[0] == keys[1] != keys[2]
    assert row_keys(frame.select("c", "b", pl.col("a").cast(pl.Float32))).equals(keys)
    assert row_keys(frame, ["b"]).n_unique() == 1


def test_row_keys_do_not_confuse_columns():
    frame = pl.DataFrame({"a": ["x", "y", "", "ab"], "b": ["y", "x", "ab", ""]})
    assert row_keys(frame).n_unique() == 4
    with pytest.raises(RequestError, match="nothing"):
        row_keys(frame, ["nothing"])
    with pytest.raises(RequestError, match="columns of the table"):
        row_keys(frame, [])
