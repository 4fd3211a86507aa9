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
    from shared.data import datasets

    rows = list(datasets.status())
    columns = tuple(rows[0]) if rows else ("name",)
    console().print(table(columns, ([row[column] for column in columns] for row in rows)))


@app.command()
@guarded
def fetch(name: Name, debug: Debug = False) -> None:
    """Download a data set into the data home and verify it."""
    from shared.data import datasets

    say(f"{name}: {datasets.fetch(name)}")


@app.command()
@guarded
def path(name: Name, debug: Debug = False) -> None:
    """Print the folder of a data set that is present, and nothing else."""
    from shared.data import datasets

    sys.stdout.write(f"{datasets.locate(name)}\n")
