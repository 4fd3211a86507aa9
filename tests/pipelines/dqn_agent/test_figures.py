"""Figures stay whole where there is hardly anything to draw, and names from outside do not break them."""

import numpy as np
import pytest

from pipelines.dqn_agent.cards import Card, Feature
from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.environments.register import INVENTORY, MAINTENANCE
from pipelines.dqn_agent.figures import costs_by_term, learning_curve, returns_by_policy
from pipelines.dqn_agent.figures_maps import film_figure, frames_figure, map_figure
from pipelines.dqn_agent.figures_policy import episode_figure, lanes_of, num_shown
from pipelines.dqn_agent.film import film_of
from pipelines.dqn_agent.known import card_of
from shared.publishing.svg import inline_svg

EVIL = "$<b>{x}$\\frac"
CURVE = {"steps": [10], "iqm": [1.0], "low": [None], "high": [None], "seeds": {"0": [1.0]}, "rule": None}


@pytest.mark.parametrize("threshold", [None, 5.0])
def test_a_curve_of_one_look_is_drawn(threshold):
    assert "<svg" in inline_svg(learning_curve(CURVE, unit="", rule=EVIL, threshold=threshold), "a-", "curve")


def test_a_curve_without_looks_says_so():
    assert "Not drawn" in learning_curve({**CURVE, "steps": []}, unit="EUR", rule="any")


def test_policies_that_never_vary_and_those_without_episodes_are_drawn():
    returns = {"Network, served": np.array([3.0]), EVIL: np.array([2.0, 2.0]), "none": np.array([])}
    assert "<svg" in returns_by_policy(returns, unit="EUR", threshold=1.0)
    assert "Not drawn" in returns_by_policy({"none": np.array([])}, unit="")


def test_costs_without_intervals_are_drawn():
    found = {"value": 2.0, "low": None, "high": None}
    assert "<svg" in costs_by_term({EVIL: {"Networks": found, "Rule": found}}, unit="EUR")


@pytest.mark.parametrize("num_actions", [2, 9])
def test_maps_are_drawn_for_few_actions_and_for_many(num_actions):
    names = tuple(f"{EVIL} {number}" for number in range(num_actions))
    card = Card(
        id="own/Any-v0", observation=tuple(Feature(name=name, unit="1") for name in "ab"), actions=names
    )
    axis = {"name": "a", "unit": "1", "values": [0.0, 1.0]}
    found = {
        "x": axis,
        "y": {**axis, "name": "b"},
        "action": [[0, 1], [1, 0]],
        "value": [[2.0, 2.0], [2.0, 2.0]],
    }
    assert "<image" in inline_svg(map_figure({**found, "visited": [[0, 0], [0, 3]]}, card), "a-", "map")


def test_planners_see_in_an_episode_what_they_watch():
    stock, machine, pole = (
        lanes_of(card_of(env_id, EnvironmentConfig()), ("pole_angle", "cart_position"))
        for env_id in (INVENTORY, MAINTENANCE, "CartPole-v1")
    )
    assert [lane.stacked for lane in stock] == [
        tuple(f"stock_for_{days}" for days in ("1_day", "2_days", "3_days", "4_days"))
    ]
    assert [lane.lines for lane in machine] == [("vibration_trend",), ("temperature_trend",), ("load",)]
    assert [lane.lines for lane in pole] == [("pole_angle",), ("cart_position",)]


def test_only_stock_is_cut(random_policy):
    assert num_shown(card_of(INVENTORY, EnvironmentConfig()), 200) == 56
    assert num_shown(card_of("CartPole-v1", EnvironmentConfig()), 200) == 200


def test_no_episode_and_no_frame_say_so(random_policy):
    import polars as pl

    empty = pl.DataFrame(schema={"policy": pl.String, "step": pl.Int64})
    card = card_of("CartPole-v1", EnvironmentConfig())
    assert "Not drawn" in episode_figure(empty, {"network": "Network"}, card, ())
    assert "Not drawn" in frames_figure([])


def test_a_film_survives_the_cleaning_of_drawings():
    film = film_of([np.full((20, 30, 3), shade, np.uint8) for shade in (0, 200)])
    assert "data:image/png;base64" in inline_svg(film_figure(film), "a-", "film")
