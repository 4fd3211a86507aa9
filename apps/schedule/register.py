"""Making a Prefect server know the deployments: a work pool, one deployment each, and what follows a lost machine."""

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from apps.schedule.config import Deployment

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

TAG = "fieldwork"
# Prefect beats every 30 s at most. A machine that is only slow must not lose its run to another one.
HEARTBEAT_SECONDS = 30
LOST_AFTER_SECONDS = 300
# Between taking a run and its first heartbeat a worker imports; one that dies there reports nothing.
NOT_BEGUN_AFTER_SECONDS = 600
_LOST, _AGAIN, _NOT_BEGUN = "fieldwork: lost runs", "fieldwork: crashed runs", "fieldwork: runs not begun"


async def register(deployments: Iterable[Deployment], pool: str) -> None:
    """Create or update everything; deployments of this pool that are no longer declared are removed."""
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        await _make_pool(client, pool)
        kept = {await _apply(deployment, pool) for deployment in deployments}
        for found in await _registered(client, pool):
            if found.id not in kept:
                await client.delete_deployment(found.id)
        for automation in _automations():
            await _make_automation(client, automation)


async def continue_interrupted(pool: str) -> int:
    """Schedule runs that were under way when the machine went down. Only where nobody else serves the pool."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.states import Scheduled

    async with get_client() as client:
        ids = [found.id for found in await _registered(client, pool)]
        states = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}
        wanted = FlowRunFilter.model_validate({"deployment_id": {"any_": ids}, "state": states})
        runs = await client.read_flow_runs(flow_run_filter=wanted) if ids else []
        for run in runs:
            await client.set_flow_run_state(run.id, Scheduled(name="Continued"), force=True)
        return len(runs)


async def _make_pool(client: "PrefectClient", pool: str) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    try:
        await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    except ObjectAlreadyExists:
        return


async def _apply(deployment: Deployment, pool: str) -> Any:
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.flows import EntrypointType
    from prefect.schedules import Cron

    from apps.schedule import flows

    settings = deployment.settings
    prepared = await getattr(flows, settings.kind).ato_deployment(
        name=deployment.name,
        schedules=[Cron(settings.cron, timezone=settings.time_zone)],
        # A run that finds another one of its deployment under way waits: it may be the one that continues.
        concurrency_limit=ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
        ),
        parameters={"deployment": deployment.model_dump(mode="json")},
        description=deployment.what,
        tags=[TAG, deployment.pipeline, settings.kind],
        enforce_parameter_schema=False,
        work_pool_name=pool,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return await prepared.aapply()


async def _registered(client: "PrefectClient", pool: str) -> list[Any]:
    from prefect.client.schemas.filters import DeploymentFilter, WorkPoolFilter

    return await client.read_deployments(
        deployment_filter=DeploymentFilter.model_validate({"tags": {"all_": [TAG]}}),
        work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [pool]}}),
    )


def _automations() -> list[Any]:
    """A run without heartbeats has crashed; a crashed run, or one that never began, is scheduled again."""
    from prefect.automations import AutomationCore
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture

    ours = {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}
    runs = {"match": {"prefect.resource.id": "prefect.flow-run.*"}, "match_related": ours}
    each = {"for_each": {"prefect.resource.id"}}
    lost = EventTrigger(
        **runs,
        **each,
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.*"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=LOST_AFTER_SECONDS),
    )
    crashed = EventTrigger(
        **runs,
        **each,
        # not for what crashes before it runs, an import that fails for example: it would do so for ever
        after={"prefect.flow-run.Running"},
        expect={"prefect.flow-run.Crashed"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(days=30),  # from its start to the crash
    )
    not_begun = EventTrigger(
        **runs,
        **each,
        after={"prefect.flow-run.Pending", "prefect.flow-run.Submitting"},
        expect={"prefect.flow-run.*"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=NOT_BEGUN_AFTER_SECONDS),
    )
    message = f"No heartbeat for {LOST_AFTER_SECONDS} s: its machine is gone."

    def again(why: str) -> ChangeFlowRunState:
        return ChangeFlowRunState(state="SCHEDULED", name="Rescheduled", message=f"{why}: once more.")

    lose = ChangeFlowRunState(state="CRASHED", message=message)
    return [
        AutomationCore(name=_LOST, trigger=lost, actions=[lose]),
        AutomationCore(name=_AGAIN, trigger=crashed, actions=[again("It crashed")]),
        AutomationCore(name=_NOT_BEGUN, trigger=not_begun, actions=[again("It never began")]),
    ]


async def _make_automation(client: "PrefectClient", automation: Any) -> None:
    for known in await client.read_automations_by_name(automation.name):
        await client.delete_automation(known.id)
    await client.create_automation(automation)


def worker_environment() -> dict[str, str]:
    """What the process of a worker needs beside its own environment; it hands it on to the runs."""
    from shared.orchestration.server import configure

    configure(verbose=True)
    defaults = {
        # see apps.cli.main
        "OMP_WAIT_POLICY": "PASSIVE",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
    }
    return {**defaults, **os.environ}
