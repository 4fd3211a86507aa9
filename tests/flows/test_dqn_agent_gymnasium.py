"""An environment of Gymnasium that draws itself and knows a success; each switch of the agent by itself."""

import json
from typing import Any

import pytest

from tests.flows.finished_run import FinishedRun

RUN = ("run", "dqn_agent", "--preset", "tiny", "--data", "CartPole-v1")
SMALL = ("num_seeds=1", "learning.steps=300", "learning.starts=100", "ablation=true")
VARIANTS = {"double", "dueling", "n-step", "priorities", "noisy layers", "quantiles"}


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("dqn_agent") / "home")
    options = [part for setting in SMALL for part in ("--set", setting)]
    return FinishedRun(fieldwork, fieldwork(*RUN, *options, "--json", "-").require_success())


def test_episodes_that_reach_the_threshold_are_successes(first_run):
    rule = first_run.document["baselines"]["pole_angle_and_velocity"]
    assert rule["test/success_rate"]["value"] == rule["test/return_mean"]["value"] / 500 == 1
    assert first_run.document["baselines"]["random"]["test/success_rate"]["value"] == 0


def test_a_film_of_the_episode_is_kept(first_run):
    from shared.data.store import Ref, default_store

    with first_run.fieldwork.at_home():
        film = default_store().local_path(Ref.model_validate(first_run.result("watch")["film"]))
        assert film.read_bytes().startswith(b"\x89PNG")


def test_every_switch_is_tried_with_all_others_on(first_run):
    rows = json.loads((first_run.bundle / "metrics.json").read_text())["ablation"]
    names = [row["variant"] for row in rows]
    assert (names[0], names[-1]) == ("all", "plain DQN")
    assert {f"without {name}" for name in VARIANTS} <= set(names)
    for row in rows:
        assert row["return_iqm"]["low"] <= row["return_iqm"]["value"] <= row["return_iqm"]["high"]
        assert row["steps_to_rule"] is None
        assert row["steps_per_second"] > 0
    assert len({row["return_iqm"]["value"] for row in rows}) > 1, "switches make other agents"


def test_each_variant_is_learnt_once(first_run):
    trained = list((first_run.fieldwork.home / "results").glob("train-*.json"))
    rows = json.loads((first_run.bundle / "metrics.json").read_text())["ablation"]
    assert len(trained) in (len(rows), len(rows) + 1), "the served agent may be one of them"
