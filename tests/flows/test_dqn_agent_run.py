"""One run of agents: the JSON that users build on, one world for all policies, and what is not computed twice."""

import re
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.flows.finished_run import FinishedRun

TINY = ("run", "dqn_agent", "--preset", "tiny")
STEPS = ["ingest", "rules", "train", "evaluate", "watch", "explain", "assemble", "publish"]
RULES = {"random", "order_up_to", "reorder_point", "forecast_cover", "forecast_cover_by_age"}
COSTS = ("ordering", "holding", "waste", "lost_sales")
SEEDS, EPISODES = 2, 8


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("dqn_agent") / "home")
    return FinishedRun(fieldwork, fieldwork(*TINY, "--json", "-").require_success())


@pytest.fixture(scope="module")
def episodes(first_run: FinishedRun) -> pl.DataFrame:
    return first_run.frame(first_run.result("evaluate")["table"])


def test_json_says_what_was_run_on_what(first_run):
    document = first_run.document
    names = [document[key] for key in ("pipeline", "preset", "source", "contract")]
    assert names == ["dqn_agent", "tiny", "synthetic", "environment_card@1.0.0"]
    assert list(document["seconds"]) == STEPS
    rows = document["rows"]
    assert (rows["in"], rows["quarantined"], rows["test_episodes"]) == (1, 0, SEEDS * EPISODES)
    assert rows["training_steps"] >= SEEDS * 2_000
    assert document["training"]["epochs"] is None
    assert document["training"]["samples_per_second"] > 0
    assert document["explanation"]["completeness_error"] < 0.05


def test_every_policy_has_every_headline_with_interval(first_run):
    models = {"network": first_run.document["metrics"], **first_run.document["baselines"]}
    assert models.keys() == {"network", *RULES}
    for metrics in models.values():
        assert list(metrics)[:2] == ["test/return_iqm", "test/return_mean"]
        assert {f"test/cost_{term}_mean" for term in COSTS} < metrics.keys()
        for metric in metrics.values():
            assert metric["low"] <= metric["value"] <= metric["high"]
            assert metric["n"] > 0


def test_every_policy_played_the_same_worlds(episodes):
    assert episodes["seed"].n_unique() == 1
    assert set(episodes["policy"]) == {"network", *RULES}
    played = episodes.group_by("policy", "network_seed").agg(pl.col("episode").sort())
    assert played.height == SEEDS + len(RULES)
    assert all(numbers == list(range(1, EPISODES + 1)) for numbers in played["episode"].to_list())
    assert (episodes["network_seed"].is_null() == (episodes["policy"] != "network")).all()


def test_results_are_those_of_the_episodes(first_run, episodes):
    mean = episodes.filter(pl.col("policy") == "network")["return"].mean()
    assert first_run.document["metrics"]["test/return_mean"]["value"] == pytest.approx(mean)
    rule = episodes.filter(pl.col("policy") == "order_up_to")["return"].mean()
    baselines = first_run.document["baselines"]
    assert baselines["order_up_to"]["test/return_mean"]["value"] == pytest.approx(rule)
    best, worst = (baselines[rule]["test/return_iqm"] for rule in ("forecast_cover_by_age", "random"))
    assert best["low"] > worst["high"]


def test_served_is_the_seed_that_did_best_in_development(first_run):
    curves = first_run.frame(first_run.result("train")["curves"])
    assert curves.group_by("seed").len()["len"].to_list() == [3] * SEEDS
    selection = first_run.result("train")["selection"]
    assert len(selection) == SEEDS
    assert first_run.result("evaluate")["served_seed"] == selection.index(max(selection))


def test_timeline_has_the_network_and_every_rule_step_by_step(first_run):
    watched = first_run.frame(first_run.result("watch")["timeline"])
    ruled = first_run.frame(first_run.result("rules")["timeline"])
    assert watched["step"].to_list() == list(range(60))
    assert set(ruled["policy"]) == RULES
    assert watched["values"].list.len().unique().to_list() == [11]
    best = watched["values"].list.arg_max()
    assert best.to_list() == watched["action"].to_list(), "the network acts greedily"
    first = ruled.group_by("policy").first()["observation"].to_list()
    assert all(one == watched["observation"][0].to_list() for one in first), "all begin in one world"
    income = watched["reward"] + watched["costs"].list.sum()
    np.testing.assert_allclose(income, 0, atol=1e-3)


def test_bundle_holds_what_scoring_needs_and_nothing_pickled(first_run):
    first_run.require_bundle("profile.json", "summary.json", "features/card.json")


def test_card_says_where_it_must_not_be_used_and_what_the_rules_do(first_run):
    card = (first_run.bundle / "model_card.md").read_text()
    for part in ("Acting without supervision", "as it is simulated", "Served seed", "order 10 lots", "EUR",
                 "development episodes", "Each day orders up to", "seeds of their own"):  # fmt: skip
        assert part in card


def test_report_shows_every_part(first_run):
    report = (first_run.bundle / "report.html").read_text()
    text = re.sub(r"<svg.*?</svg>|<script.*?</script>", "", report, flags=re.DOTALL)
    for part in ("Verdict", "forecast cover by age", "Limits and misuse"):
        assert part in report
    assert "nan" not in text.lower().split()


def test_second_identical_run_computes_nothing(first_run):
    first_run.require_reuse(TINY, STEPS)


def test_another_look_at_the_evidence_trains_nothing_again_and_meets_the_champion_in_its_worlds(first_run):
    changed = ("--set", "explanation.num_checked=25")
    outcome = first_run.fieldwork(*TINY, *changed, "--json", "-").require_success()
    assert "\n  rules      reused" in outcome.stderr
    assert "\n  train      reused" in outcome.stderr
    assert "\n  explain    reused" not in outcome.stderr
    assert outcome.document["model"]["version"] == 2
    assert "differs by +0 " in outcome.stderr, "the same policy in the same worlds"
    assert outcome.document["model"]["promoted"]
