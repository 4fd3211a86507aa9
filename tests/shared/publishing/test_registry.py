import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shared.data.home import Home
from shared.errors import FieldworkError, RequestError
from shared.publishing.bundle import Bundle
from shared.publishing.gate import Candidate, Check, Decision, decide
from shared.publishing.registry import Registry
from shared.publishing.summary import RunSummary
from shared.publishing.tracking import flatten

Make = Callable[..., Bundle]
YES = Decision(True, "better", ("It is better.",), 0.01)
NO = Decision(False, "unclear", ("It is not shown.",), 0.01)


@pytest.fixture
def registry(place: Home) -> Registry:
    return Registry(place)


def summary() -> RunSummary:
    metric = {"value": 0.8, "low": 0.7, "high": None, "unit": "", "higher_is_better": True, "n": 200}
    known = {
        "pipeline": "widgets",
        "preset": "tiny",
        "source": "/data/my table.csv",
        "contract": "widgets@1.0.0",
    }
    known |= {"rows": {"in": 3}, "metrics": {"test/roc_auc": metric}, "verdict": "It wins."}
    known |= {"baselines": {"base_rate": {"test/roc_auc": {**metric, "value": float("nan")}}}}
    return RunSummary.model_validate(known)


def register(registry: Registry, make_bundle: Make, number: int) -> int:
    return registry.register("widgets", make_bundle(f"bundle{number}", value=float(number)).folder, "")


def test_run_is_tracked_with_settings_intervals_baselines_and_curves(registry: Registry) -> None:
    rows = [{"epoch": epoch, "train/loss": 1 / (epoch + 1), "note": "text"} for epoch in range(1200)]
    rows[3]["train/loss"] = float("nan")
    run_id = registry.log_run(
        "widgets", summary(), {"model": {"width": 8, "name": "x" * 7000}, "odd key!": 1}, rows
    )
    client = registry._tracking.client
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/roc_auc"] == 0.8
    assert run.data.metrics["test/roc_auc.low"] == 0.7
    assert "test/roc_auc.high" not in run.data.metrics
    assert "baseline/base_rate/test/roc_auc" not in run.data.metrics
    assert run.data.params["model.width"] == "8"
    assert len(run.data.params["model.name"]) == 6000
    assert len(client.get_metric_history(run_id, "train/loss")) == 1199


def test_tracked_runs_are_read_back_newest_first(registry: Registry) -> None:
    assert list(registry.runs("widgets")) == []
    first = registry.log_run("widgets", summary(), {})
    second = registry.log_run("widgets", summary().model_copy(update={"preset": "quick"}), {})
    found = registry.runs("widgets")
    assert [run.run_id for run in found] == [second, first]
    assert (found[0].preset, found[0].verdict, found[0].status) == ("quick", "It wins.", "FINISHED")
    assert found[0].metrics["test/roc_auc"] == 0.8
    assert [run.run_id for run in registry.runs("widgets", 1)] == [second]


def test_first_versions_life_from_challenger_to_champion_and_back(
    registry: Registry, make_bundle: Make
) -> None:
    assert registry.champion("widgets") is None
    first, second, third = (register(registry, make_bundle, number) for number in (1, 2, 3))
    assert [found.version for found in registry.list("widgets")] == [3, 2, 1]
    assert registry.version("widgets", "challenger").version == third
    for version in (first, second, third):
        registry.promote("widgets", version)
    assert registry.rollback("widgets").version == second
    assert registry.rollback("widgets").version == first
    with pytest.raises(RequestError, match="no earlier champion"):
        registry.rollback("widgets")
    registry.promote("widgets", third)
    assert registry.bundle("widgets").config["value"] == 3.0
    assert registry.rollback("widgets").version == first
    assert [found.pipeline for found in registry.list()] == ["widgets"] * 3


def test_same_bundle_registered_again_keeps_its_number(registry: Registry, make_bundle: Make) -> None:
    bundle = make_bundle()
    first = registry.register("widgets", bundle.folder, "")
    assert registry.register("widgets", bundle.folder, "") == first
    assert registry.register("widgets", make_bundle("other", value=2.0).folder, "") == first + 1


def test_registered_bundle_does_not_depend_on_the_folder_it_came_from(
    registry: Registry, make_bundle: Make
) -> None:
    bundle = make_bundle()
    registry.promote("widgets", registry.register("widgets", bundle.folder, ""))
    (bundle.folder / "config.json").write_text("{}")
    assert registry.bundle("widgets").config["value"] == 1.0


def test_bundle_altered_in_the_artifacts_is_not_used(registry: Registry, make_bundle: Make) -> None:
    first, second = (register(registry, make_bundle, number) for number in (1, 2))
    registry.promote("widgets", first)
    (registry.bundle("widgets", second).folder / "config.json").write_text("{}")
    with pytest.raises(FieldworkError, match="damaged"):
        registry.promote("widgets", second)
    champion = registry.champion("widgets")
    assert champion is not None
    assert champion.version == first


def test_bundle_that_is_gone_says_what_to_do(registry: Registry, make_bundle: Make, place: Home) -> None:
    registry.promote("widgets", register(registry, make_bundle, 1))
    os.rename(place.artifacts / "bundles", place.artifacts / "elsewhere")
    with pytest.raises(FieldworkError, match="is gone"):
        registry.bundle("widgets")


def test_rollback_ignores_a_promotion_that_was_killed_half_way(registry: Registry, make_bundle: Make) -> None:
    from shared.publishing.versions import set_champions

    for number in (1, 2, 3):
        register(registry, make_bundle, number)
    registry.promote("widgets", 1)
    registry.promote("widgets", 2)
    set_champions(registry._tracking.client, "widgets", [1, 2, 3])  # the alias was not moved yet
    champion = registry.champion("widgets")
    assert champion is not None
    assert champion.version == 2
    assert registry.rollback("widgets").version == 1


def test_rollback_skips_versions_that_were_deleted(registry: Registry, make_bundle: Make) -> None:
    for number in (1, 2, 3):
        registry.promote("widgets", register(registry, make_bundle, number))
    registry._tracking.client.delete_model_version("widgets", "2")
    assert registry.rollback("widgets").version == 1


def test_every_decision_is_in_the_history_and_acted_on(registry: Registry, make_bundle: Make) -> None:
    first, second = (register(registry, make_bundle, number) for number in (1, 2))
    assert registry.record("widgets", first, YES, against=None)
    assert not registry.record("widgets", second, NO, against=first)
    registry.promote("widgets", second, reasons=["needed for a test"])
    registry.rollback("widgets", reason="it was worse")
    events = registry.history("widgets").read()
    assert [event["event"] for event in events] == ["gate", "promotion", "gate", "promotion", "rollback"]
    assert events[2]["reasons"] == ["It is not shown."]
    assert events[4]["reasons"] == ["it was worse"]
    assert registry.verify_history("widgets") == 5


def test_truncated_history_is_noticed_by_the_registry(registry: Registry, make_bundle: Make) -> None:
    registry.promote("widgets", register(registry, make_bundle, 1))
    registry.history("widgets").path.write_text("")
    with pytest.raises(FieldworkError, match="lost its last events"):
        registry.verify_history("widgets")


def test_decision_against_a_champion_that_was_replaced_promotes_nothing(
    registry: Registry, make_bundle: Make
) -> None:
    for number in (1, 2, 3):
        register(registry, make_bundle, number)
    registry.promote("widgets", 1)
    registry.promote("widgets", 2)  # another run was faster
    assert not registry.record("widgets", 3, YES, against=1)
    champion = registry.champion("widgets")
    assert champion is not None
    assert champion.version == 2
    assert registry.history("widgets").read()[-1]["event"] == "refused"


def test_gate_and_registry_fit_together(registry: Registry, make_bundle: Make) -> None:
    checks = {"explanation_faithful": Check(True), "leak_audit_clean": Check(True)}
    first = Candidate(
        "widgets@1.0.0", "0" * 64, "synthetic", True, register(registry, make_bundle, 1), checks
    )
    registry.record("widgets", 1, decide(first, None, margin=0.01), against=None)
    real = replace(first, table="records", generated=False, version=register(registry, make_bundle, 2))
    assert registry.record("widgets", 2, decide(real, first, margin=0.01), against=1)
    assert not registry.record("widgets", 1, decide(first, real, margin=0.01), against=2)


@pytest.mark.parametrize("version", [9, "9", "champion", "latest"])
def test_unknown_version_says_what_there_is(
    registry: Registry, make_bundle: Make, version: int | str
) -> None:
    register(registry, make_bundle, 1)
    with pytest.raises(RequestError, match=r"registered: 1"):
        registry.version("widgets", version)


def test_empty_registry_names_the_command(registry: Registry) -> None:
    with pytest.raises(RequestError, match="fieldwork run widgets"):
        registry.version("widgets")
    with pytest.raises(RequestError, match="name of a pipeline"):
        registry.version("wid' OR name='gets")


def test_bundle_of_another_pipeline_is_refused(registry: Registry, make_bundle: Make) -> None:
    with pytest.raises(FieldworkError, match="Received widgets"):
        registry.register("gears", make_bundle().folder, "")


def test_bundle_in_a_shared_store_is_fetched_by_another_machine(
    place: Home, make_bundle: Make, tmp_path: Path
) -> None:
    import shutil

    shared = replace(place, artifacts_url=f"memory://{tmp_path.name}")
    registry = Registry(shared)
    registry.promote("widgets", registry.register("widgets", make_bundle().folder, ""))
    shutil.rmtree(shared.cache)
    assert Registry(shared).bundle("widgets").config["value"] == 1.0


def test_unreadable_database_gives_one_plain_line(place: Home) -> None:
    place.mlflow_db.write_bytes(b"this is no database" * 100)
    with pytest.raises(FieldworkError, match="does not answer as expected"):
        Registry(place).list("widgets")


_FIRST_USE = """
import sys, logging
from shared.publishing.registry import Registry
print(len(Registry().list()))
"""


def _start(place: Home) -> "subprocess.Popen[str]":
    environment = os.environ | {"FIELDWORK_HOME": str(place.root), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", _FIRST_USE], env=environment, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def test_first_uses_at_once_after_a_killed_one_make_one_quiet_database(place: Home) -> None:
    killed = _start(place)
    while killed.poll() is None and not list(place.root.glob(".mlflow.db.*.new")):
        os.sched_yield()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not place.mlflow_db.exists()

    both = [_start(place), _start(place)]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs == [("0\n", "")] * 2
    with sqlite3.connect(place.mlflow_db) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    assert not list(place.root.glob(".mlflow.db.*"))


def test_mlflow_sends_no_telemetry_and_logs_nothing(registry: Registry) -> None:
    registry.list()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert logging.getLogger("alembic").getEffectiveLevel() >= logging.WARNING


def test_nested_settings_get_dotted_names() -> None:
    assert flatten({"a": {"b": {"c": 1}}, "d": {}, "e": [1]}) == {"a.b.c": 1, "d": {}, "e": [1]}
