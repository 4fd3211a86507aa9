"""`fieldwork score`: score a file with a published model."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from apps.cli.console import JsonTarget, duration, number, require_writable, say
from apps.cli.guard import Debug
from pipelines import catalogue
from shared.errors import RequestError
from shared.orchestration.server import local_server

CHAMPION = "champion"


def score(
    pipeline: Annotated[str, typer.Argument(help="Name of a pipeline (see `fieldwork list`).")],
    input_path: Annotated[
        Path, typer.Argument(metavar="INPUT", help="File or folder that follows the input contract.")
    ],
    out: Annotated[Path, typer.Option(metavar="OUTPUT", help="File for the scores.")],
    version: Annotated[str, typer.Option(metavar="champion|N", help="Which published model.")] = CHAMPION,
    explain: Annotated[bool, typer.Option("--explain", help="Add the reasons for each score.")] = False,
    json_target: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write the result as JSON; - is stdout.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Score a file with a published model."""
    found = catalogue.find(pipeline)
    target = JsonTarget(json_target)
    _check_paths(input_path, out)
    with target.reserved(), local_server():
        summary = found.flow().score(input_path, out, version=parse_version(version), explain=explain)
        document = summary.model_dump(mode="json")
        for line in _lines(document):
            say(line)
    target.write(document)


def parse_version(text: str) -> str:
    """`champion`, or a version number from 1 in its plain form; anything else raises RequestError."""
    if text == CHAMPION:
        return text
    if match := re.fullmatch(r"0*([1-9][0-9]{0,8})", text):
        return match[1]
    raise RequestError(
        f"Expected champion or a version number. Received {text!r}. `fieldwork models list` shows them."
    )


def _check_paths(source: Path, out: Path) -> None:
    # Some formats name several files by what they have in common: 101 is 101.hea, 101.dat and 101.atr.
    if not source.exists() and not any(source.parent.glob(f"{glob.escape(source.name)}.*")):
        raise RequestError(f"Expected an existing INPUT. Received {source}. Check the path.")
    require_writable(out, option="--out")
    if source.exists() and out.exists() and out.samefile(source):
        raise RequestError(f"Expected an OUTPUT other than the INPUT. Received {out} for both.")


def _lines(document: Mapping[str, Any]) -> list[str]:
    rows = document.get("rows") or {}
    counts = ", ".join(f"{number(count)} {name}" for name, count in rows.items())
    lines = [
        f"{document.get('pipeline')} version {document.get('version')}: rows {counts}",
        f"scores       {document.get('output')}",
    ]
    if document.get("trend"):
        lines.append(f"trend        {document['trend']}")
    if rows.get("quarantined"):
        lines.append(f"quarantined  {document.get('quarantine')}")
    if document.get("drift"):
        lines.append(f"drift        {_brief(document['drift'])}")
    if isinstance(document.get("seconds"), int | float):
        lines.append(f"time         {duration(document['seconds'])}")
    return lines


def _brief(value: Any) -> str:
    """Numbers with three digits, mappings as `key value` pairs, everything else as it is."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_brief(item)}" for key, item in value.items())
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
