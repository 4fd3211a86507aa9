"""The protocol: the usual seed counts and not the luckiest, worlds are paired, the served seed is chosen elsewhere."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dqn_agent.config import AgentConfig, tiny
from pipelines.dqn_agent.environments.register import INVENTORY
from pipelines.dqn_agent.evaluate import evaluation_document, interquartile_mean
from pipelines.dqn_agent.known import card_of
from pipelines.dqn_agent.play import Episodes
from shared.orchestration.overrides import with_overrides

NUM = 60
CONFIG = with_overrides(tiny(), {"evaluation.num_episodes": NUM, "evaluation.num_bootstraps": 400})


def _episodes(returns: np.ndarray, terms: int = 0) -> Episodes:
    ends = np.ones(len(returns), dtype=bool)
    lengths = np.full(len(returns), 10)
    return Episodes(7, returns, lengths, ends, ~ends, np.ones((len(returns), terms)))


def _curves(last: dict[int, float]) -> pl.DataFrame:
    rows = [
        {"seed": seed, "steps": steps, "return_mean": value * steps / 200}
        for steps in (100, 200)
        for seed, value in last.items()
    ]
    return pl.DataFrame(rows)


def _document(
    networks: dict[int, np.ndarray],
    rule: np.ndarray,
    selection: dict[int, float],
    config: AgentConfig = CONFIG,
) -> dict[str, object]:
    card = card_of("CartPole-v1", config.environment)
    return evaluation_document(
        card,
        {seed: _episodes(returns) for seed, returns in networks.items()},
        {"random": _episodes(rule - 300), "rule": _episodes(rule)},
        {"random": "Anything.", "rule": "A rule."},
        selection,
        _curves(selection),
        config,
    )


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30))
@settings(deadline=None)
def test_the_interquartile_mean_lies_in_the_middle(values: list[float]) -> None:
    array = np.array(values)
    found = float(interquartile_mean(array))
    assert (
        np.quantile(array, 0.2, method="lower") - 1e-9
        <= found
        <= np.quantile(array, 0.8, method="higher") + 1e-9
    )
    assert found == pytest.approx(float(interquartile_mean(array[::-1])))


def test_eight_values_give_the_mean_of_the_middle_four() -> None:
    assert float(interquartile_mean(np.array([0, 900, 2, 3, 4, 5, -900, 8.0]))) == pytest.approx(
        (2 + 3 + 4 + 5) / 4
    )


def test_a_seed_that_failed_does_not_move_the_headline_but_is_named() -> None:
    luck = np.random.default_rng(0).normal(0, 5, NUM)
    networks = dict.fromkeys(range(4), 480 + luck) | {4: np.full(NUM, 20.0)}
    found = _document(networks, 400 + luck, dict.fromkeys(range(5), 1.0))
    metrics = found["metrics"]
    assert metrics["test/return_iqm"]["value"] > 475
    assert metrics["test/return_mean"]["value"] < 400
    assert metrics["test/return_iqm"]["low"] < 475
    assert [one["solved"] for one in found["seeds"]] == [True] * 4 + [False]
    assert any("with seed 4" in note for note in found["notes"])


def test_worlds_that_were_harder_for_both_are_no_noise_between_them() -> None:
    luck = np.random.default_rng(1).normal(0, 80, NUM)
    found = _document(dict.fromkeys(range(5), 300 + luck), 290 + luck, dict.fromkeys(range(5), 1.0))
    difference = found["difference"]
    assert found["best_rule"] == "rule"
    assert difference["difference"] == pytest.approx(10)
    assert difference["outside_noise"]
    assert difference["high"] - difference["low"] < 1
    assert found["verdict"]["beats"] == "yes"


def test_networks_that_lose_are_said_to_lose() -> None:
    luck = np.random.default_rng(2).normal(0, 5, NUM)
    found = _document(dict.fromkeys(range(5), 200 + luck), 290 + luck, dict.fromkeys(range(5), 1.0))
    assert found["verdict"]["beats"] == "no"


def test_the_served_seed_is_chosen_on_development_episodes_alone() -> None:
    networks = {0: np.full(NUM, 100.0), 1: np.full(NUM, 500.0), 2: np.full(NUM, 300.0)}
    found = _document(networks, np.full(NUM, 200.0), {0: 9.0, 1: 5.0, 2: 7.0})
    assert [one["selected"] for one in found["seeds"]] == [True, False, False]


def test_costs_and_the_unit_of_the_reward_are_in_the_numbers() -> None:
    card = card_of(INVENTORY, CONFIG.environment)
    played = _episodes(np.arange(NUM, dtype=float), len(card.cost_terms))
    found = evaluation_document(
        card, {0: played}, {"random": played}, {"random": "Anything."}, {0: 1.0}, _curves({0: 1.0}), CONFIG
    )
    assert found["metrics"]["test/return_iqm"]["unit"] == "EUR"
    for term in card.cost_terms:
        metric = found["metrics"][f"test/cost_{term}_mean"]
        assert metric["value"] == 1.0
        assert not metric["higher_is_better"]
    assert found["curve"]["steps"] == [100, 200]
    assert found["verdict"]["beats"] == "within noise"
