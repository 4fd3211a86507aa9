import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.data.columns import absent, load_column_map, renamed
from shared.errors import RequestError

TABLE = pl.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [0.5, None]})


def test_pairs_and_a_yaml_file_say_the_same(tmp_path):
    path = tmp_path / "columns.yaml"
    path.write_text("width: w\nheight: h=x\n", encoding="utf-8")
    expected = {"width": "w", "height": "h=x"}
    assert load_column_map(str(path)) == load_column_map(["width=w", "height=h=x"]) == expected


@pytest.mark.parametrize("value", [None, {"width": "w"}, 3, ["width"], [1, 2]], ids=repr)
def test_anything_else_is_left_for_the_configuration_to_judge(value):
    assert load_column_map(value) is value


@pytest.mark.parametrize(
    "content",
    [
        b"- a\n- b\n",
        b"",
        b"just words",
        b"a: [",
        b"\xff\xfe",
        b"\x00\x01",
        b"a: !!python/object:os.system {}",
    ],
    ids=["list", "empty", "text", "broken", "encoding", "control", "code"],
)
def test_file_that_holds_no_mapping_is_a_request_error(tmp_path, content):
    path = tmp_path / "columns.yaml"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=r"^data\.columns: Expected a .*columns\.yaml"):
        load_column_map(str(path))


@pytest.mark.parametrize("name", ["no/such.yaml", "", "nul\x00.yaml"], ids=["absent", "empty", "nul"])
def test_file_that_cannot_be_read_is_a_request_error(name):
    with pytest.raises(RequestError, match=r"^data\.columns: Expected a YAML file"):
        load_column_map(name)


def test_renaming_swaps_names_and_leaves_the_rest():
    assert renamed(TABLE, {"a": "b", "b": "a"}).equals(TABLE.select(b="a", a="b", c="c"))


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        ({"x": "y", "a": "z"}, ["Received none called x.", "There are: a, b, c."]),
        ({"a": "b"}, ["Received b twice"]),
        ({"a": "z", "b": "z"}, ["Received z twice"]),
    ],
    ids=["absent", "taken", "twice"],
)
def test_renaming_that_does_not_fit_is_a_request_error(names, parts):
    with pytest.raises(RequestError) as raised:
        renamed(TABLE, names)
    assert all(part in str(raised.value) for part in parts)


@given(st.permutations(["a", "b", "c"]), st.sets(st.sampled_from(["a", "b", "c"])))
def test_renaming_moves_no_value_and_back_again_gives_the_table(targets, moved):
    names = {
        name: f"{target}_new" for name, target in zip(TABLE.columns, targets, strict=True) if name in moved
    }
    there = renamed(TABLE, names)
    assert renamed(there, {new: old for old, new in names.items()}).equals(TABLE)
    assert all(there[new].equals(TABLE[old]) for old, new in names.items())


def test_absent_column_is_told_with_close_names_and_what_there_is():
    assert str(absent("widht", ["width", "height"])) == (
        "Expected a column widht in the table (close: width). There are: width, height."
    )


def test_very_wide_table_does_not_fill_the_screen():
    message = str(absent("zzz", [f"column_{number}" for number in range(5000)]))
    assert "column_29 and 4970 more." in message
    assert len(message) < 600
