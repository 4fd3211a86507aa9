"""A source that is a path is found, and anything else is refused with what there is."""

import pytest

from shared.data.own_table import own_table_path
from shared.errors import RequestError


def test_file_is_found(tmp_path):
    (tmp_path / "own.csv").write_text("a\n1\n")
    assert (
        own_table_path(str(tmp_path / "own.csv"), expected="loans", known="synthetic") == tmp_path / "own.csv"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("german_credit", "Expected a source of loans. Received german_credit, a data set of another domain"),
        (
            "no/such.csv",
            "Expected synthetic or the path of a table. Received 'no/such.csv': there is no such",
        ),
        ("/", "a folder"),
    ],
    ids=["other-domain", "missing", "folder"],
)
def test_anything_else_is_refused(source, message):
    with pytest.raises(RequestError, match=message):
        own_table_path(source, expected="loans", known="synthetic")
