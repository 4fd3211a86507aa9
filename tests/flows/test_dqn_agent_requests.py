"""Wrong requests to agents end with exit code 2 and plain lines, before anything is learnt."""

import pytest

from tests.flows.own_environments import CARD, write_card, write_module

TINY = ("run", "dqn_agent", "--preset", "tiny", "--quiet")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--set", "learnin.steps=3"], ["learnin", "learning"]),
        (["--set", "learning.steps=5"], ["learning.steps", "greater than or equal to 100"]),
        (["--set", "network.distribution=normal"], ["network.distribution", "'quantiles'"]),
        (["--set", "network.lowest=200"], ["network.lowest below network.highest"]),
        (["--set", "num_seeds=0"], ["num_seeds", "greater than or equal to 1"]),
        (["--set", "explanation.map_features=[wear]"], ["explanation.map_features"]),
        (["--set", "environment.parameters.no_such=1"], ["InventoryControl", "no_such"]),
        (["--set", "environment.module=no_such_module"], ["environment.module", "no_such_module", "PYTHONPATH"]),
        (["--set", "environment.module=os; rm"], ["environment.module"]),
        (["--data", "CartPole-v9"], ["CartPole-v9", "Did you mean", "environment.module"]),
        (["--data", "Pendulum-v1"], ["Pendulum-v1", "discrete actions"]),
        (["--data", "FrozenLake-v1"], ["FrozenLake-v1", "vector of numbers or an image"]),
        (["--data", "os:Name-v0"], ["os:Name-v0", "environment.module"]),
        (["--data", "german_credit"], ["german_credit", "another domain"]),
        (["--data", "no/such/card.yaml"], ["no/such/card.yaml", "no such file"]),
    ],
    ids=[
        "section", "steps", "distribution", "atoms", "no-seeds", "one-map-feature", "parameter", "no-module",
        "code-for-a-module", "unknown-environment", "continuous-actions", "observation-is-a-number", "module-in-an-id",
        "other-domain", "no-file",
    ],
)  # fmt: skip
def test_wrong_option_is_refused(fieldwork, options, parts):
    fieldwork(*TINY, *options).require_plain_failure(2, *parts)
    assert not list(fieldwork.home.glob("results/train-*.json"))


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["card.yaml"]),
        (b"\xff\xfe\x00", ["card.yaml", "UTF-8"]),
        (b"id: [CartPole-v1", ["card.yaml"]),
        (b"- CartPole-v1", ["card.yaml"]),
        (b"id: &a CartPole-v1\nactions: [*a, *a]", ["card.yaml", "anchors"]),
        (b"id: CartPole-v1\nid: Pong-v1", ["card.yaml", "twice"]),
        (b"id: CartPole-v1\nactions: [left, right]", ["card.yaml", "observation"]),
        (b"id: CartPole-v1\nimage: [1, 84, 84]\nactions: [left]", ["card.yaml", "actions"]),
        (b"id: CartPole-v1\nimage: [1, 84, 84]\nactions: [left, left]", ["card.yaml", "left again"]),
        (b"id: CartPole-v1\nimage: [1, 84, 84]\nactions: [left, right]", ["CartPole-v1", "observation"]),
        (b"!!python/object/apply:os.system [ls]", ["card.yaml"]),
    ],
    ids=[
        "empty", "not-utf-8", "broken-yaml", "list", "anchors", "key-twice", "nothing-observed", "one-action",
        "action-twice", "image-of-a-vector", "code",
    ],
)  # fmt: skip
def test_unreadable_card_is_a_wrong_request(fieldwork, tmp_path, content, parts):
    path = tmp_path / "card.yaml"
    path.write_bytes(content)
    fieldwork(*TINY, "--data", path).require_plain_failure(2, *parts)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"actions": ["left", "right", "wait"]}, "actions"),
        ({"horizon": 41}, "horizon"),
        ({"cost_terms": ["noise"]}, "cost_terms"),
        ({"observation": CARD["observation"][:1]}, "observation"),
        ({"reward_unit": ""}, "reward_unit"),
        ({"discount": 1.0}, "discount"),
        ({"unknown": 1}, "unknown"),
    ],
    ids=["actions", "horizon", "cost-terms", "features", "no-unit", "discount", "unknown-field"],
)
def test_card_that_does_not_fit_its_environment_is_a_wrong_request(
    fieldwork, tmp_path, monkeypatch, changes, field
):
    module = write_module(tmp_path, monkeypatch)
    path = write_card(tmp_path, **changes)
    outcome = fieldwork(*TINY, "--data", path, "--set", f"environment.module={module}")
    outcome.require_plain_failure(2, field)
    assert not (fieldwork.home / "mlflow.db").exists()


def test_module_in_a_card_alone_is_not_imported_and_the_way_to_name_it_is_said(
    fieldwork, tmp_path, monkeypatch
):
    (tmp_path / "own_drift.py").write_text("raise SystemExit('code of a card was run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write_card(tmp_path, id="own/Never-v0")
    fieldwork(*TINY, "--data", path).require_plain_failure(2, "own/Never-v0", "--set environment.module=")


def test_scoring_before_anything_was_published_says_what_to_run(fieldwork, tmp_path):
    (tmp_path / "situations.csv").write_text("wear\n1\n")
    command = ("score", "dqn_agent", tmp_path / "situations.csv", "--out", tmp_path / "out.csv")
    fieldwork(*command).require_plain_failure(2, "fieldwork run dqn_agent")
