"""Ids become indices and attributes become inputs, fitted on what the model knows; strangers are -1, never somebody."""

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recommender.attributes import Attribute, encode_table
from pipelines.recommender.features import Catalogue

ODD = [
    "",
    " ",
    "a b",
    "ä",
    "Ä",
    "a\nb",
    'say "x"',
    "a,b",
    "a|b",
    "0",
    "00",
    "1e3",
    "null",
    "NaN",
    "日本",
    "🎵",
    "^a$",
    "*",
]


def table(*pairs: tuple[str, str], **columns: list[float]) -> pl.DataFrame:
    users, items = zip(*pairs, strict=True)
    return pl.DataFrame({"user_id": users, "item_id": items, **columns})


SMALL = table(("b", "y"), ("a", "x"), ("b", "x"), ("c", "z"), weight=[2.0, 1.0, 0.5, 4.0])

FOUR = pl.concat([SMALL, table(("c", "w"), weight=[1.0])])
ITEMS = pl.DataFrame(
    {
        "item_id": ["cold", "z", "y", "x", "w"],
        "title": ["C", "", None, "X!", "w"],
        "kind": ["p", "p", "q", "p", "q"],
    }
)


def test_indices_follow_the_ids_and_not_the_order_of_rows():
    catalogue, turned = Catalogue.fit(SMALL), Catalogue.fit(SMALL.reverse())
    assert catalogue.users.to_list() == turned.users.to_list() == ["a", "b", "c"]
    assert catalogue.items.to_list() == turned.items.to_list() == ["x", "y", "z"]
    assert catalogue.num_warm == 3
    assert not catalogue.has_attributes


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ODD), st.sampled_from(ODD)), min_size=1, max_size=30))
def test_ids_with_odd_characters_find_their_place_and_strangers_none(pairs):
    frame = table(*pairs).unique()
    catalogue = Catalogue.fit(frame)
    assert (
        catalogue.users[catalogue.user_index(frame["user_id"]).numpy()].to_list()
        == frame["user_id"].to_list()
    )
    assert (
        catalogue.items[catalogue.item_index(frame["item_id"]).numpy()].to_list()
        == frame["item_id"].to_list()
    )
    every = pl.Series(ODD)
    expected = [id in set(frame["user_id"]) for id in ODD]
    assert (catalogue.user_index(every) >= 0).tolist() == expected
    histories = catalogue.histories(frame)
    assert int(histories.counts.sum()) == len(frame)


def test_histories_carry_weights_and_leave_strangers_out():
    catalogue = Catalogue.fit(SMALL)
    frame = table(("b", "y"), ("b", "new"), ("stranger", "x"), ("b", "x"), weight=[3.0, 1.0, 1.0, 2.0])
    histories = catalogue.histories(frame)
    assert histories.counts.tolist() == [0, 2, 0]
    assert histories.items.tolist() == [0, 1]
    assert histories.weights.tolist() == [2.0, 3.0]
    assert catalogue.histories(frame.drop("weight")).weights.tolist() == [1.0, 1.0]


def test_an_interaction_without_a_weight_counts_as_one():
    """As the contract says, and as training reads it."""
    frame = pl.DataFrame(
        {"user_id": ["a"], "item_id": ["x"], "weight": [None]}, schema_overrides={"weight": pl.Float64}
    )
    assert Catalogue.fit(SMALL).histories(frame).weights.tolist() == [1.0]


def test_relevant_items_beyond_the_catalogue_are_kept_and_numbered_behind_it():
    catalogue = Catalogue.fit(SMALL)
    frame = table(("a", "new 2"), ("a", "y"), ("b", "new 1"), ("b", "new 2"), ("stranger", "x"))
    relevant = catalogue.relevant(frame)
    assert relevant.num_items == 5
    assert relevant.counts.tolist() == [2, 2, 0]
    assert relevant.items.tolist() == [1, 4, 3, 4]


def test_items_with_attributes_alone_stand_behind_those_with_interactions():
    catalogue = Catalogue.fit(FOUR, ITEMS)
    assert catalogue.items.to_list() == ["w", "x", "y", "z", "cold"]
    assert catalogue.num_warm == 4
    assert catalogue.item_attributes.tolist() == [[0, 1], [1, 0], [0, 1], [1, 0], [1, 0]]
    assert [catalogue.title_of(item) for item in range(5)] == ["w", "X!", "y", "z", "C"]
    assert catalogue.histories(FOUR).num_items == 5


def test_attributes_that_say_nothing_bring_no_items_and_no_inputs():
    items = pl.DataFrame({"item_id": ["cold", "x", "y", "z"], "title": list("cxyz"), "maker": ["same"] * 4})
    catalogue = Catalogue.fit(SMALL, items)
    assert len(catalogue.items) == catalogue.num_warm == 3
    assert not catalogue.has_attributes
    assert catalogue.title_of(0) == "x"


def test_users_keep_their_attributes_and_unknown_users_in_the_table_do_not_matter():
    users = pl.DataFrame({"user_id": ["c", "stranger", "a", "b"], "segment": ["s", "t", "s", "t"]})
    users = pl.concat([users, pl.DataFrame({"user_id": ["d"], "segment": ["t"]})])
    frame = pl.concat([SMALL.drop("weight"), table(("d", "x"))])
    assert Catalogue.fit(frame, users=users).user_attributes.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]


def test_a_saved_catalogue_is_the_same(tmp_path):
    catalogue = Catalogue.fit(FOUR, ITEMS)
    catalogue.save(tmp_path / "new")
    again = Catalogue.load(tmp_path / "new")
    assert {path.suffix for path in (tmp_path / "new").iterdir()} == {".parquet"}
    assert again.users.to_list() == catalogue.users.to_list()
    assert again.items.to_list() == catalogue.items.to_list()
    assert again.num_warm == catalogue.num_warm
    assert [again.title_of(i) for i in range(5)] == [catalogue.title_of(i) for i in range(5)]


def encoded(name: str, values: list, wanted: list[str] | None = None) -> torch.Tensor | None:
    keys = [f"k{row}" for row in range(len(values))]
    found = encode_table(
        pl.DataFrame({"item_id": keys, name: values}, strict=False), "item_id", pl.Series(wanted or keys)
    )
    return None if found is None else found[0]


def test_several_levels_share_a_row_and_unknown_ones_leave_it_empty():
    found = encoded("genres", ["Action|Comedy", "Action", "Comedy", None, "Drama", "", "Action|Action"])
    assert found.tolist() == [[0.5, 0.5], [1, 0], [0, 1], [0, 0], [0, 0], [0, 0], [1, 0]]


def test_numbers_fall_into_bins_of_about_equal_size_and_gaps_into_none():
    found = encoded("year", [*range(80), None, float("nan"), float("inf")])
    assert found.shape == (83, 8)
    assert found[:80].sum(0).tolist() == pytest.approx([10] * 8, abs=1)
    assert not found[80:].any()
    assert (found.argmax(1)[:80].diff() >= 0).all()


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(
        st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0])), min_size=2, max_size=40
    ),
    texts=st.lists(
        st.one_of(st.none(), st.sampled_from(["p", "q", "p|q", "", "|", "r"])), min_size=2, max_size=40
    ),
)
def test_rows_of_any_table_sum_to_at_most_one_and_are_never_negative(numbers, texts):
    size = min(len(numbers), len(texts))
    keys = [f"k{row}" for row in range(size)]
    frame = pl.DataFrame(
        {"item_id": keys, "number": numbers[:size], "text": texts[:size]},
        schema={"item_id": pl.String, "number": pl.Float64, "text": pl.String},
    )
    found = encode_table(frame, "item_id", pl.Series(keys))
    if found is not None:
        assert float(found[0].min()) >= 0.0
        assert float(found[0].sum(1).max()) <= 1.0 + 1e-6
        assert found[0].sum() > 0, "inputs that no row has"


@pytest.mark.parametrize(
    "values",
    [
        ["same"] * 6,
        [f"text {row}" for row in range(6)],
        [None] * 6,
        [3.0] * 6,
        [float("nan")] * 6,
        [True] * 6,
    ],
    ids=["constant", "all different", "empty", "one number", "not numbers", "one truth"],
)
def test_a_column_that_says_nothing_has_no_inputs(values):
    assert encoded("column", values) is None


@pytest.mark.parametrize("name", ["count", "proportion", "id", "place", "level", "^k.*$", "*", "a b"])
@pytest.mark.parametrize("values", [list("ppqq"), [1, 1, 2, 2]], ids=["text", "numbers"])
def test_a_column_may_have_any_name(name, values):
    found = encoded(name, values).argmax(1)
    assert found[0] == found[1] < found[2] == found[3]


def test_titles_and_keys_are_no_attributes():
    frame = pl.DataFrame({"item_id": list("abcd"), "title": list("ppqq"), "kind": list("ppqq")})
    assert encode_table(frame, "item_id", frame["item_id"])[1] == ["kind"]


def test_the_encoding_is_fitted_on_the_wanted_keys_alone():
    """Levels that only items outside the model have would be inputs that never vary."""
    found = encoded("kind", ["p", "p", "q", "q", "r", "r"], wanted=["k0", "k1", "k2", "k3"])
    assert found.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


def test_only_the_most_frequent_levels_are_kept_whatever_the_order_of_rows():
    values = pl.Series("kind", [f"{level:03}" for level in range(150) for _ in range(2)] + ["149"])
    levels = Attribute.fit(values).levels
    assert len(levels) == 100
    assert levels[0] == "149"
    assert levels == Attribute.fit(values.reverse()).levels
