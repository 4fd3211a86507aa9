"""`fieldwork schedule`: train and score all pipelines by the clock on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apps.cli.console import console, say, table
from apps.cli.guard import Debug, explain, report

if TYPE_CHECKING:
    from apps.schedule.serve import Outcome


def schedule(
    once: Annotated[
        bool, typer.Option("--once", help="Run every deployment now, one after the other, and end.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What runs when. Default: infra/deployments.yaml.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Train and score all pipelines by the clock, on this machine."""
    from apps.schedule.config import DEFAULT_FILE, read_deployments
    from apps.schedule.serve import next_run, run_once, serve

    deployments = read_deployments(config or DEFAULT_FILE)
    if once:
        _show_outcomes(run_once(deployments, _note), debug=debug)
        return
    now = datetime.now(UTC)
    planned = sorted(((next_run(each, now), each) for each in deployments), key=lambda pair: pair[0])
    rows = [
        (
            each.name,
            f"{each.settings.cron} {each.settings.time_zone}",
            f"{at:%a %Y-%m-%d %H:%M %Z}",
            each.what,
        )
        for at, each in planned
    ]
    console().print(table(("deployment", "schedule", "next run", "what"), rows, whole=("deployment",)))
    serve(deployments, _note)


def _note(text: str) -> None:
    say(text, stderr=True)


def _show_outcomes(outcomes: Sequence[Outcome], *, debug: bool) -> None:
    """A table of all; raises Exit with code 1 when one failed."""
    rows = []
    for outcome in outcomes:
        if outcome.error is None:
            rows.append((outcome.deployment.name, "done", outcome.message))
        else:
            report(outcome.error, debug=debug, prefix=f"{outcome.deployment.name}: ")
            rows.append((outcome.deployment.name, "failed", explain(outcome.error)[0]))
    columns = ("deployment", "outcome", "what came of it")
    console().print(table(columns, rows, whole=("deployment",)))
    if any(outcome.error is not None for outcome in outcomes):
        raise typer.Exit(1)
