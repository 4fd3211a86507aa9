"""For several machines: `python -m apps.schedule deploy` and `python -m apps.schedule worker`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from apps.cli.console import say
from apps.cli.guard import Debug, guarded
from shared.errors import RequestError

POOL = "fieldwork"

app = typer.Typer(
    name="apps.schedule",
    help="Deployments on a Prefect server of several machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Pool = Annotated[str, typer.Option(help="The work pool.")]


@app.command("deploy")
@guarded
def deploy(
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: infra/deployments.yaml.")
    ] = None,
    pool: Pool = POOL,
    debug: Debug = False,
) -> None:
    """Register all deployments of the file with the server that PREFECT_API_URL names."""
    from apps.schedule.config import DEFAULT_FILE, read_deployments

    deployments = read_deployments(config or DEFAULT_FILE)
    _require_server()
    from apps.schedule.register import register

    asyncio.run(register(deployments, pool))
    say(f"{len(deployments)} deployments in the work pool {pool}.")


@app.command("worker")
@guarded
def worker(
    pool: Pool = POOL,
    limit: Annotated[int, typer.Option(min=1, help="Runs at the same time on this machine.")] = 1,
    name: Annotated[str | None, typer.Option(help="Name of the worker in the server's lists.")] = None,
    healthcheck: Annotated[
        bool, typer.Option("--healthcheck", help="Answer on port 8080, /health, while it polls.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Take runs from the work pool until stopped; another worker continues a run that is under way then."""
    _require_server()
    from apps.schedule.register import worker_environment
    from apps.schedule.serve import worker_command

    environment, command = worker_environment(), worker_command(pool, limit, name)
    command += ["--with-healthcheck"] if healthcheck else []
    sys.stdout.flush()
    os.execve(command[0], command, environment)


def _require_server() -> None:
    from shared.orchestration.server import configure

    configure(verbose=True)
    if not os.environ.get("PREFECT_API_URL"):
        raise RequestError(
            "Expected PREFECT_API_URL, the address of the Prefect server (http://HOST:4200/api). It is not set. "
            "On one machine `fieldwork schedule` needs no server."
        )


if __name__ == "__main__":
    app()
