"""A card speaks for an environment only when it fits it, and nothing in it is ever run."""

import sys
from datetime import UTC, datetime
from typing import Any

import gymnasium
import numpy as np
import polars as pl
import pytest
import yaml
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from pipelines.dqn_agent.cards import CONTRACT, Card, Feature, episodes_contract, read_card
from pipelines.dqn_agent.checking import check
from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.environments.register import INVENTORY, MAINTENANCE, registered
from pipelines.dqn_agent.known import card_of
from pipelines.dqn_agent.make import Stepper, make_one, make_vector
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.errors import RequestError

CONFIG = EnvironmentConfig()
KNOWN = ["CartPole-v1", "LunarLander-v3", "Acrobot-v1", "MountainCar-v0", INVENTORY, MAINTENANCE]


def stepper(card: Card, config: EnvironmentConfig = CONFIG) -> Stepper:
    return Stepper(make_vector(card.id, 2, config), card.cost_terms)


@pytest.mark.parametrize("env_id", KNOWN)
def test_known_environment_has_names_and_a_card_that_fits(env_id):
    card = card_of(env_id, CONFIG)
    assert not any(feature.name.startswith("feature_") for feature in card.observation)
    assert not any(action.startswith("action_") for action in card.actions)
    check(card, stepper(card))


def test_card_of_atari_has_frames_and_the_names_of_the_actions():
    card = card_of("ALE/Pong-v5", CONFIG)
    assert card.image == (1, 84, 84)
    assert card.actions[:2] == ("noop", "fire")
    assert (card.horizon, card.reward_unit) == (27_000, "points")
    check(card, stepper(card))


def test_environment_that_nobody_described_gets_numbered_names():
    card = card_of("CliffWalkingFeatures-v0", register("CliffWalkingFeatures-v0"))
    assert [feature.name for feature in card.observation] == ["feature_0", "feature_1"]
    assert card.actions == ("action_0", "action_1")
    assert card.observation[0] == Feature(name="feature_0", unit="1", low=-1, high=None)


def test_card_follows_the_parameters_of_the_environment():
    config = EnvironmentConfig(parameters={"lead_time_days": 1, "max_lots": 2}, horizon=30)
    card = card_of(INVENTORY, config)
    assert len(card.actions) == 3
    assert card.horizon == 30
    check(card, stepper(card, config))


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_written_card_is_read_back(tmp_path, suffix):
    card = card_of(INVENTORY, CONFIG)
    path = tmp_path / f"card.{suffix}"
    path.write_text(
        yaml.safe_dump(card.model_dump(mode="json")) if suffix == "yaml" else card.model_dump_json()
    )
    assert read_card(path) == card


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": ["left"]}, "actions"),
        ({"actions": ["left", "left"]}, "actions: Expected each name once. Received left again"),
        ({"observation": []}, "Expected either observation"),
        ({"observation": [{"name": "x"}]}, "observation.0.unit"),
        ({"observation": [{"name": "x", "unit": "m", "low": 2, "high": 1}]}, "low of x at most high"),
        ({"observation": [{"name": "x", "unit": "m", "low": float("inf")}]}, "observation.0.low"),
        ({"horizon": 0}, "horizon"),
        ({"discount": 1}, "discount"),
        ({"cost_terms": ["Waste in EUR"]}, "cost_terms.0"),
        ({"rewards": "EUR"}, "rewards"),
    ],
    ids=[
        "one_action",
        "twice",
        "empty",
        "no_unit",
        "falling",
        "infinite",
        "horizon",
        "discount",
        "term",
        "unknown",
    ],
)
def test_wrong_field_of_a_card_is_named(tmp_path, changes, message):
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump(card_of("CartPole-v1", CONFIG).model_dump(mode="json") | changes))
    with pytest.raises(RequestError, match=message):
        read_card(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": ("left", "stay", "right")}, "actions: Expected 2 names. Received 3"),
        ({"horizon": 200}, "horizon: Expected 500 steps. Received 200 steps"),
        ({"horizon": None}, "horizon: Expected 500 steps. Received none"),
        ({"cost_terms": ("waste",)}, "cost_terms: Expected names in the info of a step. Received waste"),
        ({"observation": (), "image": (1, 84, 84)}, "observation: Expected 4 features. Received an image"),
    ],
    ids=["actions", "horizon", "no_horizon", "costs", "image"],
)
def test_card_that_does_not_fit_the_environment_is_refused_by_field(changes, message):
    card = card_of("CartPole-v1", CONFIG).model_copy(update=changes)
    with pytest.raises(RequestError, match=f"CartPole-v1: {message}"):
        check(card, stepper(card))


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({"low": -100.0}, "observation.0.low: Expected -4.8 or more"),
        ({"high": 0.001, "low": -0.001}, "observation.0: Expected -0.001 to 0.001 for cart_position"),
    ],
    ids=["wider_than_the_space", "narrower_than_what_is_seen"],
)
def test_bounds_that_the_environment_does_not_keep_are_refused(feature, message):
    card = card_of("CartPole-v1", CONFIG)
    first = card.observation[0].model_copy(update=feature)
    card = card.model_copy(update={"observation": (first, *card.observation[1:])})
    with pytest.raises(RequestError, match=message):
        check(card, stepper(card))


class Small(gymnasium.Env[np.ndarray, Any]):
    """Two features and two actions; `fault` breaks it."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.observation_space = Box(np.float32([-1, -1]), np.float32([np.inf, 1]))
        self.action_space = Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        drawn = np.random.default_rng().random() if self.fault == "seed" else self.np_random.random()
        return np.float32([drawn, 0]), {}

    def step(self, action: Any) -> Any:
        reward = np.nan if self.fault == "reward" else 0.0
        seen = np.float32([0, {"outside": 1.5, "nan": np.nan}.get(self.fault, 0.5)])
        return seen, reward, False, False, {"waste": np.inf if self.fault == "cost" else 1.0}


def register(env_id: str, **config: Any) -> EnvironmentConfig:
    if env_id not in gymnasium.registry:
        gymnasium.register(env_id, entry_point=Small)
    return EnvironmentConfig(**config)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("seed", "same first observation from the same seed"),
        ("reward", "finite rewards"),
        ("outside", "observation.1: Expected -1 to 1 for feature_1. Received 1.5"),
        ("nan", "observation.1"),
        ("cost", "finite cost terms"),
    ],
)
def test_environment_that_breaks_its_promises_is_refused_before_training(fault, message):
    config = register("Small-v0", parameters={"fault": fault})
    card = card_of("Small-v0", config).model_copy(update={"cost_terms": ("waste",)})
    with pytest.raises(RequestError, match=message):
        check(card, stepper(card, config))


def test_module_of_a_card_is_not_imported_before_the_user_names_it(tmp_path, monkeypatch):
    (tmp_path / "planted_module.py").write_text(
        "import gymnasium\n"
        'gymnasium.register("Planted-v0", entry_point="gymnasium.envs.classic_control:CartPoleEnv")\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "card.yaml"
    written = card_of("CartPole-v1", CONFIG).model_dump(mode="json") | {
        "id": "Planted-v0",
        "module": "planted_module",
        "horizon": None,
    }
    path.write_text(yaml.safe_dump(written))
    card = read_card(path)
    for env_id in ("Planted-v0", "planted_module:Planted-v0"):
        with pytest.raises(RequestError, match=r"environment\.module"):
            registered(env_id)
    assert "planted_module" not in sys.modules
    config = EnvironmentConfig(module="planted_module")
    check(card, stepper(card, config))
    gymnasium.registry.pop("Planted-v0")


def test_module_that_cannot_be_imported_is_named():
    with pytest.raises(RequestError, match=r"environment\.module.*no_such_module"):
        registered("CartPole-v1", "no_such_module")


@pytest.mark.parametrize("env_id", ["CartPole-v1", INVENTORY, "ALE/Pong-v5"])
def test_cards_keep_their_contract(env_id):
    checked = check_table(card_of(env_id, CONFIG).to_frame(), load(CONTRACT))
    assert checked.require().height == 1
    assert checked.ignored_columns == ()
    assert checked.valid.columns == list(load(CONTRACT).column_names)


def test_episodes_have_a_column_of_each_cost_term():
    contract = episodes_contract(("waste", "ordering"))
    row = {
        "policy": "order_up_to",
        "episode": 1,
        "seed": 7,
        "return": -12.5,
        "length": 200,
        "success": None,
        "terminated": False,
        "truncated": True,
        "model_version": "dqn_agent/1",
        "contract": "environment_card@1.0.0",
        "scored_at": datetime(2026, 11, 21, tzinfo=UTC),
        "cost_waste": 3.0,
        "cost_ordering": 9.5,
    }
    episodes = pl.DataFrame([row], schema_overrides={"success": pl.Boolean})
    assert check_table(episodes, contract).require().columns == list(row)
    assert not check_table(episodes.drop("cost_waste"), contract).passed


def test_scalar_and_vectorised_environment_have_the_same_spaces():
    for env_id in (INVENTORY, MAINTENANCE):
        one, many = make_one(env_id, CONFIG), make_vector(env_id, 3, CONFIG)
        assert one.observation_space == many.single_observation_space
        assert one.action_space == many.single_action_space
        assert many.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        assert not isinstance(many, SyncVectorEnv)
