"""`fieldwork data`: the public data sets that the pipelines know."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from apps.cli.console import console, say, table
from apps.cli.guard import Debug, guarded

app = typer.Typer(help="Public data sets: list, fetch, path.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of a data set (see `fieldwork data list`).")]


@app.command("list")
@guarded
def list_data(debug: Debug = False) -> None:
    """Show the known data sets and where each lies on this machine."""
    from shared.data.datasets import status

    absent = {True: "not fetched", False: "not fetched, by hand only"}
    rows = [
        (item.name, item.domain, item.title, item.licence, item.path or absent[item.fetchable])
        for item in status()
    ]
    console().print(table(("name", "domain", "title", "licence", "place"), rows, whole=("name",)))
    say("`fieldwork data fetch NAME` gets one, or says how to.")


@app.command()
@guarded
def fetch(name: Name, debug: Debug = False) -> None:
    """Download a data set into the data home and verify it. Continues an interrupted download."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from shared.data import datasets

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=None)
        fetched = datasets.fetch(
            name, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    for file, digest in fetched.sha256.items():
        standing = "verified" if file in fetched.verified else "recorded, no digest was known before"
        say(f"{file}  sha256 {digest}  {standing}")
    say(str(fetched.path))


@app.command()
@guarded
def path(name: Name, debug: Debug = False) -> None:
    """Print the folder of a data set that is present, and nothing else."""
    from shared.data.datasets import locate

    sys.stdout.write(f"{locate(name)}\n")
