"""Scoring what a user uploads, with the pipeline's own code: in this process, in a folder of this session alone.

Scorers are kept by model and shared by all sessions; they hold published evidence and nothing that a user gave.
"""

import atexit
import os
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import streamlit as st

from apps.dashboard.domain import AnyDomain, Domain
from apps.dashboard.published import Model
from shared.data.home import home
from shared.errors import RequestError

if TYPE_CHECKING:
    import polars as pl

    from shared.orchestration.scoring import ScoreSummary

Scorer = TypeVar("Scorer")

_MOST_SCORERS = 16
# Files that are scored at once: each may take as much memory as its upload is large.
_at_once = threading.BoundedSemaphore(2)


@dataclass(frozen=True, slots=True)
class Scored:
    """A file that was scored: where everything lies, in the folder of the session."""

    summary: "ScoreSummary"
    name: str
    source: Path
    output: Path
    explanations: Path | None
    quarantine: Path | None

    def frame(self) -> "pl.DataFrame":
        """The scores, as the output contract has them."""
        return _read(self.output)

    def quarantined(self) -> "pl.DataFrame | None":
        """The rows that were set aside, with `row_number` and `broken_rules`; None when all were scored."""
        return None if self.quarantine is None else _read(self.quarantine)

    def explained(self) -> "pl.DataFrame | None":
        """What `explain` added beside the scores; None without it."""
        return None if self.explanations is None or self.explanations.is_dir() else _read(self.explanations)


def scorer(domain: Domain[Scorer], model: Model) -> Scorer:
    """The pipeline's scorer of this version. The first call imports torch and takes seconds."""
    return cast(Scorer, _scorer(model.pipeline, model.version, model.digest, domain, model))


def score_file(domain: AnyDomain, model: Model, source: Path, *, explain: bool) -> Scored:
    """Score an uploaded file, or a folder of files, as `fieldwork score` does.

    Raises FieldworkError without the place of the session's folder, ContractBroken where the file breaks the contract.
    """
    folder = Path(tempfile.mkdtemp(prefix="scored-", dir=session_folder()))
    # Parquet keeps the contract's types; people get a CSV file when they ask for the download
    output = folder / f"{domain.entry.output_contract}.parquet"
    try:
        with _at_once:
            started = time.perf_counter()
            summary = domain.score(source, output, version=str(model.version), explain=explain)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Scored(
        summary=summary.model_copy(update={"seconds": time.perf_counter() - started}),
        name=source.name,
        source=source,
        output=Path(summary.output),
        explanations=Path(summary.explanations) if summary.explanations else None,
        quarantine=Path(summary.quarantine) if summary.quarantine else None,
    )


def keep_upload(files: Iterable[Any], *, several: bool) -> Path:
    """Write uploaded files into the session's folder; returns the file, or the folder of several.

    Names lose everything but letters, digits, dots, dashes and underscores. Raises RequestError for two of one name.
    """
    folder = Path(tempfile.mkdtemp(prefix="upload-", dir=session_folder()))
    paths: list[Path] = []
    for file in files:
        path = folder / plain_name(file.name)
        if path.exists():
            raise RequestError(f"Expected files of different names. Received {path.name} twice.")
        file.seek(0)
        with open(path, "wb") as target:
            shutil.copyfileobj(file, target)
        paths.append(path)
    return folder if several and len(paths) > 1 else paths[0]


def plain_name(name: str) -> str:
    """The last part of a name, with nothing in it that a path, a shell or a page could read as more than a name."""
    base = re.sub(r"[^\w.-]+", "_", name.replace("\\", "/").rsplit("/", 1)[-1]).lstrip(".")
    return base[-120:] or "upload"


def forget(path: Path) -> None:
    """Remove what a session no longer needs: a file with its folder, or a folder."""
    inside = path if path.is_dir() else path.parent
    if inside.parent == session_folder():
        shutil.rmtree(inside, ignore_errors=True)


def session_folder() -> Path:
    """A folder that no other session knows; it is removed when the session ends, at the latest with the server."""
    return _session_folder(server_folder())


def server_folder() -> Path:
    """A folder of this process, removed with it."""
    return _server_folder(home().cache / "dashboard")


def without_places(text: str) -> str:
    """A message without the path of the session's folder: a user knows the name of their file and nothing else."""
    return re.sub(rf"{re.escape(str(session_folder()))}/[\w-]+/?", "", text)


@st.cache_resource(scope="session", on_release=lambda folder: shutil.rmtree(folder, ignore_errors=True))
def _session_folder(server: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix="session-", dir=server))


@cache
def _server_folder(root: Path) -> Path:
    """Those of servers on this machine that were killed go: nobody else removes them."""
    host = re.sub(r"[^\w-]+", "_", socket.gethostname())
    root.mkdir(parents=True, exist_ok=True)
    for left in root.glob(f"{host}-[0-9]*"):
        if not _alive(int(left.name.rsplit("-", 1)[1])):
            shutil.rmtree(left, ignore_errors=True)
    folder = root / f"{host}-{os.getpid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _alive(process: int) -> bool:
    with suppress(PermissionError):  # it is alive, and someone else's
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True


@st.cache_resource(max_entries=_MOST_SCORERS, show_spinner="Loading the model ...")
def _scorer(pipeline: str, version: int, digest: str, _domain: AnyDomain, _model: Model) -> Any:
    return _domain.load(_model.bundle, str(version))


def _read(path: Path) -> "pl.DataFrame":
    import polars as pl

    return pl.read_parquet(path)
