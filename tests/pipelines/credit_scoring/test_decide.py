"""Probability, points and decision are three ways to say the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.credit_scoring.config import DecisionConfig
from pipelines.credit_scoring.decide import APPROVE, DECISIONS, DECLINE, REVIEW, DecisionRule

SCALES = st.builds(
    DecisionConfig,
    base_points=st.floats(0, 1000),
    base_odds=st.floats(0.1, 200),
    points_to_double_odds=st.floats(1, 100),
)
PROBABILITIES = st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=20)


@settings(deadline=None)
@given(SCALES, PROBABILITIES)
def test_points_lead_back_to_the_probability(config, probability):
    rule = DecisionRule.from_config(config)
    again = rule.probability(rule.points(np.array(probability)))
    assert again == pytest.approx(probability, rel=1e-9)


@settings(deadline=None)
@given(SCALES, st.floats(0.01, 0.99))
def test_twice_the_odds_earn_the_points_that_are_said_to_double_them(config, probability):
    rule = DecisionRule.from_config(config)
    odds = (1 - probability) / probability
    twice = 1 / (1 + 2 * odds)
    gained = rule.points(np.array([twice])) - rule.points(np.array([probability]))
    assert gained == pytest.approx(config.points_to_double_odds, rel=1e-6)


def test_the_base_odds_earn_the_base_points():
    rule = DecisionRule.from_config(DecisionConfig(base_points=600, base_odds=50))
    assert rule.points(np.array([1 / 51])) == pytest.approx(600)


@settings(deadline=None)
@given(PROBABILITIES)
def test_more_risk_never_earns_more_points_or_a_better_decision(probability):
    rule = DecisionRule.from_config(DecisionConfig())
    ordered = np.sort(probability)
    assert (np.diff(rule.points(ordered)) <= 0).all()
    rank = [DECISIONS.index(decision) for decision in rule.decide(ordered)]
    assert rank == sorted(rank)


def test_the_cut_off_is_where_both_errors_cost_the_same():
    config = DecisionConfig(cost_false_negative=5.0, cost_false_positive=1.0)
    cut_off = DecisionRule.from_config(config).cut_off
    assert cut_off * config.cost_false_negative == pytest.approx((1 - cut_off) * config.cost_false_positive)


def test_the_review_band_holds_its_lower_edge_and_not_its_upper():
    rule = DecisionRule(0.25, 0.125, 600.0, 50.0, 20.0)
    edges = np.array([0.125, 0.375])
    assert rule.decide(np.nextafter(edges, 0)).tolist() == [APPROVE, REVIEW]
    assert rule.decide(edges).tolist() == [REVIEW, DECLINE]


def test_without_a_band_nobody_is_reviewed_and_the_cut_off_itself_is_declined():
    rule = DecisionRule(0.25, 0.0, 600.0, 50.0, 20.0)
    assert rule.decide(np.array([0.0, 0.2499, 0.25, 1.0])).tolist() == [APPROVE, APPROVE, DECLINE, DECLINE]


def test_certainty_has_finite_points_and_nobody_has_none():
    rule = DecisionRule.from_config(DecisionConfig())
    assert np.isfinite(rule.points(np.array([0.0, 1.0]))).all()
    assert rule.decide(np.array([])).shape == rule.points(np.array([])).shape == (0,)
