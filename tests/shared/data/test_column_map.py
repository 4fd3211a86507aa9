"""A user's columns are found under the names that were declared, and a name that is wrong is said to be."""

import polars as pl
import pytest

from shared.data.column_map import parsed_column_map, require_declared, require_keys, source_columns
from shared.errors import RequestError

COLUMNS = ("key", "value")
TABLE = pl.DataFrame({"number": [1], "key": [2], "other": [3]})


def test_the_map_is_read_from_pairs_a_mapping_and_a_file(tmp_path):
    path = tmp_path / "columns.yaml"
    path.write_text("key: number\nvalue: other\n")
    wanted = {"key": "number", "value": "other"}
    for given in (["key=number", "value=other"], wanted, str(path)):
        assert parsed_column_map(given, COLUMNS) == wanted


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, "pairs such as key=YOUR_COLUMN"),
        (["key"], "pairs such as"),
        ({"key": 7}, "pairs such as"),
        ({"key": ""}, "pairs such as"),
        ({"kee": "a"}, r"the names key, value\. Received kee.*key"),
        ("/no/such/file.yaml", "a YAML file"),
    ],
    ids=["number", "no pair", "number for a name", "empty name", "unknown name", "no file"],
)
def test_a_map_that_makes_no_sense_is_refused(value, message):
    with pytest.raises(RequestError, match=rf"data\.columns: Expected .*{message}"):
        parsed_column_map(value, COLUMNS)


def test_a_declared_column_goes_before_one_that_happens_to_have_the_contracts_name():
    assert source_columns(TABLE, {"key": "number"}, COLUMNS) == {"key": "number"}
    assert source_columns(TABLE, {}, COLUMNS) == {"key": "key"}
    assert source_columns(TABLE, {"key": "gone"}, COLUMNS) == {"key": "key"}


def test_columns_that_are_not_there_are_refused_with_those_that_are():
    require_declared(TABLE, {"key": "number"})
    with pytest.raises(
        RequestError, match=r"Expected a column nmber in the table.*number.*There are: number, key"
    ):
        require_declared(TABLE, {"key": "nmber"})
    require_keys(TABLE, {"key": "number"}, ("key",))
    with pytest.raises(RequestError, match=r"a column value (.|\n)*data.columns=\[value=YOUR_COLUMN\]"):
        require_keys(TABLE, {"key": "number"}, COLUMNS)
