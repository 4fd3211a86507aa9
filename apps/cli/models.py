"""`fieldwork models`: the published versions, and which of them scores."""

from __future__ import annotations

from typing import Annotated

import typer

from apps.cli.console import console, say, table
from apps.cli.guard import Debug, guarded
from apps.cli.score import CHAMPION, parse_version
from pipelines import catalogue
from shared.errors import RequestError

app = typer.Typer(help="Published models: list, promote, rollback.", no_args_is_help=True)

PipelineName = Annotated[str, typer.Argument(metavar="PIPELINE", help="Name of a pipeline.")]


@app.command("list")
@guarded
def list_models(debug: Debug = False) -> None:
    """Show every published version."""
    from shared.publishing.registry import Registry

    versions = Registry().list()
    if not versions:
        say("No model is published yet. `fieldwork run PIPELINE` publishes one.")
        return
    rows = [
        (item.pipeline, item.version, " ".join(item.aliases), item.table, item.contract, item.created_at)
        for item in versions
    ]
    columns = ("pipeline", "version", "standing", "trained on", "contract", "created")
    console().print(table(columns, rows, right=("version",), whole=("pipeline",)))


@app.command()
@guarded
def promote(
    pipeline: PipelineName,
    version: Annotated[str, typer.Argument(help="Version number to make champion.")],
    debug: Debug = False,
) -> None:
    """Make a version the champion, which scoring uses."""
    from shared.publishing.registry import Registry

    name = catalogue.find(pipeline).name
    chosen = parse_version(version)
    if chosen == CHAMPION:
        raise RequestError("Expected a version number to promote. Received champion, which already scores.")
    say(f"{name}: version {Registry().promote(name, int(chosen)).version} is champion.")


@app.command()
@guarded
def rollback(pipeline: PipelineName, debug: Debug = False) -> None:
    """Make the previous champion the champion again."""
    from shared.publishing.registry import Registry

    name = catalogue.find(pipeline).name
    say(f"{name}: version {Registry().rollback(name).version} is champion again.")
