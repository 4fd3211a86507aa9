"""Which versions there are, kept beside the registry's database: asking MLflow takes seconds in a new process."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from shared.data.files import atomic_write
from shared.data.home import home
from shared.errors import FieldworkError
from shared.publishing.versions import ModelVersion

Ask = Callable[[str], list[ModelVersion]]


def versions_of(pipeline: str, ask: Ask) -> list[ModelVersion]:
    """What `ask(pipeline)` gave when the database was as it is now; asks where that is not known.

    A registry on a server is asked every time: nothing here tells when it changes.
    """
    state = _state(home().mlflow_db)
    if os.environ.get("MLFLOW_TRACKING_URI") or state is None:
        return ask(pipeline)
    if (kept := _kept(pipeline, state)) is not None:
        return kept
    found = ask(pipeline)
    document = {"database": state, "versions": [each.to_json() for each in found]}
    with suppress(FieldworkError):  # no room or no right to write: asking again is only slower
        atomic_write(_place(pipeline), json.dumps(document))
    return found


def _place(pipeline: str) -> Path:
    return home().cache / "dashboard" / "versions" / f"{pipeline}.json"


def _state(database: Path) -> list[list[int]] | None:
    """Size and time of change of the database and of its log; every commit changes one of them. None without one."""
    beside = (database, database.with_name(f"{database.name}-wal"))
    found = [[path.stat().st_size, path.stat().st_mtime_ns] for path in beside if path.is_file()]
    return found or None


def _kept(pipeline: str, state: list[list[int]]) -> list[ModelVersion] | None:
    """What was kept for this state of the database; None where there is nothing that can be read."""
    try:
        document = json.loads(_place(pipeline).read_text())
        if document["database"] != state:
            return None
        return [ModelVersion(**(each | {"aliases": tuple(each["aliases"])})) for each in document["versions"]]
    except (OSError, ValueError, TypeError, KeyError):  # another release may have kept other fields
        return None
