"""`fieldwork run` as a process of its own, started from a page: one for each pipeline, whoever asked for it."""

import atexit
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import streamlit as st

from apps.dashboard.scoring import server_folder
from shared.data.home import home

_TAIL_BYTES = 8192
_starting = Lock()


@dataclass(frozen=True, slots=True)
class Started:
    """A run that was started here; its output goes to `log`."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def failed(self) -> bool:
        return bool(self.process.poll())

    def lines(self, most: int = 12) -> list[str]:
        """The last lines that it wrote."""
        with open(self.log, "rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
        return [line for line in text.replace("\r", "\n").splitlines() if line.strip()][-most:]


def command(pipeline: str) -> str:
    """What a user would type."""
    return f"fieldwork run {pipeline}"


def arguments(pipeline: str) -> list[str]:
    """The same as a process, in this environment."""
    return [sys.executable, "-m", "apps.cli.main", "run", pipeline, "--preset", "quick"]


def started(pipeline: str) -> Started | None:
    """The run of this pipeline that was started last, which may have ended."""
    return _started(str(home().root)).get(pipeline)


def start(pipeline: str) -> None:
    """Start a run with the preset `quick`, unless one is under way."""
    known = _started(str(home().root))
    with _starting:
        if pipeline in known and known[pipeline].running:
            return
        log = server_folder() / f"run-{pipeline}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                arguments(pipeline),
                env=os.environ | {"FIELDWORK_HOME": str(home().root), "NO_COLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
                start_new_session=True,
            )
        # not left behind by a server that ends; its state is saved, and the same command continues it
        atexit.register(process.terminate)
        known[pipeline] = Started(process, log)


def forget(pipeline: str) -> None:
    """A run that ended is shown no more."""
    _started(str(home().root)).pop(pipeline, None)


@st.cache_resource(show_spinner=False)
def _started(root: str) -> dict[str, Started]:
    return {}
