"""The `fieldwork` command: list, run, score, schedule, dashboard, and the groups contract, data and models."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from apps.cli import contract, data, models
from apps.cli.console import console, table
from apps.cli.dashboard import dashboard
from apps.cli.guard import Debug, guarded
from apps.cli.run import run
from apps.cli.schedule import schedule
from apps.cli.score import score

app = typer.Typer(
    name="fieldwork",
    help="End-to-end deep-learning pipelines for real domains.",
    epilog="Exit codes: 0 success, 1 the run failed, 2 the request was wrong, 3 stopped but resumable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"fieldwork {version('fieldwork')}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """End-to-end deep-learning pipelines for real domains."""


@app.command("list")
@guarded
def list_pipelines(debug: Debug = False) -> None:
    """Show the pipelines: what each answers, its contracts and its data sources."""
    from pipelines.catalogue import PIPELINES

    rows = [
        (
            pipeline.name,
            pipeline.question,
            f"{pipeline.input_contract} -> {pipeline.output_contract}",
            " ".join(pipeline.sources),
        )
        for pipeline in PIPELINES
    ]
    console().print(table(("pipeline", "question", "contracts", "data sources"), rows, whole=("pipeline",)))


app.command("run")(guarded(run))
app.command("score")(guarded(score))
app.command("schedule")(guarded(schedule))
app.command("dashboard")(guarded(dashboard))
app.add_typer(contract.app, name="contract")
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")


def main() -> None:
    """Entry point of the `fieldwork` script."""
    # A termination request is handled like Ctrl-C. Inside training its own handler saves a checkpoint first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Threads that wait actively for one that lost its core slowed a U-Net down 20 times on a busy machine. The
    # OpenMP of torch reads this once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # an ASCII terminal must not turn a result into a failure
    app()


if __name__ == "__main__":
    main()
