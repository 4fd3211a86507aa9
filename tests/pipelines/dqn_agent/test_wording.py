"""How rewards and decisions are written."""

import pytest

from pipelines.dqn_agent.wording import amount, decision_sentence, share, signed, with_unit

EXAMPLE = {
    "action": "overhaul",
    "other": "run",
    "advantage": 1.234,
    "base": -0.5,
    "features": [
        {"name": "vibration_trend", "value": 2.5, "unit": "mm/s", "contribution": 1.5},
        {"name": "load", "value": 1.4, "unit": "1", "contribution": -0.25},
    ],
}


@pytest.mark.parametrize(
    ("value", "unit", "text"), [(2.5, "EUR", "2.5 EUR"), (-3.0, "1", "−3"), (1234.0, "", "1,234")], ids=str
)
def test_numbers_have_their_unit_and_plain_ones_none(value, unit, text):
    assert amount(value, unit) == text


def test_titles_have_their_unit_and_contributions_their_sign():
    assert (with_unit("Return", "EUR"), with_unit("Return", "1")) == ("Return, EUR", "Return")
    assert (signed(1.2), signed(-0.5)) == ("+1.20", "−0.50")
    assert (share(0.123), share(None)) == ("12.3 %", "–")


def test_a_decision_says_what_it_is_worth_and_what_speaks_for_and_against_it():
    assert decision_sentence(EXAMPLE, "kEUR") == (
        "Overhaul is said to be worth 1.23 kEUR more than run, on average over visited states −0.50 kEUR. What most "
        "speaks for it: vibration trend (2.5 mm/s, +1.50); what most speaks against it: load (1.4, −0.25)."
    )


def test_a_decision_without_reasons_says_only_what_it_is_worth():
    assert decision_sentence({**EXAMPLE, "features": []}, "").endswith("visited states −0.50.")
