"""What a Prefect server knows after registration: deployments as declared, once, and what follows a lost machine."""

import asyncio
import json
import urllib.request
from typing import Any

import pytest

from apps.schedule.config import Deployment, Score, Train
from apps.schedule.register import TAG, register, worker_environment

POOL = "register-test"


@pytest.fixture
def ask(prefect_server: str) -> Any:
    """`ask(path, body)` posts to the session's server."""

    def post(path: str, document: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{prefect_server}{path}", json.dumps(document).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    return post


def test_server_knows_what_is_declared_and_forgets_what_no_longer_is(ask):
    train = Deployment(pipeline="toys", settings=Train(cron="0 3 * * 6", time_zone="Europe/Berlin"))
    score = Deployment(pipeline="toys", settings=Score(incoming="in", output="out"))
    asyncio.run(register([train, score], POOL))
    asyncio.run(register([train], POOL))

    [found] = ask("/deployments/filter", {"work_pools": {"name": {"any_": [POOL]}}})
    assert (found["name"], found["entrypoint"]) == ("toys-train", "apps.schedule.flows.train")
    assert set(found["tags"]) == {TAG, "toys", "train"}
    assert Deployment.model_validate(found["parameters"]["deployment"]) == train
    [schedule] = found["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 3 * * 6", "Europe/Berlin")
    assert schedule["active"]
    assert found["global_concurrency_limit"]["limit"] == 1
    assert found["concurrency_options"]["collision_strategy"] == "ENQUEUE"

    names = [each["name"] for each in ask("/automations/filter", {})]
    assert sorted(names) == ["fieldwork: crashed runs", "fieldwork: lost runs", "fieldwork: runs not begun"]


def test_worker_gets_what_keeps_busy_machines_fast_and_lost_runs_known(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    environment = worker_environment()
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert worker_environment()["OMP_WAIT_POLICY"] == "ACTIVE"
