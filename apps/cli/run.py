"""`fieldwork run`: train, evaluate, explain and publish one pipeline, or all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from apps.cli.console import JsonTarget, console, say
from apps.cli.guard import Debug, explain, report
from apps.cli.overrides import parse_overrides
from apps.cli.summary import Outcome, overview, show_summary
from pipelines import catalogue
from shared.errors import RequestError, Stopped
from shared.orchestration.server import local_server
from shared.orchestration.together import follow, follows, leading, several


class Preset(StrEnum):
    """How much is computed; every pipeline's `config.py` says what each preset means there."""

    tiny = "tiny"
    quick = "quick"
    full = "full"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked for, the same for every pipeline of one command."""

    preset: str
    source: str
    overrides: Mapping[str, Any]
    use_cache: bool
    quiet: bool
    debug: bool


def run(
    pipeline: Annotated[str | None, typer.Argument(help="Name of a pipeline (see `fieldwork list`).")] = None,
    all_pipelines: Annotated[
        bool, typer.Option("--all", help="Run every pipeline, one after another.")
    ] = False,
    preset: Annotated[Preset, typer.Option(help="How much to compute.")] = Preset.quick,
    data: Annotated[
        str, typer.Option(metavar="SOURCE", help="synthetic, the name of a public data set, or a path.")
    ] = "synthetic",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one config value. May be repeated."),
    ] = None,
    json_target: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write the result as JSON; - is stdout.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compute every step again.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars and no summary.")] = False,
    debug: Debug = False,
) -> None:
    """Run a pipeline: ingest, check, train, evaluate, explain, publish."""
    if all_pipelines == (pipeline is not None):
        raise RequestError("Expected either one PIPELINE or --all. `fieldwork list` shows the pipelines.")
    if all_pipelines and (settings or data != "synthetic"):
        raise RequestError("Expected --data and --set with one PIPELINE: they mean something else in each.")
    if all_pipelines and several():
        raise RequestError("Expected one PIPELINE under torchrun. Received --all: start them one by one.")
    target = JsonTarget(json_target)
    request = RunRequest(preset.value, data, parse_overrides(settings or ()), not no_cache, quiet, debug)
    if follows():
        follow()
    elif pipeline is not None:
        _run_one(catalogue.find(pipeline), request, target)
    else:
        _run_all(request, target)


def _run_one(pipeline: catalogue.Pipeline, request: RunRequest, target: JsonTarget) -> None:
    with leading(), target.reserved(), local_server():
        summary = _execute(pipeline, request)
        if not request.quiet:
            show_summary(console(), summary)
    target.write(summary)


def _run_all(request: RunRequest, target: JsonTarget) -> None:
    """One failing pipeline does not stop the others; a request to stop does."""
    from apps.cli.index_page import write_index

    outcomes: list[Outcome] = []
    with target.reserved(), local_server():
        for pipeline in catalogue.PIPELINES:
            place = f"[{len(outcomes) + 1}/{len(catalogue.PIPELINES)}] "
            outcomes.append(_attempt(pipeline, request, place))
        if not request.quiet:
            console().print(overview(outcomes))
        index = write_index(outcomes, request.preset)
        if not request.quiet:
            say(f"\nindex        {index}")
    runs = {each.pipeline.name: each.summary for each in outcomes if each.summary is not None}
    failed = [each for each in outcomes if each.summary is None]
    failures = {each.pipeline.name: {"error": each.error, "exit_code": each.exit_code} for each in failed}
    target.write({"runs": runs, "failures": failures, "index": str(index)})
    if failures:
        raise typer.Exit(1)


def _attempt(pipeline: catalogue.Pipeline, request: RunRequest, place: str) -> Outcome:
    """Run one pipeline of many and show its summary; a failure is reported and kept."""
    started = time.perf_counter()
    try:
        summary = _execute(pipeline, request, place)
    except Stopped:
        raise
    except Exception as error:
        report(error, debug=request.debug, prefix=f"{pipeline.name}: ")
        message, exit_code = explain(error)
        return Outcome(pipeline, time.perf_counter() - started, error=message, exit_code=exit_code)
    if not request.quiet:
        show_summary(console(), summary)
    return Outcome(pipeline, time.perf_counter() - started, summary)


def _execute(pipeline: catalogue.Pipeline, request: RunRequest, place: str = "") -> dict[str, Any]:
    """Run the flow and return its summary as the JSON object that `--json` writes."""
    if not request.quiet:
        say(f"{place}{pipeline.name}: preset {request.preset}, data {request.source}", stderr=True)
    summary = pipeline.flow().run(
        request.preset,
        request.source,
        request.overrides,
        use_cache=request.use_cache,
        progress=not request.quiet,
    )
    return summary.model_dump(mode="json")
