"""The first step's result holds every row that came in, in the table or in quarantine, and says what became of it."""

from typing import Any

import polars as pl
import pytest

from shared.contracts.contract import load
from shared.contracts.table import TableCheck, check_table
from shared.data.store import default_store
from shared.orchestration.ingested import IngestedTable
from shared.orchestration.stored import identified

SOURCE = identified("synthetic", [])


class WithMore(IngestedTable):
    colour: str


def checked(**changes: Any) -> TableCheck:
    """Twenty interactions; changes replace the first value of a column."""
    columns: dict[str, list[Any]] = {
        "user_id": [f"u{row}" for row in range(20)],
        "item_id": ["i"] * 20,
        "weight": [1.0] * 20,
    }
    for name, value in changes.items():
        columns[name][0] = value
    return check_table(pl.DataFrame(columns), load("interactions"))


def test_rows_in_quarantine_are_kept_counted_and_noted():
    found = checked(weight=-1.0)
    ingested = IngestedTable.of(SOURCE, found, found.require(), ["Read as text."])
    assert ingested.counts() == {"in": 20, "quarantined": 1}
    quarantine = ingested.quarantined_rows()
    assert quarantine is not None
    assert quarantine["user_id"].to_list() == ["u0"]
    assert default_store().frame(ingested.table).height == 19
    assert ingested.notes[0] == "Read as text."
    assert ingested.notes[1].startswith("Quarantine: weight")
    assert len(ingested.notes) == 2


def test_clean_table_has_no_quarantine():
    found = checked()
    ingested = IngestedTable.of(SOURCE, found, found.require(), [])
    assert ingested.quarantined_rows() is None
    assert ingested.quarantine is None
    assert ingested.notes == ()


def test_facts_of_a_model_name_the_usable_rows_that_it_was_trained_on():
    found = checked(weight=-1.0)
    one, other = (
        WithMore.of(SOURCE, found, usable, [], colour="blue")
        for usable in (found.require(), found.require()[:5])
    )
    facts = one.facts("recommender", preset="tiny", seed=3)
    assert (facts.contract, facts.contract_digest) == (
        load("interactions").id_version,
        load("interactions").digest,
    )
    assert (
        facts.input_digest
        == one.table.sha256
        != other.facts("recommender", preset="tiny", seed=3).input_digest
    )
    assert facts.code_digest != one.facts("credit_scoring", preset="tiny", seed=3).code_digest


def test_what_a_pipeline_adds_is_required():
    found = checked()
    with pytest.raises(ValueError, match="colour"):
        WithMore.of(SOURCE, found, found.require(), [])
