"""`fieldwork schedule`: what it prints, and its exit codes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.schedule import serve
from apps.schedule.config import Deployment, Train
from shared.errors import RequestError, Stopped


@pytest.fixture
def outcomes(flows, monkeypatch) -> dict[str, Exception]:
    """Deployments of the two fake pipelines answer at once; those named here raise."""
    errors: dict[str, Exception] = {}

    def execute(deployment: Deployment, say: Any) -> str:
        if deployment.name in errors:
            raise errors[deployment.name]
        return f"{deployment.pipeline} is fine."

    monkeypatch.setattr(serve, "execute", execute)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # no server is needed for these
    return errors


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "deployments.yaml"
    path.write_text("time_zone: Europe/Berlin\n")
    return path


def test_once_runs_every_deployment_and_ends_in_a_table(invoke, outcomes, config):
    result = invoke("schedule", "--once", "--config", config)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["deployment", "outcome"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["toy_pipeline-train", "done"],
        ["toy_pipeline-score", "done"],
        ["other_pipeline-train", "done"],
        ["other_pipeline-score", "done"],
    ]


def test_one_failure_does_not_stop_the_others_and_gives_exit_code_1(invoke, outcomes, config):
    outcomes["toy_pipeline-train"] = RequestError("There is no such table.")
    result = invoke("schedule", "--once", "--config", config)
    assert result.exit_code == 1
    assert "toy_pipeline-train: There is no such table." in result.stderr
    assert "Traceback" not in result.stderr
    assert [line.split()[1] for line in result.stdout.splitlines()[1:]] == ["failed", "done", "done", "done"]


def test_a_request_to_stop_stops_all(invoke, outcomes, config):
    outcomes["toy_pipeline-train"] = Stopped("Stopped.")
    assert invoke("schedule", "--once", "--config", config).exit_code == 3


def test_wrong_file_is_a_wrong_request(invoke, config):
    config.write_text("pipelines: {no_such: {}}")
    result = invoke("schedule", "--config", config)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) <= 2


def test_plan_is_printed_in_order_before_anything_is_served(invoke, flows, config, monkeypatch):
    crons = "{train: {cron: 0 0 29 2 *}, score: {cron: 0 * * * *}}"
    config.write_text(f"time_zone: Europe/Berlin\ndefaults: {crons}\n")
    served: list[int] = []
    monkeypatch.setattr(serve, "serve", lambda deployments, say: served.append(len(deployments)))
    result = invoke("schedule", "--config", config)
    assert result.exit_code == 0
    assert served == [4]
    kinds = [line.split()[0].rpartition("-")[2] for line in result.stdout.splitlines()[1:]]
    assert kinds[:2] == ["score", "score"], "the next hour comes before the next leap day"
    assert "Europe/Berlin" in result.stdout


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 1, 7, tzinfo=UTC), "2026-01-11T02:00:00+01:00"),
        (datetime(2026, 7, 8, tzinfo=UTC), "2026-07-12T02:00:00+02:00"),
    ],
    ids=["winter", "summer"],
)
def test_next_run_is_in_the_time_zone_of_the_deployment(now, expected):
    deployment = Deployment(pipeline="toys", settings=Train(time_zone="Europe/Berlin"))
    assert serve.next_run(deployment, now).isoformat() == expected


def test_a_home_is_served_once(monkeypatch):
    from shared.data.files import file_lock
    from shared.data.home import home

    with file_lock(home().root / "locks" / "schedule"), pytest.raises(RequestError, match="served already"):
        serve.serve([], print)
