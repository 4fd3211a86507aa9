"""Maps show what the policy does, where it was, and refuse features that are not there."""

import numpy as np
import pytest

from pipelines.dqn_agent.config import ExplanationConfig
from pipelines.dqn_agent.environments.register import INVENTORY
from pipelines.dqn_agent.maps import decision_map, map_features, near, require_map_features
from shared.errors import RequestError


@pytest.fixture(scope="module")
def found(random_policy):
    scorer, seen = random_policy("CartPole-v1")
    return scorer, seen, decision_map(scorer, seen, ("pole_angle", "cart_velocity"))


def test_each_point_has_the_action_and_value_that_the_scorer_gives_there(found):
    scorer, seen, document = found
    points = np.tile(np.median(seen, axis=0), (41 * 41, 1)).astype(np.float32)
    points[:, 2] = np.tile(document["x"]["values"], 41)
    points[:, 1] = np.repeat(document["y"]["values"], 41)
    values = scorer.values(points)
    np.testing.assert_array_equal(np.ravel(document["action"]), values.argmax(1))
    np.testing.assert_allclose(np.ravel(document["value"]), values.max(1), atol=1e-4)


def test_every_visited_state_is_in_one_cell(found):
    _, seen, document = found
    assert np.sum(document["visited"]) == len(seen)
    assert document["others"].keys() == {"cart_position", "pole_angular_velocity"}


def test_features_of_few_values_are_shown_at_these_alone(random_policy):
    scorer, seen = random_policy(INVENTORY)
    document = decision_map(scorer, seen, ("due_in_1_day", "forecast_today"))
    assert document["x"]["values"] == np.unique(seen[:, 4]).tolist()
    assert set(document["x"]["values"]) <= {6.0 * lots for lots in range(11)}


def test_the_two_features_that_decide_most_are_taken_unless_others_are_asked_for(random_policy):
    card = random_policy("CartPole-v1")[0].card
    importance = {"cart_position": 0.1, "cart_velocity": 2.0, "pole_angle": 1.0, "pole_angular_velocity": 0.3}
    assert map_features(card, ExplanationConfig(), importance) == ("cart_velocity", "pole_angle")
    asked = ExplanationConfig(map_features=("cart_position", "pole_angle"))
    assert map_features(card, asked, importance) == ("cart_position", "pole_angle")


@pytest.mark.parametrize(
    "asked", [("wear", "pole_angle"), ("pole_angle", "pole_angle")], ids=["unknown", "twice"]
)
def test_features_that_make_no_map_are_refused_with_those_that_do(random_policy, asked):
    card = random_policy("CartPole-v1")[0].card
    with pytest.raises(RequestError, match="Expected two of cart_position, cart_velocity"):
        require_map_features(card, ExplanationConfig(map_features=asked))


def test_frames_and_single_features_have_no_map(frames_policy, random_policy):
    assert map_features(frames_policy[0].card, ExplanationConfig(), {}) is None
    card = random_policy("CartPole-v1")[0].card
    assert (
        map_features(card.model_copy(update={"observation": card.observation[:1]}), ExplanationConfig(), {})
        is None
    )


def test_cells_beside_a_visited_one_are_near_it():
    visited = np.zeros((5, 6), dtype=int)
    visited[0, 0] = visited[3, 4] = 2
    found = np.array(near(visited.tolist()))
    assert found.sum() == 4 + 9
    assert found[1, 1]
    assert not found[0, 2]
