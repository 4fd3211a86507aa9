"""The two flows that every deployment runs; what is particular to one is its parameter, a `Deployment` as JSON."""

from typing import Any

from prefect.states import Completed

from apps.schedule.config import Deployment
from apps.schedule.work import execute
from shared.errors import FieldworkError
from shared.orchestration.flows import flow

# A run that was started so often and never came to an end takes its machine with it: people should look.
MOST_STARTS = 5


def _run_name() -> str:
    from prefect.runtime import deployment, flow_run

    return f"{deployment.name or 'by hand'} {flow_run.scheduled_start_time:%Y-%m-%d %H:%M}"


@flow(name="fieldwork-train", flow_run_name=_run_name, persist_result=False, validate_parameters=False)
def train(deployment: dict[str, Any]) -> Any:
    """Train, evaluate, explain and publish one pipeline."""
    return _executed(deployment)


@flow(name="fieldwork-score", flow_run_name=_run_name, persist_result=False, validate_parameters=False)
def score(deployment: dict[str, Any]) -> Any:
    """Score what is new in the folder of one pipeline."""
    return _executed(deployment)


def _executed(document: dict[str, Any]) -> Any:
    from prefect.logging import get_run_logger
    from prefect.runtime import flow_run

    starts = flow_run.run_count or 1
    if starts > MOST_STARTS:
        raise FieldworkError(
            f"This run was started {starts - 1} times and never ended. Look at its log and machine."
        )
    logger = get_run_logger()
    message = execute(Deployment.model_validate(document), logger.info)
    logger.info(message)
    return Completed(message=message)
