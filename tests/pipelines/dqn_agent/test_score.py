"""The scorer decides as the network does, wherever it was loaded, and says when nobody has been where it decides."""

import numpy as np
import polars as pl
import pytest
import torch
from safetensors import safe_open

from pipelines.dqn_agent.cards import Card, Feature
from pipelines.dqn_agent.config import AgentConfig, EnvironmentConfig, NetworkConfig
from pipelines.dqn_agent.networks import QNetwork
from pipelines.dqn_agent.schema import decisions_contract, observations_contract
from pipelines.dqn_agent.score import Scorer
from pipelines.dqn_agent.visited import Visited
from shared.contracts.table import check_table

NAMES = ("wear", "load", "days_run")
CARD = Card(
    id="own/Machine-v0",
    observation=tuple(Feature(name=name, unit="1") for name in NAMES),
    actions=("run", "adjust", "overhaul"),
    reward_unit="kEUR",
    reward_scale=50.0,
)
FRAMES = Card(id="ALE/Pong-v5", image=(1, 40, 40), actions=("up", "down"))


def scorer(card: Card = CARD, **network: object) -> Scorer:
    config = AgentConfig(
        network=NetworkConfig(hidden=(8,), atoms=5, **network), environment=EnvironmentConfig(frame_stack=2)
    )
    shape = (len(card.observation),) if card.observation else (2, 40, 40)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = QNetwork(1, shape, len(card.actions), config.network).state_dict()
    return Scorer.of(card, config, weights)


def states(num: int = 40) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(num, 3)).astype(np.float32)


def frames(num: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num, 2, 40, 40), dtype=np.uint8)


def table(observations: np.ndarray) -> pl.DataFrame:
    columns = dict(zip(NAMES, observations.astype(np.float64).T, strict=True))
    return pl.DataFrame({"case_id": [f"m{number}" for number in range(len(observations))], **columns})


def test_values_are_in_the_unit_of_the_reward():
    found = scorer()
    with torch.inference_mode():
        raw = found.network.values(torch.from_numpy(states())[None])[0].numpy()
    np.testing.assert_allclose(found.values(states()), raw * 50, rtol=1e-6)


def test_actions_and_decisions_are_those_of_the_values():
    found, observations = scorer(), states()
    values = found.values(observations)
    decided = check_table(found.decide(table(observations)), decisions_contract(CARD)).require()
    ordered = np.sort(values, axis=1)
    assert decided["action_number"].to_list() == found.act(observations).tolist() == values.argmax(1).tolist()
    assert decided["action"].to_list() == [CARD.actions[number] for number in values.argmax(1)]
    np.testing.assert_allclose(decided["advantage"], ordered[:, -1] - ordered[:, -2], atol=1e-9)
    np.testing.assert_allclose(decided.select("^value_.*$").to_numpy(), values, atol=1e-9)
    second = [CARD.actions[number] for number in np.argsort(values, axis=1)[:, -2]]
    assert decided["next_action"].to_list() == second
    assert decided["contract"].unique().to_list() == [observations_contract(CARD).id_version]


def test_equal_values_are_decided_as_the_policy_acts():
    found = scorer()
    for parameter in found.network.parameters():
        parameter.data.zero_()
    decided = found.decide(table(states(3)))
    assert decided["action_number"].to_list() == found.act(states(3)).tolist() == [0, 0, 0]
    assert decided["advantage"].to_list() == [0, 0, 0]
    assert decided["next_action"].to_list() == ["adjust"] * 3


def test_a_decision_does_not_depend_on_the_rows_beside_it():
    found, observations = scorer(), states(5000)
    alone = np.concatenate([found.values(observations[place : place + 1]) for place in (0, 4095, 4096, 4999)])
    np.testing.assert_allclose(alone, found.values(observations)[[0, 4095, 4096, 4999]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("distribution", ["mean", "atoms", "quantiles"])
def test_saved_scorer_decides_the_same(tmp_path, distribution):
    found = scorer(distribution=distribution, dueling=True, noisy=True).with_visited(Visited.of(states()))
    found.save(tmp_path)
    again = Scorer.load(tmp_path, "3")
    assert again.card == found.card
    assert np.array_equal(again.values(states()), found.values(states()))
    assert again.visited is not None
    assert again.visited.outside(states() * 2).tolist() == found.visited.outside(states() * 2).tolist()
    assert again.decide(table(states()))["model_version"].unique().to_list() == ["3"]


def test_frames_are_scored_and_saved_as_bytes(tmp_path):
    found = scorer(FRAMES).with_visited(Visited.of(frames()))
    found.save(tmp_path)
    assert np.array_equal(Scorer.load(tmp_path).values(frames()), found.values(frames()))
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.get_tensor("visited.states").dtype == torch.uint8


def test_rows_beyond_what_was_visited_are_marked():
    found = scorer().with_visited(Visited.of(states()))
    rows = states(2)
    rows[1, 2] = 99
    assert found.decide(table(rows))["outside"].to_list() == [False, True]


def test_columns_may_come_in_any_order_with_others_between():
    found = scorer()
    mixed = table(states()).select("load", pl.lit("x").alias("remark"), "days_run", "case_id", "wear")
    assert found.decide(mixed)["advantage"].equals(found.decide(table(states()))["advantage"])
