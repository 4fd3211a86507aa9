"""What is remembered of scoring: counts, drift, broken rules; never a value of a row."""

from pathlib import Path

import pytest

from shared.contracts.report import ContractBroken, Violation
from shared.errors import RequestError
from shared.orchestration.score_log import logged, score_log
from shared.orchestration.scoring import ScoreSummary


def summary(**changes: object) -> ScoreSummary:
    facts = {
        "pipeline": "toys",
        "version": "2",
        "contract": "toys@1.0.0",
        "rows": {"in": 3, "scored": 3},
        "output": "/somewhere/out.csv",
        "quarantine": None,
        "explanations": None,
        "drift": {"drifted": False, "columns": []},
        "seconds": 0.5,
    }
    return ScoreSummary.model_validate(facts | changes)


def refuse() -> ScoreSummary:
    violation = Violation("range", "income", 2, "at least 0", rows=(1, 2), examples=("-17", "-18"))
    raise ContractBroken("Expected at most 5 % broken rows. Received 2 of 3.", [violation])


def test_every_scoring_is_remembered_in_order_and_the_chain_holds():
    for name in ("monday.csv", "tuesday.csv"):
        assert logged("toys", Path("/data", name), summary) == summary()
    first, second = score_log("toys").read()
    assert (first["event"], first["input"], second["input"]) == ("score", "monday.csv", "tuesday.csv")
    assert first["path"] == "/data/monday.csv"
    assert {name: first[name] for name in ("version", "contract", "rows", "drift", "seconds")} == {
        "version": "2",
        "contract": "toys@1.0.0",
        "rows": {"in": 3, "scored": 3},
        "drift": {"drifted": False, "columns": []},
        "seconds": 0.5,
    }
    assert score_log("toys").verify() == 2


def test_a_broken_contract_is_remembered_with_its_rules_and_without_values():
    with pytest.raises(ContractBroken):
        logged("toys", Path("/data/monday.csv"), refuse)
    [event] = score_log("toys").read()
    assert (event["event"], event["input"]) == ("contract", "monday.csv")
    assert event["broken"] == [{"rule": "range", "column": "income", "count": 2}]
    assert "-17" not in score_log("toys").path.read_text()


def test_a_request_that_says_nothing_about_data_is_not_remembered():
    def wrong() -> ScoreSummary:
        raise RequestError("toys has no version '7'.")

    with pytest.raises(RequestError):
        logged("toys", Path("/data/monday.csv"), wrong)
    assert not score_log("toys").path.exists()
