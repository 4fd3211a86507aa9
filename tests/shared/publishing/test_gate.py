import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.publishing.gate import Candidate, Check, decide

GOOD = {"explanation_faithful": Check(True), "leak_audit_clean": Check(True)}
REAL = Candidate("widgets@1.2.0", "a" * 64, "plant_records", False, version=4, checks=GOOD)
MADE = replace(REAL, table="synthetic", generated=True)


def gap(low: float, high: float, *, higher: bool = True, n: int = 500) -> dict[str, Any]:
    return {"difference": (low + high) / 2, "low": low, "high": high, "n": n, "higher_is_better": higher}


@pytest.mark.parametrize(
    ("comparison", "promote", "outcome"),
    [
        (gap(0.01, 0.03), True, "better"),
        (gap(-0.005, 0.03), True, "not_worse"),
        (gap(-0.01, 0.03), True, "not_worse"),  # exactly the margin
        (gap(-0.02, 0.05), False, "unclear"),  # better on average, but not shown
        (gap(-0.05, -0.02), False, "worse"),
        (gap(-0.03, -0.01, higher=False), True, "better"),
        (gap(-0.03, 0.01, higher=False), True, "not_worse"),
        (gap(-0.03, 0.02, higher=False), False, "unclear"),
        (gap(0.02, 0.03, higher=False), False, "worse"),
        (gap(0.0, 0.0), True, "not_worse"),  # the same predictions
        (gap(math.nan, 0.1), False, "unclear"),
        (gap(-math.inf, 0.1), False, "unclear"),
        (gap(0.01, 0.03, n=0), False, "unclear"),
        ({"difference": 0.1}, False, "unclear"),
        (gap(0.01, 0.03) | {"higher_is_better": None}, False, "unclear"),
        (None, False, "unclear"),
    ],
)
def test_interval_decides_and_not_the_point(comparison: Any, promote: bool, outcome: str) -> None:
    decision = decide(replace(REAL, version=5), REAL, comparison, margin=0.01)
    assert (decision.promote, decision.outcome) == (promote, outcome)
    assert "version 4" in decision.reasons[0]
    json.dumps(decision.to_json())


def test_first_model_needs_only_its_own_checks() -> None:
    assert decide(MADE, None, margin=0.01).outcome == "first"


@pytest.mark.parametrize(
    ("check", "word"),
    [(Check(False, "order is random"), "did not pass"), (Check(None), "could not be judged")],
)
@pytest.mark.parametrize("champion", [None, REAL, MADE])
def test_failed_or_unknown_check_stops_every_promotion(
    check: Check, word: str, champion: Candidate | None
) -> None:
    challenger = replace(REAL, checks={**GOOD, "explanation_faithful": check})
    decision = decide(challenger, champion, gap(0.1, 0.2), margin=0.01)
    assert (decision.promote, decision.outcome) == (False, "checks_failed")
    assert word in decision.reasons[0]


def test_check_that_was_left_out_counts_as_not_passed() -> None:
    decision = decide(replace(REAL, checks={}), None, margin=0.0)
    assert len(decision.reasons) == 2
    assert decide(replace(REAL, checks={}), None, margin=0.0, required_checks=()).promote


def test_a_domains_own_check_counts_too() -> None:
    challenger = replace(REAL, checks={**GOOD, "beats_base_rate": Check(False, "it does not")})
    assert decide(challenger, None, margin=0.0).outcome == "checks_failed"


@pytest.mark.parametrize(
    ("challenger", "champion", "promote", "words"),
    [
        (REAL, MADE, True, "takes its place"),
        (MADE, REAL, False, "never replaces"),
        (REAL, replace(REAL, table="other_records"), False, "by hand"),
        (replace(REAL, contract_digest="b" * 64), REAL, False, "other columns"),
        (replace(REAL, contract="widgets@2.0.0"), REAL, False, "contract widgets@2.0.0"),
        (replace(REAL, contract="gears@1.2.0"), REAL, False, "contract gears@1.2.0"),
        (replace(REAL, contract="widgets@2.0.0"), MADE, True, "takes its place"),
        (replace(MADE, table="synthetic_large"), MADE, True, "generated table"),
    ],
)
def test_models_of_different_tables_are_never_compared_by_numbers(
    challenger: Candidate, champion: Candidate, promote: bool, words: str
) -> None:
    for comparison in (None, gap(0.1, 0.2), gap(-0.2, -0.1)):
        decision = decide(challenger, champion, comparison, margin=0.01)
        assert decision.promote is promote
        assert words in " ".join(decision.reasons)


def test_minor_versions_of_a_contract_are_comparable() -> None:
    challenger = replace(REAL, contract="widgets@1.3.0")
    assert decide(challenger, REAL, gap(0.01, 0.02), margin=0.0).outcome == "better"


@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
def test_senseless_margin_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        decide(REAL, None, margin=margin)


finite = st.floats(-1, 1)


@given(finite, finite, st.floats(0, 1), st.booleans())
def test_direction_is_a_mirror(one: float, other: float, margin: float, higher: bool) -> None:
    low, high = min(one, other), max(one, other)
    straight = decide(REAL, REAL, gap(low, high, higher=higher), margin=margin)
    mirrored = decide(REAL, REAL, gap(-high, -low, higher=not higher), margin=margin)
    assert straight.outcome == mirrored.outcome


@given(finite, finite, st.floats(0, 1), st.floats(0, 1))
def test_wider_margin_never_refuses_what_a_narrow_one_allows(
    one: float, other: float, a: float, b: float
) -> None:
    comparison = gap(min(one, other), max(one, other))
    narrow, wide = (decide(REAL, REAL, comparison, margin=margin).promote for margin in sorted((a, b)))
    assert wide or not narrow
