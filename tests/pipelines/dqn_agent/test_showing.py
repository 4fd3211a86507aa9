"""An episode to look at, and one decision with its reasons."""

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.environments.register import INVENTORY, MAINTENANCE
from pipelines.dqn_agent.environments.rules import RandomRule
from pipelines.dqn_agent.playing import NETWORK
from pipelines.dqn_agent.schema import observations_contract
from pipelines.dqn_agent.showing import (
    MOST_STEPS,
    action_of,
    decide_in,
    ranges,
    rules_beside,
    show_world,
    situations,
)
from shared.contracts.table import check_table
from shared.errors import RequestError


@pytest.fixture(scope="module")
def cartpole(random_policy):
    return random_policy("CartPole-v1")[0]


@pytest.fixture(scope="module")
def shop(random_policy):
    return random_policy(INVENTORY)[0]


def rule_of(scorer):
    return RandomRule(len(scorer.card.actions), 0)


def test_the_same_world_is_the_same_episode_and_another_one_is_not(shop):
    first, again, other = (show_world(shop, rule_of(shop), world).timeline for world in (1, 1, 2))
    assert first.filter(policy=NETWORK).equals(again.filter(policy=NETWORK))
    assert not first.filter(policy=NETWORK)["reward"].equals(other.filter(policy=NETWORK)["reward"])


def test_policy_and_rule_begin_in_the_same_state(shop):
    begun = show_world(shop, rule_of(shop), 3).timeline.filter(step=0)
    assert begun["observation"][0].to_list() == begun["observation"][1].to_list()


def test_what_was_earned_is_the_sum_of_all_rewards(shop):
    shown = show_world(shop, rule_of(shop), 1)
    assert list(shown.earned) == [NETWORK, "random"]
    for policy, earned in shown.earned.items():
        assert earned == pytest.approx(shown.timeline.filter(policy=policy)["reward"].sum())
    assert not shown.frames
    assert shown.film is None


def test_every_step_has_a_small_picture_where_the_environment_draws_itself(cartpole):
    shown = show_world(cartpole, rule_of(cartpole), 1)
    steps = shown.timeline.filter(policy=NETWORK).height
    assert len(shown.frames) == steps <= MOST_STEPS
    picture = Image.open(io.BytesIO(shown.frames[0]))
    assert max(picture.size) == 320
    assert shown.film is not None


def test_an_environment_of_the_users_own_module_is_never_made(cartpole):
    environment = EnvironmentConfig(module="os")
    own = type(cartpole)(
        cartpole.card, cartpole.config.model_copy(update={"environment": environment}), cartpole.network
    )
    for act in (lambda: show_world(own, rule_of(own), 1), lambda: rules_beside(own)):
        with pytest.raises(RequestError, match="registered by os"):
            act()


def test_rules_have_the_numbers_of_the_run_and_the_strongest_is_last(cartpole):
    found = rules_beside(cartpole)
    assert list(found) == ["pole_angle_and_velocity"]
    state = cartpole.visited.states[0].tolist()
    assert action_of(cartpole, found["pole_angle_and_velocity"], state) in cartpole.card.actions


def test_a_decision_is_that_of_the_scorer_and_its_reasons_add_up(cartpole):
    state = cartpole.visited.states[3]
    decision = decide_in(cartpole, state.tolist())
    said = cartpole.decide(situations(cartpole, 1)[:0].clear())
    assert said.is_empty()
    values = cartpole.values(state[None])[0]
    assert decision.action == cartpole.card.actions[int(values.argmax())]
    assert list(decision.values) == list(cartpole.card.actions)
    total = decision.base + sum(float(one["contribution"]) for one in decision.features)
    assert total == pytest.approx(decision.advantage, abs=1e-3)
    assert decision.decides
    assert not decision.outside


def test_any_other_action_can_be_asked_about(shop):
    state = shop.visited.states[5].tolist()
    decision = decide_in(shop, state)
    for other in shop.card.actions:
        asked = decide_in(shop, state, other)
        assert asked.action == decision.action
        assert asked.other == (decision.other if other == decision.action else other)
        assert asked.advantage == pytest.approx(asked.values[asked.action] - asked.values[asked.other])
        assert asked.advantage >= 0


def test_a_state_that_was_never_near_is_said_to_be_outside(cartpole):
    assert decide_in(cartpole, [100.0, 0.0, 0.0, 0.0]).outside


def test_a_machine_that_stands_has_nothing_to_decide(random_policy):
    machine, states = random_policy(MAINTENANCE, steps=120)
    standing = states[states[:, 6] > 0]
    assert len(standing), "an untrained policy lets machines fail"
    assert not decide_in(machine, standing[0].tolist()).decides


def test_ranges_hold_what_was_visited_and_stay_within_the_card(shop):
    visited = shop.visited
    for place, each in enumerate(ranges(shop)):
        assert each.low <= visited.low[place] <= each.usual <= visited.high[place] <= each.high
        assert each.feature.low is None or each.low >= each.feature.low
        assert each.feature.high is None or each.high <= each.feature.high
        if each.whole:
            assert float(each.low).is_integer()
            assert float(each.high).is_integer()


def test_situations_keep_the_contract_of_tables(shop):
    table = situations(shop, 12)
    checked = check_table(table, observations_contract(shop.card))
    assert checked.require().height == 12
    assert checked.quarantined.is_empty()
    np.testing.assert_allclose(shop.observations(checked.valid)[0], shop.visited.states[0], rtol=1e-6)
    assert isinstance(table, pl.DataFrame)
