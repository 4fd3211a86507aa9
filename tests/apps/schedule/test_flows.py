"""The flows of deployments: what keeps a run from taking machine after machine with it, and what its state says."""

import logging
from typing import Any

import pytest

from apps.schedule import flows
from apps.schedule.config import Deployment, Train
from shared.errors import FieldworkError


@pytest.fixture
def run_count(monkeypatch) -> Any:
    """Prefect takes what its runtime says from the environment when it is asked to."""
    monkeypatch.setattr("prefect.logging.get_run_logger", lambda: logging.getLogger("test"))
    return lambda count: monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__RUN_COUNT", str(count))


@pytest.fixture
def executed(monkeypatch) -> list[Deployment]:
    calls: list[Deployment] = []

    def execute(deployment: Deployment, say: Any) -> str:
        calls.append(deployment)
        return "Version 3, promoted."

    monkeypatch.setattr(flows, "execute", execute)
    return calls


def test_state_of_a_run_says_what_came_of_it(run_count, executed):
    run_count(flows.MOST_STARTS)
    deployment = Deployment(pipeline="toys", settings=Train())
    state = flows.train.fn(deployment.model_dump(mode="json"))
    assert executed == [deployment]
    assert (state.name, state.message) == ("Completed", "Version 3, promoted.")


def test_run_that_never_came_to_an_end_is_given_up(run_count, executed):
    run_count(flows.MOST_STARTS + 1)
    with pytest.raises(FieldworkError, match="started 5 times"):
        flows.score.fn(Deployment(pipeline="toys", settings=Train()).model_dump(mode="json"))
    assert executed == []
