"""What cannot be used is in quarantine with its reason, and too much of it is refused."""

import polars as pl
import pytest

from shared.contracts.refused import Refused, require_few, without_refused
from shared.contracts.table import TableCheck, check_table
from shared.errors import RequestError

GONE = Refused("c", "no such file")


@pytest.fixture
def checked(contract) -> TableCheck:
    """Four valid rows and one that breaks the contract, of which two may be lost."""
    columns = [
        {"name": "key", "logicalType": "string", "required": True, "primaryKey": True},
        {"name": "x", "logicalType": "number", "logicalTypeOptions": {"minimum": 0}},
    ]
    frame = pl.DataFrame({"key": ["a", "b", "c", "d", "e"], "x": [1, -1, 2, 3, 4]})
    return check_table(frame, contract(columns, maxQuarantinedPercent=40))


def test_rows_of_what_was_refused_are_in_quarantine_and_no_longer_valid(checked):
    found = without_refused(checked, [GONE], key="key", rule="file")
    assert found.valid["key"].to_list() == ["a", "d", "e"]
    assert found.quarantined["key"].to_list() == ["b", "c"]
    assert found.quarantined["broken_rules"][1] == "file: no such file"
    assert found.quarantined.columns == checked.quarantined.columns


def test_without_anything_refused_the_check_stays_as_it_is(checked):
    assert without_refused(checked, [], key="key", rule="file") is checked


def test_what_is_refused_counts_with_the_rows_that_break_the_contract(checked):
    require_few(checked, [GONE], what="files")
    with pytest.raises(RequestError, match="at most 40 % of the files") as error:
        require_few(checked, [GONE, *(Refused(name, "empty") for name in "ade")], what="files")
    lines = str(error.value).splitlines()
    assert "Received 4 of 5" in lines[0]
    assert lines[1:] == ["c: no such file", "a: empty", "d: empty", "Correct them, or leave them out."]
