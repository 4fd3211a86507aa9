"""Flow runs and deployments of a Prefect server, over its HTTP interface: importing Prefect would cost seconds."""

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.errors import FieldworkError

_LIMIT_SECONDS = 5.0
_MOST_RUNS = 100


@dataclass(frozen=True, slots=True)
class FlowRun:
    """One run of a flow, under way, ended or still to come."""

    flow: str
    name: str
    state: str
    message: str
    started_at: datetime | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a deployment of the server runs."""

    deployment: str
    cron: str
    active: bool
    what: str


def flow_runs(url: str) -> list[FlowRun]:
    """The latest runs, newest first; runs that are only planned are left out."""
    body = {
        "sort": "START_TIME_DESC",
        "limit": _MOST_RUNS,
        "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}},
    }
    found = _post(url, "flow_runs/filter", body)
    flows = sorted({str(run["flow_id"]) for run in found})
    names = _post(url, "flows/filter", {"flows": {"id": {"any_": flows}}}) if flows else []
    titles = {str(flow["id"]): str(flow["name"]) for flow in names}
    return [_flow_run(run, titles.get(str(run["flow_id"]), "")) for run in found]


def schedules(url: str) -> list[Schedule]:
    """Every deployment with its schedules."""
    found = _post(url, "deployments/filter", {"sort": "NAME_ASC"})
    return [
        Schedule(
            deployment=str(each["name"]),
            cron=" ".join(str(part) for part in (timing.get("cron"), timing.get("timezone")) if part),
            active=bool(entry.get("active")) and not each.get("paused"),
            what=str(each.get("description") or ""),
        )
        for each in found
        for entry in each.get("schedules") or ()
        for timing in [entry.get("schedule") or {}]
    ]


def _flow_run(run: Mapping[str, Any], flow: str) -> FlowRun:
    state = run.get("state") or {}
    return FlowRun(
        flow=flow,
        name=str(run.get("name", "")),
        state=str(run.get("state_name") or "unknown"),
        message=str(state.get("message") or ""),
        started_at=_moment(run.get("start_time")),
        seconds=float(run.get("total_run_time") or 0.0),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _post(url: str, path: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Raises FieldworkError where the server does not answer as expected."""
    request = urllib.request.Request(
        f"{url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=_LIMIT_SECONDS) as answer:
            found: list[dict[str, Any]] = json.load(answer)
    except (OSError, ValueError) as error:
        raise FieldworkError(f"The Prefect server at {url} does not answer as expected: {error}.") from error
    return found
