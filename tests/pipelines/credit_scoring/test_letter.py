"""What an applicant is told: the decision, reasons to whom they are owed, and that it is a draft."""

import pytest

from pipelines.credit_scoring.letter import letter
from pipelines.credit_scoring.reasons import Reason

REASONS = [
    Reason("V1-INCOME", "Income too low (900 EUR)", 0.9),
    Reason("V1-DEBT", "Too much debt (0.8)", 0.4),
]


@pytest.mark.parametrize("decision", ["decline", "review"])
def test_whoever_is_not_approved_is_told_why_in_order(decision):
    text = letter("A-17", decision, REASONS)
    assert "application A-17" in text
    assert text.index("1. Income too low (900 EUR)") < text.index("2. Too much debt (0.8)")


def test_an_approved_applicant_is_given_no_adverse_reasons():
    text = letter("A-17", "approve", REASONS)
    assert "can be approved" in text
    assert "Income" not in text


@pytest.mark.parametrize("decision", ["approve", "review", "decline"])
def test_every_letter_says_that_it_is_a_draft(decision):
    assert "Draft." in letter("A-17", decision, [])
