"""All deployments on one machine: a server on the loopback interface and one worker, as long as this process lives."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from apps.schedule.config import Deployment
from apps.schedule.work import Say, execute
from shared.data.files import file_lock
from shared.data.home import home
from shared.errors import FieldworkError, RequestError, Stopped
from shared.orchestration.server import configure, end_with_parent, local_server

POOL = "this-machine"
# A worker ends its runs and then itself within seconds; on a busy machine it takes longer.
_STOP_SECONDS = 45.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one deployment: a sentence, or the error."""

    deployment: Deployment
    message: str
    error: Exception | None = None


def next_run(deployment: Deployment, now: datetime) -> datetime:
    """When it runs next, in its own time zone."""
    from cronsim import CronSim

    zone = ZoneInfo(deployment.settings.time_zone)
    return next(CronSim(deployment.settings.cron, now.astimezone(zone)))


def run_once(deployments: Sequence[Deployment], say: Say) -> list[Outcome]:
    """Every deployment now, one after the other; one that fails does not stop the others, a request to stop does."""
    outcomes = []
    with local_server():
        for deployment in deployments:
            say(f"{deployment.name}: {deployment.what}")
            try:
                outcomes.append(Outcome(deployment, execute(deployment, say)))
            except Stopped:
                raise
            except Exception as error:
                outcomes.append(Outcome(deployment, "", error))
    return outcomes


def serve(deployments: Sequence[Deployment], say: Say) -> None:
    """Runs each deployment at its times until the process is told to stop (Ctrl-C, SIGTERM).

    Raises RequestError when this home is served already, FieldworkError when the worker ends by itself.
    """
    with file_lock(home().root / "locks" / "schedule", wait=False) as alone:
        if not alone:
            raise RequestError(
                f"{home().root} is served already. Stop the other `fieldwork schedule`, or set FIELDWORK_HOME."
            )
        configure(verbose=True)  # nobody waits at a prompt: the log is where a failure is looked up
        with local_server(scheduling=True) as ready:
            ready()
            asyncio.run(_prepare(deployments, say))
            url = os.environ["PREFECT_API_URL"].removesuffix("/api")
            say(f"Serving {len(deployments)} deployments on {url}; relative folders lie in {home().root}")
            _work_until_stopped(say)


async def _prepare(deployments: Sequence[Deployment], say: Say) -> None:
    from apps.schedule.register import continue_interrupted, register

    await register(deployments, POOL)
    if count := await continue_interrupted(POOL):
        say(f"{count} runs were under way when the machine went down: they continue.")


def worker_command(pool: str, limit: int, name: str | None) -> list[str]:
    """The worker as a process of its own; what it imports must not grow in this one."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    return [*command, "--limit", str(limit), *(["--name", name] if name else [])]


def _work_until_stopped(say: Say) -> None:
    from apps.schedule.register import worker_environment

    worker = subprocess.Popen(
        worker_command(POOL, 1, None),
        env=worker_environment(),
        stdout=sys.stderr,
        preexec_fn=end_with_parent,
    )
    try:
        code = worker.wait()
    except KeyboardInterrupt:
        say(
            "Stopping: a run that is under way continues next time from its finished steps and last checkpoint."
        )
        _stop(worker)
        return
    raise FieldworkError(f"The worker ended with exit code {code}. Start `fieldwork schedule` again.")


def _stop(worker: "subprocess.Popen[bytes]") -> None:
    worker.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.wait(_STOP_SECONDS)
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
