"""Explanations divide the advantage of an action among features, completely and as the policy really decides."""

import json

import numpy as np
import pytest

from pipelines.dqn_agent.cards import Card, Feature
from pipelines.dqn_agent.environments.register import MAINTENANCE
from pipelines.dqn_agent.explainer import NUM_BACKGROUND, Explainer, background_of, decides, reasons

NAMES = ("wear", "load", "noise")
CARD = Card(
    id="own/Machine-v0",
    observation=tuple(Feature(name=name, unit="mm/s") for name in NAMES),
    actions=("run", "adjust", "overhaul"),
    reward_unit="kEUR",
    reward_scale=50.0,
)
# overhaul gains on run by 3 a unit of wear and loses 2 a unit of load; nothing depends on noise
SLOPES = ((0.0, 0.0, 0.0), (1.0, -3.0, 0.0), (3.0, -2.0, 0.0))


def states(num: int = 60, features: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(num, features)).astype(np.float32)


@pytest.fixture
def explainer(linear_scorer) -> Explainer:
    return Explainer.of(linear_scorer(CARD, SLOPES, states(), [0.5, 0.0, -1.0]))


@pytest.mark.parametrize("method", ["explain", "gradients"])
def test_contributions_of_a_linear_policy_are_its_slopes_times_the_distance_from_the_background(
    explainer, method
):
    found = getattr(explainer, method)(explainer.seen(states(), (2, 0)))
    distance = states() - background_of(states()).mean(0)
    np.testing.assert_allclose(found.values, np.array([3.0, -2.0, 0.0]) * distance, atol=1e-4)


def test_contributions_sum_to_the_advantage_less_its_mean_over_the_background(random_policy):
    scorer, seen = random_policy("CartPole-v1")
    explainer = Explainer.of(scorer)
    pairs = explainer.decisions(seen)
    found = explainer.explain(explainer.seen(seen, pairs))
    values, rows = scorer.values(seen), np.arange(len(seen))
    advantage = values[rows, pairs[:, 0]] - values[rows, pairs[:, 1]]
    np.testing.assert_allclose(found.output, advantage, atol=1e-5)
    # single precision: a normalised layer whose units hardly differ makes the last digits larger
    np.testing.assert_allclose(found.values.sum(1), advantage - found.base_value, atol=1e-5, rtol=1e-4)


def test_the_advantage_is_in_the_unit_of_the_reward(explainer):
    found = explainer.explain(explainer.seen(np.array([[1.0, 0.0, 0.0]], dtype=np.float32), (2, 0)))
    assert found.output == pytest.approx([3.0 - 1.0 - 0.5], abs=1e-4)
    assert found.unit == "kEUR"


def test_swapped_actions_turn_the_signs_around(random_policy):
    explainer = Explainer.of(random_policy("CartPole-v1")[0])
    seen = random_policy("CartPole-v1")[1][:20]
    there, back = (explainer.explain(explainer.seen(seen, pair)).values for pair in ((0, 1), (1, 0)))
    np.testing.assert_allclose(there, -back, atol=1e-6)


def test_decisions_are_the_action_of_the_scorer_and_the_next_best_one(explainer):
    decisions, values = explainer.decisions(states()), explainer.scorer.values(states())
    np.testing.assert_array_equal(decisions[:, 0], explainer.scorer.act(states()))
    np.testing.assert_array_equal(decisions[:, 1], np.argsort(-values, axis=1)[:, 1])


def test_many_features_are_sampled_and_still_complete(linear_scorer):
    names = tuple(f"feature_{number}" for number in range(14))
    card = CARD.model_copy(update={"observation": tuple(Feature(name=name, unit="1") for name in names)})
    seen = states(20, 14)
    explainer = Explainer.of(linear_scorer(card, np.random.default_rng(1).normal(size=(3, 14)), seen))
    found = explainer.explain(explainer.seen(seen, (0, 1)))
    assert "permutation" in found.method
    assert found.completeness_error == pytest.approx(0, abs=1e-4)


def test_reasons_name_the_strongest_features_first_and_none_that_decides_nothing(linear_scorer):
    scorer = linear_scorer(CARD, SLOPES, states())
    seen = np.array([[5.0, 0.5, 9.0]], dtype=np.float32)
    (text,) = reasons(scorer, seen)
    found = json.loads(text)
    assert [one["name"] for one in found] == ["wear", "load"]
    assert found[0].keys() == {"name", "value", "unit", "contribution"}
    assert (found[0]["value"], found[0]["unit"]) == (5.0, "mm/s")
    # overhaul over adjust: 2 a unit of wear
    assert found[0]["contribution"] == pytest.approx(2 * (5 - background_of(states()).mean(0)[0]), abs=1e-3)


def test_no_rows_have_no_reasons(linear_scorer):
    assert reasons(linear_scorer(CARD, SLOPES, states()), states(0)).to_list() == []


@pytest.mark.parametrize("num", [1, 5, 16, 17, 1000])
def test_the_background_is_spread_over_what_was_visited(num):
    chosen = background_of(np.arange(num)[:, None])
    assert len(chosen) == min(num, NUM_BACKGROUND)
    assert chosen[0] == 0
    assert chosen[-1] == num - 1


def test_machines_that_stand_decide_nothing_and_are_compared_with_by_nobody(random_policy):
    scorer, seen = random_policy(MAINTENANCE, steps=200)
    standing = seen[:, 6] > 0
    assert standing.any()
    np.testing.assert_array_equal(decides(scorer.card, seen), ~standing)
    assert (Explainer.of(scorer).background[:, 6] == 0).all()


def test_evidence_lies_on_the_grid_of_the_frames_and_frames_keep_their_network(frames_policy):
    scorer, frames = frames_policy
    before = scorer.values(frames)
    explainer = Explainer.of(scorer)
    pairs = explainer.decisions(frames)
    found = explainer.evidence(explainer.seen(frames, pairs))
    assert found.map.shape == (len(frames), 40, 40)
    rows = np.arange(len(frames))
    np.testing.assert_allclose(found.output, before[rows, pairs[:, 0]] - before[rows, pairs[:, 1]], atol=1e-4)
    np.testing.assert_array_equal(scorer.values(frames), before)
