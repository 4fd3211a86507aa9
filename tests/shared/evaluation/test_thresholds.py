import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.evaluation.decisions import Costs, confusion
from shared.evaluation.thresholds import (
    bayes_cut,
    budget_threshold,
    cost_curve,
    cost_threshold,
    review_band,
)

FIVE_TO_ONE = Costs(false_negative=5, false_positive=1)
ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=25)


def unpack(rows):
    y, score = (np.array(column) for column in zip(*rows, strict=True))
    return y.astype(int), score / 6


def all_cuts(score):
    return [*np.unique(score), np.inf]


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(1, 9), st.integers(1, 9), st.integers(-2, 0))
def test_no_cut_is_cheaper_than_the_chosen_one(rows, false_negative, false_positive, gain):
    y, score = unpack(rows)
    costs = Costs(false_negative=false_negative, false_positive=false_positive, true_positive=gain)
    chosen = cost_threshold(y, score, costs)
    brute = min(confusion(y, score >= cut).cost_per_case(costs) for cut in all_cuts(score))
    assert chosen.cost_per_case == pytest.approx(brute)
    assert confusion(y, chosen.flags(score)).cost_per_case(costs) == pytest.approx(brute)
    assert chosen.num_flagged == chosen.flags(score).sum()


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(0, 30))
def test_budget_is_kept_and_used_as_far_as_ties_allow(rows, budget):
    _, score = unpack(rows)
    chosen = budget_threshold(score, budget)
    possible = [(score >= cut).sum() for cut in all_cuts(score)]
    assert chosen.flags(score).sum() == max(count for count in possible if count <= budget)
    assert np.isnan(chosen.true_positive_rate)


def test_empirical_cut_approaches_the_bayes_threshold_of_calibrated_probabilities():
    generator = np.random.default_rng(0)
    probability = generator.random(40_000)
    y = (generator.random(40_000) < probability).astype(int)
    chosen = cost_threshold(y, probability, FIVE_TO_ONE)
    assert chosen.bayes_threshold == pytest.approx(1 / 6)
    assert chosen.value == pytest.approx(1 / 6, abs=0.03)
    analytic = bayes_cut(y, probability, FIVE_TO_ONE)
    assert chosen.cost_per_case <= analytic.cost_per_case < chosen.cost_per_case + 0.005


def test_bayes_threshold_counts_the_value_of_right_decisions():
    costs = Costs(false_negative=100, false_positive=20, true_positive=-10, true_negative=-5)
    p = costs.bayes_threshold
    flag = p * costs.true_positive + (1 - p) * costs.false_positive
    leave = p * costs.false_negative + (1 - p) * costs.true_negative
    assert flag == pytest.approx(leave)


def test_costs_that_reward_errors_are_refused():
    with pytest.raises(ValidationError, match="cost more"):
        Costs(false_negative=0, false_positive=1)
    with pytest.raises(ValidationError):
        Costs(false_negative=float("nan"), false_positive=1)


def test_equal_costs_choose_the_cut_nearest_to_bayes():
    y, score = np.array([0, 0, 1, 1]), np.array([0.02, 0.05, 0.9, 0.95])
    assert cost_threshold(y, score, FIVE_TO_ONE).value == pytest.approx(0.475)
    assert cost_threshold([0, 0, 0], [0.1, 0.2, 0.3], FIVE_TO_ONE).num_flagged == 0


def test_cut_between_neighbouring_floats_separates_them():
    low = 0.3
    score = np.array([low, np.nextafter(low, 1)])
    assert budget_threshold(score, 1).flags(score).tolist() == [False, True]
    huge = np.array([1.7e308, -1.7e308])
    assert budget_threshold(huge, 1).flags(huge).tolist() == [True, False]


@pytest.mark.parametrize(
    "choose", [lambda: budget_threshold([], 1), lambda: cost_threshold([], [], FIVE_TO_ONE)]
)
def test_no_rows_is_a_clear_error(choose):
    with pytest.raises(ValueError, match="validation rows"):
        choose()


def test_impossible_budget_is_refused():
    with pytest.raises(ValueError, match="budget"):
        budget_threshold([0.1], -1)


def test_threshold_json_is_strict():
    fields = json.loads(json.dumps(budget_threshold([0.1, 0.2], 1).to_json(), allow_nan=False))
    assert fields["flagged_rate"] == 0.5
    assert fields["true_positive_rate"] is None


def test_cost_curve_is_thinned_but_keeps_the_optimum():
    generator = np.random.default_rng(0)
    score = generator.random(5000)
    y = (generator.random(5000) < score).astype(int)
    curve = cost_curve(y, score, FIVE_TO_ONE, max_points=50)
    assert curve.threshold.size <= 51
    assert curve.cost_per_case.min() == pytest.approx(cost_threshold(y, score, FIVE_TO_ONE).cost_per_case)
    assert (curve.flagged_rate[0], curve.flagged_rate[-1]) == (1, 0)
    assert (np.diff(curve.threshold) > 0).all()


def test_review_band_sends_the_middle_to_a_person():
    band = review_band(0.5, 0.03)
    assert band.decide([0.46, 0.48, 0.52, 0.53, 0.9]).tolist() == [
        "clear",
        "review",
        "review",
        "flag",
        "flag",
    ]
    assert review_band(0.5, 0).decide([0.49, 0.5]).tolist() == ["clear", "flag"]
    with pytest.raises(ValueError, match="half width"):
        review_band(0.5, -1)
