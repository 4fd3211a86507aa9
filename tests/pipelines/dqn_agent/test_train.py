"""Training: stopped and gone on with, it ends where it would have ended; served networks are those that learnt."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.dqn_agent.config import AgentConfig, tiny
from pipelines.dqn_agent.environments.register import INVENTORY
from pipelines.dqn_agent.known import card_of
from pipelines.dqn_agent.train import Learnt, ablations, greedy, learn, rebuilt, scaling
from shared.errors import Stopped
from shared.orchestration.overrides import with_overrides
from shared.training.interrupt import StopFlag

SEEDS = (0, 1)
SHORT = {"learning.steps": 1_500, "learning.steps_per_update": 8, "evaluation.curve_points": 2}


def _config(**knobs: object) -> AgentConfig:
    return with_overrides(tiny(), {**SHORT, **knobs})


class _StopsAfter:
    """Progress that asks to stop when so many steps are behind."""

    def __init__(self, steps: int, flag: StopFlag) -> None:
        self.steps, self.flag = steps, flag

    def start(self, total: int, label: str) -> None:
        assert total == 1_500

    def advance(self, n: int, **numbers: float) -> None:
        self.steps -= n
        if self.steps <= 0:
            self.flag.request("test")

    def close(self) -> None:
        return


def _learnt(env_id: str, folder: Path, config: AgentConfig, *, stop_after: int | None = None) -> Learnt:
    card = card_of(env_id, config.environment)
    if stop_after is not None:
        flag = StopFlag()
        with pytest.raises(Stopped, match="same command continues"):
            learn(card, config, SEEDS, folder, _StopsAfter(stop_after, flag), flag)
    return learn(card, config, SEEDS, folder)


@pytest.mark.parametrize("env_id", ["CartPole-v1", INVENTORY])
@pytest.mark.parametrize("noisy", [False, True], ids=["epsilon", "noisy"])
def test_stopped_and_gone_on_with_it_ends_with_the_same_weights(
    env_id: str, noisy: bool, tmp_path: Path
) -> None:
    config = _config(**{"network.noisy": noisy})
    whole = _learnt(env_id, tmp_path / "whole", config)
    parts = _learnt(env_id, tmp_path / "parts", config, stop_after=700)
    assert parts.record["resumed_from_step"] >= 500
    assert parts.record["notes"] == []
    for one, other in zip(whole.weights, parts.weights, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.curves.equals(parts.curves)


def test_where_the_world_cannot_be_put_back_new_episodes_begin_and_it_is_said(tmp_path: Path) -> None:
    parts = _learnt("MountainCar-v0", tmp_path, _config(), stop_after=700)
    assert parts.record["resumed_from_step"] >= 500
    assert "cannot be put back" in parts.record["notes"][0]
    assert parts.record["steps"] == 1_500


def test_a_finished_run_is_there_at_once(tmp_path: Path) -> None:
    first = _learnt("CartPole-v1", tmp_path, _config())
    again = _learnt("CartPole-v1", tmp_path, _config())
    assert again.record["updates"] == first.record["updates"]
    assert again.record["resumed_from_step"] == 1_500
    assert again.curves.equals(first.curves)


def test_what_is_served_acts_as_what_learnt(tmp_path: Path) -> None:
    config = _config()
    card = card_of("CartPole-v1", config.environment)
    found = learn(card, config, SEEDS, tmp_path)
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    for weights in found.weights:
        network = rebuilt(card, config, weights)
        with torch.inference_mode():
            said = network.values(torch.from_numpy(observations[None]))[0].argmax(-1).numpy()
        assert np.array_equal(said, greedy(network, 0)(observations))
    assert found.curves["seed"].unique().sort().to_list() == list(SEEDS)
    assert found.curves["steps"].max() == config.learning.steps


def test_features_are_scaled_by_what_random_play_shows() -> None:
    config = _config()
    card = card_of(INVENTORY, config.environment)
    found = scaling(card, config.environment, 3)
    assert found is not None
    centre, spread = found
    assert spread.gt(0).all()
    assert torch.isfinite(centre).all()
    again = scaling(card, config.environment, 3)
    assert again is not None
    assert torch.equal(again[0], centre)


def test_pictures_are_learnt_from(tmp_path: Path) -> None:
    config = _config(
        **{
            "learning.steps": 120,
            "learning.starts": 60,
            "learning.steps_per_update": 20,
            "learning.batch_size": 4,
            "learning.capacity": 200,
            "environment.num_envs": 4,
            "environment.horizon": 20,
            "evaluation.num_selection_episodes": 2,
            "evaluation.curve_points": 2,
        }
    )
    card = card_of("ALE/Pong-v5", config.environment)
    found = learn(card, config, (0,), tmp_path)
    assert found.record["updates"] >= 3
    assert rebuilt(card, config, found.weights[0]).shape == (4, 84, 84)


def test_an_ablation_turns_one_switch_at_a_time() -> None:
    variants = ablations(_config())
    whole = variants["all"]
    assert whole.network.dueling
    assert whole.network.noisy
    for name, variant in variants.items():
        if name.startswith("without"):
            mine, theirs = variant.model_dump(), whole.model_dump()
            changed = [
                (section, key)
                for section in ("network", "learning")
                for key in mine[section]
                if mine[section][key] != theirs[section][key]
            ]
            assert len(changed) == 1, name
    plain = variants["plain DQN"]
    assert (plain.learning.num_steps, plain.learning.priority_power, plain.network.distribution) == (
        1,
        0,
        "mean",
    )
