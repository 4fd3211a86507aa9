"""What a deployment does when its time has come, whoever calls it: train, or score what is new."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from apps.schedule.config import Deployment, Score, Train
from pipelines import catalogue
from shared.contracts.report import ContractBroken
from shared.data.files import file_lock
from shared.data.home import home
from shared.errors import FieldworkError, RequestError, Stopped
from shared.orchestration.hooks import Alert, Event, notify
from shared.orchestration.intake import Records, new_items
from shared.orchestration.scoring import ScoreSummary
from shared.orchestration.taking import Intake, take_in

Say = Callable[[str], None]
Result = TypeVar("Result")


def execute(deployment: Deployment, say: Say) -> str:
    """Run a deployment now and say in one sentence what came of it; hooks are told of what went wrong.

    One deployment runs once at a time on a machine: a second call waits. Failures of the machine are tried again as
    often as its settings say; wrong requests are not. Raises what the last try raised, TimeoutError after its time.
    """
    from prefect.utilities.timeout import timeout

    settings = deployment.settings
    lock = home().root / "locks" / f"deployment-{deployment.name}"
    with file_lock(lock, on_wait=lambda: say(f"{deployment.name} is running already: waiting for its end")):
        try:
            with timeout(settings.timeout_minutes * 60):
                return tried(
                    lambda: _work(deployment, say),
                    retries=settings.retries,
                    delay_seconds=settings.retry_delay_seconds,
                    say=say,
                )
        except Stopped:
            raise
        except Exception as error:
            event: Event = "contract" if isinstance(error, ContractBroken) else "failed"
            _alert(deployment, say, event, str(error) or type(error).__name__, error=type(error).__name__)
            raise


def tried(
    work: Callable[[], Result],
    *,
    retries: int,
    delay_seconds: float,
    say: Say,
    pause: Callable[[float], None] = time.sleep,
) -> Result:
    """The result of `work`, with further tries after an error that another try may mend."""
    for left in range(retries, -1, -1):
        try:
            return work()
        except (RequestError, Stopped, TimeoutError):
            raise
        except Exception as error:
            if left == 0:
                raise
            say(f"{type(error).__name__}: {error} Trying again in {delay_seconds:g} s.")
            pause(delay_seconds)
    raise AssertionError("unreachable")


def _work(deployment: Deployment, say: Say) -> str:
    settings = deployment.settings
    if isinstance(settings, Train):
        return _train(deployment.pipeline, settings)
    return _score(deployment, settings, say)


def _train(pipeline: str, settings: Train) -> str:
    flow = catalogue.find(pipeline).flow()
    summary = flow.run(settings.preset, settings.source, settings.overrides, progress=False)
    model = summary.model
    standing = f"Version {model.version}{', promoted' if model.promoted else ''}. " if model else ""
    return f"{standing}{summary.verdict}"


def _score(deployment: Deployment, settings: Score, say: Say) -> str:
    incoming, output = _place(settings.incoming, create=True), _place(settings.output)
    items = new_items(incoming, settings.unit)
    if not items:
        return Intake().sentence
    _require_model(deployment.pipeline, settings.version)
    flow = catalogue.find(deployment.pipeline).flow()

    def score(source: Path, target: Path) -> ScoreSummary:
        summary = flow.score(source, target, version=settings.version, explain=settings.explain)
        return ScoreSummary.model_validate(summary.model_dump())

    intake = take_in(
        items, Records(output), score, suffix=settings.suffix, settle_seconds=settings.settle_seconds
    )
    _tell(deployment, intake, output, say)
    if intake.failed:
        first = intake.failed[0]
        raise FieldworkError(f"{intake.sentence} First failure: {first['item']}: {first['error']}")
    return intake.sentence


def _place(text: str, *, create: bool = False) -> Path:
    """Relative folders lie in the data home and are made; an absolute one that is missing may be a lost mount."""
    path = Path(text).expanduser()
    if path.is_absolute():
        return path
    path = home().root / path
    if create and not path.exists():
        path.mkdir(parents=True)
    return path


def _require_model(pipeline: str, version: str) -> None:
    """Before any data are looked at: they are not to blame where no model is there yet."""
    from shared.publishing.registry import Registry

    Registry().version(pipeline, version)


def _tell(deployment: Deployment, intake: Intake, output: Path, say: Say) -> None:
    for record in intake.refused:
        details = {"item": record["item"], "output": str(output), "error": record["error_type"]}
        say(f"set aside {record['item']}: {record['error']}")
        _alert(deployment, say, "contract", f"{record['item']}: {record['error']}", **details)
    for record in intake.scored:
        say(f"scored {record['item']}: {record['folder']}")
        if record["drift"].get("drifted"):
            columns = record["drift"].get("columns", [])
            details = {"item": record["item"], "version": record["version"], "columns": columns}
            message = (
                f"{record['item']} drifted from the training data: {', '.join(columns) or 'the scores'}."
            )
            _alert(deployment, say, "drift", message, **details, record=f"{record['folder']}/record.json")


def _alert(deployment: Deployment, say: Say, event: Event, message: str, **details: Any) -> None:
    alert = Alert(
        event=event,
        deployment=deployment.name,
        pipeline=deployment.pipeline,
        message=message,
        details=details,
    )
    notify(deployment.hooks, alert, say)
