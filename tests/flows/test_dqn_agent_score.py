"""Scoring with a published agent: decisions for a table of situations, episodes for a card."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from tests.flows.bad_files import truncated_parquet, written
from tests.flows.finished_run import FinishedRun
from tests.flows.own_environments import write_card, write_module

RULES = {"random", "run_to_failure", "fixed_interval", "condition_limit", "condition_limit_by_load"}
TRAIN = ("run", "dqn_agent", "--preset", "tiny", "--data", "fieldwork/MachineMaintenance-v0")
CONTRACT_LINES = 4


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> FinishedRun:
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("dqn_agent") / "home")
    return FinishedRun(fieldwork, fieldwork(*TRAIN, "--json", "-").require_success())


@pytest.fixture(scope="module")
def timeline(first_run: FinishedRun) -> pl.DataFrame:
    return first_run.frame(first_run.result("watch")["timeline"])


@pytest.fixture(scope="module")
def situations(first_run: FinishedRun, timeline: pl.DataFrame) -> pl.DataFrame:
    """What the policy came across in the episode that was watched."""
    card = json.loads((first_run.bundle / "features/card.json").read_text())
    names = [feature["name"] for feature in card["observation"]]
    return pl.DataFrame(timeline["observation"].to_list(), schema=names, orient="row")


@pytest.fixture
def decide(first_run: FinishedRun, tmp_path: Path) -> Any:
    """`decide(table)` scores it, with more options; gives the outcome and where the decisions are."""

    def scored(table: pl.DataFrame, *options: str) -> tuple[Any, Path]:
        table.write_csv(tmp_path / "situations.csv")
        out = tmp_path / "out.parquet"
        command = ("score", "dqn_agent", tmp_path / "situations.csv", "--out", out)
        return first_run.fieldwork(*command, *options, "--json", "-"), out

    return scored


def test_decisions_are_those_of_the_policy_in_the_order_of_the_file(decide, situations, timeline):
    outcome, out = decide(situations)
    rows = outcome.require_success().document["rows"]
    decisions = pl.read_parquet(out)
    assert decisions["case_id"].to_list() == [str(number) for number in range(1, situations.height + 1)]
    assert decisions["action_number"].to_list() == timeline["action"].to_list()
    values = decisions.select("^value_.*$").to_numpy()
    np.testing.assert_allclose(values, np.array(timeline["values"].to_list()), rtol=1e-5, atol=1e-6)
    assert rows == {"in": situations.height, "quarantined": 0, "scored": situations.height, "outside": 0}
    assert decisions["reasons"].null_count() == situations.height
    contract = "agent_observations@1.0.0+fieldwork-MachineMaintenance-v0"
    assert decisions["contract"].unique().to_list() == [contract]


def test_reasons_name_features_with_values_and_units(decide, situations):
    outcome, out = decide(situations.head(5), "--explain")
    outcome.require_success()
    for row, given in zip(pl.read_parquet(out)["reasons"], situations.to_dicts(), strict=False):
        reasons = json.loads(row)
        sizes = [abs(reason["contribution"]) for reason in reasons]
        assert 1 <= len(reasons) <= 5
        assert sizes == sorted(sizes, reverse=True)
        assert all(reason["value"] == pytest.approx(given[reason["name"]], rel=1e-4) for reason in reasons)
        assert all(reason["unit"] for reason in reasons)


def test_cases_keep_their_names_and_further_columns_do_no_harm(decide, situations):
    named = situations.head(3).with_columns(case_id=pl.Series([7, 8, 9]), remark=pl.lit("x"))
    outcome, out = decide(named[:, ::-1])
    outcome.require_success()
    assert pl.read_parquet(out)["case_id"].to_list() == ["7", "8", "9"]


def test_situations_that_nobody_has_visited_are_marked_and_drift_is_seen(decide, situations):
    hot = situations.with_columns(temperature=pl.lit(149.0), vibration=pl.lit(19.5))
    outcome, out = decide(hot)
    assert pl.read_parquet(out)["outside"].all()
    drift = outcome.require_success().document["drift"]
    assert drift["drifted"]
    assert {"temperature", "vibration"} <= set(drift["columns"])


@pytest.mark.parametrize(
    ("column", "value"),
    [("load", None), ("load", "high"), ("load", float("nan")), ("load", float("inf")), ("vibration", -1.0)],
    ids=["missing", "word", "nan", "infinity", "out-of-range"],
)
def test_broken_row_is_in_quarantine_with_its_rule_and_the_others_are_decided(
    decide, situations, column, value
):
    rows = situations.with_columns(
        pl.when(pl.int_range(pl.len()) == 3).then(pl.lit(value)).otherwise(column).alias(column)
        if not isinstance(value, str)
        else pl.when(pl.int_range(pl.len()) == 3).then(pl.lit(value)).otherwise(pl.col(column).cast(pl.String))
        .alias(column)
    )  # fmt: skip
    outcome, out = decide(rows)
    assert outcome.require_success().document["rows"]["quarantined"] == 1
    [quarantined] = pl.read_parquet(out.with_name("out.quarantine.parquet")).to_dicts()
    assert quarantined["row_number"] == 4
    assert column in str(quarantined["broken_rules"])
    assert "4" not in pl.read_parquet(out)["case_id"].to_list()


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.drop("vibration"), ["vibration"]),
        (lambda table: table.with_columns(load=pl.lit("high")), ["load"]),
        (lambda table: table.with_columns(load=pl.lit(None, dtype=pl.Float64)), ["load"]),
        (lambda table: table.with_columns(case_id=pl.lit("m1")), ["case_id"]),
    ],
    ids=["no-column", "words", "nothing-measured", "one-case-many-times"],
)
def test_table_that_cannot_be_decided_on_is_a_wrong_request(decide, situations, change, parts):
    outcome, out = decide(change(situations))
    outcome.require_plain_failure(2, *parts, most_lines=CONTRACT_LINES)
    assert not out.exists()


@pytest.mark.parametrize(
    "write",
    [written(b"", "own.csv"), written(b"\x00" * 500, "own.csv"), written(b"load\n", "own.csv"), truncated_parquet],
    ids=["empty", "zeros", "header-only", "truncated-parquet"],
)  # fmt: skip
def test_unreadable_table_is_a_wrong_request(first_run, tmp_path, situations, write):
    path = write(tmp_path, situations)
    command = ("score", "dqn_agent", path, "--out", tmp_path / "out.csv")
    first_run.fieldwork(*command).require_plain_failure(2, path.name)


def test_card_is_played_by_the_policy_and_the_rules_in_the_same_new_worlds(first_run, tmp_path):
    card = yaml.safe_load((first_run.bundle / "features/card.json").read_text())
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(card))
    command = ("score", "dqn_agent", tmp_path / "card.yaml", "--out", tmp_path / "out.csv", "--json", "-")
    outcome = first_run.fieldwork(*command).require_success()
    assert outcome.document["rows"] == {"in": 1, "quarantined": 0, "episodes": 48, "policies": 6}
    episodes = pl.read_csv(tmp_path / "out.csv")
    assert set(episodes["policy"]) == {"network", *RULES}
    tested = first_run.frame(first_run.result("evaluate")["table"])
    assert set(episodes["seed"]).isdisjoint(tested["seed"]), "episodes that nobody has judged by"
    assert outcome.document["contract"] == "environment_card@1.0.0"
    again = first_run.fieldwork(*command).require_success()
    assert pl.read_csv(tmp_path / "out.csv").drop("scored_at").equals(episodes.drop("scored_at"))
    assert again.document["drift"] == outcome.document["drift"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "CartPole-v1"}, "id"),
        ({"actions": ["run", "overhaul", "adjust"]}, "actions"),
        ({"horizon": 10}, "horizon"),
        ({"cost_terms": []}, "cost_terms"),
    ],
    ids=["environment", "order-of-actions", "horizon", "cost-terms"],
)
def test_card_of_another_environment_is_a_wrong_request(first_run, tmp_path, changes, field):
    card = json.loads((first_run.bundle / "features/card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps(card | changes))
    command = ("score", "dqn_agent", tmp_path / "card.json", "--out", tmp_path / "out.csv")
    first_run.fieldwork(*command).require_plain_failure(2, field, "fieldwork run dqn_agent --data CARD")


def test_environment_of_ones_own_is_learnt_and_decided_in_but_scoring_runs_no_code_of_it(
    fieldwork, tmp_path, monkeypatch
):
    """Whoever publishes a model must not be able to run code where it is scored."""
    module, path = write_module(tmp_path, monkeypatch), write_card(tmp_path)
    options = ("--preset", "tiny", "--data", path, "--set", f"environment.module={module}", "--json", "-")
    run = fieldwork("run", "dqn_agent", *options).require_success().document
    assert run["baselines"].keys() == {"random"}
    (tmp_path / f"{module}.py").write_text("raise SystemExit('code of an environment was run')")
    (tmp_path / "situations.csv").write_text("case_id,place,wind\na,0.5,0.05\nb,-0.5,-0.05\n")
    out = tmp_path / "out.csv"
    fieldwork("score", "dqn_agent", tmp_path / "situations.csv", "--out", out).require_success()
    assert pl.read_csv(out)["action"].is_in(["push left", "push right"]).all()
    refused = fieldwork("score", "dqn_agent", path, "--out", out)
    refused.require_plain_failure(2, "own_drift", "score a table of situations instead")


def test_agent_of_frames_is_learnt_and_plays_but_takes_no_table(fieldwork, tmp_path, monkeypatch):
    module = write_module(tmp_path, monkeypatch)
    options = ("--preset", "tiny", "--data", "own/Film-v0", "--set", f"environment.module={module}")
    few = ("--set", "learning.steps=300", "--set", "num_seeds=1", "--set", "environment.num_envs=4")
    document = fieldwork("run", "dqn_agent", *options, *few, "--json", "-").require_success().document
    assert document["metrics"]["test/length_mean"]["value"] <= 40
    (tmp_path / "situations.csv").write_text("case_id,place\na,0.5\n")
    command = ("score", "dqn_agent", tmp_path / "situations.csv", "--out", tmp_path / "out.csv")
    version = document["model"]["version"]
    fieldwork(*command, "--version", version).require_plain_failure(2, "images", "card")
