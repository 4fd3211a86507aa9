"""Checks pass explanations of what a policy does and fail those of anything else."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.dqn_agent.cards import Card, Feature
from pipelines.dqn_agent.checks import checks_of_features, checks_of_frames
from pipelines.dqn_agent.explainer import Explainer

CARD = Card(
    id="own/Machine-v0",
    observation=tuple(Feature(name=name, unit="1") for name in ("wear", "load", "age", "noise")),
    actions=("run", "overhaul"),
)


def states(features: int = 4) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, features)).astype(np.float32)


@pytest.fixture
def explainer(linear_scorer) -> Explainer:
    return Explainer.of(linear_scorer(CARD, ((0, 0, 0, 0), (3, -2, 1, 0)), states()))


def test_an_explanation_of_what_the_policy_does_passes(explainer):
    seen = explainer.seen(states(), (1, 0))
    document = checks_of_features(explainer, explainer.explain(seen), seen, seed=0)
    assert document["attribution"]["faithful"]
    assert document["agreement"]["spearman"] > 0.95
    assert document["agreement"]["same_first"] > 0.9


def test_an_explanation_of_something_else_fails_and_says_why(explainer):
    seen = explainer.seen(states(), (1, 0))
    found = explainer.explain(seen)
    document = checks_of_features(explainer, replace(found, values=-found.values), seen, seed=0)
    assert not document["attribution"]["faithful"]
    assert "no better than a random order" in document["attribution"]["warning"]
    assert document["agreement"]["spearman"] < 0


def test_a_single_feature_has_no_order_to_check(linear_scorer):
    card = CARD.model_copy(update={"observation": CARD.observation[:1]})
    explainer = Explainer.of(linear_scorer(card, ((0,), (1,)), states(1)))
    seen = explainer.seen(states(1), (1, 0))
    document = checks_of_features(explainer, explainer.explain(seen), seen, seed=0)
    assert document["attribution"]["faithful"] is None
    assert document["agreement"] is None


def test_maps_of_frames_are_checked_by_their_cells(frames_policy):
    scorer, frames = frames_policy
    explainer = Explainer.of(scorer)
    seen = explainer.seen(frames[:6], (0, 1))
    document = checks_of_frames(explainer, explainer.evidence(seen), seen, seed=0)
    assert document["attribution"]["faithful"] in (True, False)
    assert document["attribution"]["faithfulness"]["deletion_gain"]["n"] == 6
    assert "importance" not in document["attribution"]
