"""Sources: which environment they mean, when earlier results hold, and which cards are refused before learning."""

import sys

import pytest
import yaml

from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.ingest import environment_id, identify, read_environment
from pipelines.dqn_agent.schema import decisions_contract, observations_contract
from shared.errors import RequestError
from tests.flows.own_environments import CARD, write_card, write_module

PLAIN = EnvironmentConfig()
NARROW = {"name": "place", "unit": "m", "low": -0.01, "high": 0.01}


@pytest.mark.parametrize(
    ("source", "env_id"),
    [("synthetic", "fieldwork/InventoryControl-v0"), ("CartPole-v1", "CartPole-v1"), ("ALE/Pong-v5",) * 2],
    ids=["synthetic", "gymnasium", "atari"],
)
def test_sources_without_a_file_name_their_environment(source, env_id):
    assert environment_id(source) == env_id


def test_a_card_names_its_environment_as_yaml_and_as_json(tmp_path):
    assert environment_id(str(write_card(tmp_path))) == "own/Drift-v0"
    as_json = tmp_path / "card.json"
    as_json.write_text(yaml.safe_dump(CARD, default_flow_style=True, width=10_000))
    assert environment_id(str(as_json)) == "own/Drift-v0"


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("no/such/card.yaml", ["no/such/card.yaml", "no such file"]),
        ("german_credit", ["german_credit", "another domain", "CartPole-v1"]),
    ],
    ids=["no-file", "data-set-of-another-domain"],
)
def test_what_is_no_source_is_refused(source, parts):
    with pytest.raises(RequestError) as caught:
        identify(source, PLAIN)
    assert all(part in str(caught.value) for part in parts)


def test_changed_card_and_changed_code_of_a_module_are_other_sources(tmp_path, monkeypatch):
    """Without a digest of the user's code, what was learnt in another environment would be reused."""
    name = write_module(tmp_path, monkeypatch)
    config = EnvironmentConfig(module=name)
    path = write_card(tmp_path)
    first = identify(str(path), config)
    assert identify(str(path), config) == first
    code = tmp_path / f"{name}.py"
    code.write_text(code.read_text() + "# another release\n")
    changed = identify(str(path), config)
    assert changed.sha256 != first.sha256
    write_card(tmp_path, reward_unit="EUR")
    assert identify(str(path), config).sha256 not in (first.sha256, changed.sha256)
    assert name not in sys.modules, "identifying runs no code"


def test_all_code_of_a_package_counts(tmp_path, monkeypatch):
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "physics.py").write_text("G = 9.81\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = EnvironmentConfig(module="own_package.envs")
    first = identify("own/Drift-v0", config)
    (package / "physics.py").write_text("G = 1.62\n")
    assert identify("own/Drift-v0", config) != first


def test_card_of_a_users_environment_is_read_and_checked(tmp_path, monkeypatch):
    config = EnvironmentConfig(module=write_module(tmp_path, monkeypatch))
    read = read_environment(str(write_card(tmp_path)), config)
    assert read.card.actions == ("push left", "push right")
    assert read.checked.valid["id"].to_list() == ["own/Drift-v0"]
    assert read.notes == ()


def test_module_that_only_the_card_names_is_not_imported(tmp_path, monkeypatch):
    name = write_module(tmp_path, monkeypatch)
    with pytest.raises(RequestError, match=r"environment\.module"):
        read_environment(str(write_card(tmp_path, id="own/Unknown-v0")), PLAIN)
    assert name not in sys.modules


def test_module_that_differs_from_the_cards_is_noted(tmp_path, monkeypatch):
    config = EnvironmentConfig(
        module=write_module(tmp_path, monkeypatch, "other_drift"), parameters={"speed": 0.05}
    )
    module, parameters = read_environment(str(write_card(tmp_path)), config).notes
    assert "own_drift, which was not imported" in module
    assert parameters == "Other parameters than the environment's own: speed 0.05."


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"actions": ["push left", "push right", "wait"]}, "actions"),
        ({"horizon": 41}, "horizon"),
        ({"cost_terms": ["fuel", "noise"]}, "cost_terms"),
        ({"observation": CARD["observation"][:1]}, "observation"),
        ({"observation": [NARROW, CARD["observation"][1]]}, "observation.0"),
        ({"observation": [{"name": "case_id", "unit": "1"}, CARD["observation"][1]]}, "case_id"),
    ],
    ids=["actions", "horizon", "cost-terms", "too-few-features", "bounds", "name-that-is-taken"],
)  # fmt: skip
def test_card_that_does_not_fit_is_refused_by_its_field(tmp_path, monkeypatch, changes, field):
    config = EnvironmentConfig(module=write_module(tmp_path, monkeypatch))
    with pytest.raises(RequestError, match=field):
        read_environment(str(write_card(tmp_path, **changes)), config)


def test_contracts_have_the_words_of_the_card():
    card = read_environment("synthetic", PLAIN).card
    observed, decided = observations_contract(card), decisions_contract(card)
    assert observed.id_version == "agent_observations@1.0.0+fieldwork-InventoryControl-v0"
    assert observed.column_names[:2] == ("case_id", card.observation[0].name)
    assert observed.properties[1].maximum == card.observation[0].high
    assert decided.column_names[-len(card.actions) :] == tuple(f"value_{n}" for n in range(len(card.actions)))
    assert decided.properties[-1].unit == card.reward_unit
