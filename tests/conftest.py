"""Every test has a data home of its own, and no test reaches a Prefect server or a model registry of the user's."""

import gc
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from shared.data.files import file_lock
from tests.commands import COMMANDS

ROOT = Path(__file__).parents[1]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """All that is imported stays: looking through it for garbage took two fifths of the collection (2026-11)."""
    gc.disable()
    result = yield
    gc.freeze()
    gc.enable()
    return result


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: at the end one worker would be busy with one of them, the others idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def _outside_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What libraries read from the environment once, when they are imported, holds for the whole session."""
    theirs = ("PREFECT_", "MLFLOW_", "COLUMNS")  # pytest-xdist sets COLUMNS: tables would be narrower there
    kept = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    folder = tmp_path_factory.mktemp("session")
    kept |= {"PREFECT_HOME": str(folder / "prefect"), "MPLCONFIGDIR": str(folder / "matplotlib")}
    with patch.dict(os.environ, kept, clear=True):
        yield


@pytest.fixture(scope="session")
def everybodys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this session share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that no other test knows; it is not created before something is written."""
    for name in ("FIELDWORK_STORE", "FIELDWORK_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path_factory.getbasetemp() / "homes" / os.urandom(6).hex()))


@pytest.fixture(scope="session", autouse=True)
def _migrated_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """MLflow migrates a new database step by step, which takes seconds: later ones of this process are copies."""
    from shared.publishing import tracking

    template, create = tmp_path_factory.mktemp("tracking") / "mlflow.db", tracking._create_database

    def copied(database: Path, artifacts: Path) -> None:
        if not template.exists():
            create(template, artifacts)
        database.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template, database)

    with patch.object(tracking, "_create_database", copied):
        yield


@pytest.fixture(scope="session")
def prefect_server(_outside_world: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one Prefect server for all tests of this process: starting one takes seconds.

    Not of all workers: on SQLite three that ask one server at once wait for its locks, a minute at a time.
    """
    from shared.orchestration.server import configure, local_server

    with patch.dict(os.environ, FIELDWORK_HOME=str(tmp_path_factory.mktemp("server"))):
        configure()
        import prefect  # noqa: F401 - afterwards the server tells Prefect's settings its address

        with local_server() as ready:
            ready()
            yield os.environ["PREFECT_API_URL"]


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """What `--json -` wrote: stdout holds nothing else."""
        document: dict[str, Any] = json.loads(self.stdout)
        return document

    def require_success(self) -> "Outcome":
        assert self.exit_code == 0, self.stderr
        return self

    def require_plain_failure(self, exit_code: int, *parts: str, most_lines: int = 2) -> None:
        """A few plain lines on stderr that contain `parts`, and the exit code."""
        assert self.exit_code == exit_code, (self.exit_code, self.stderr)
        lines = self.stderr.strip().splitlines()
        assert 1 <= len(lines) <= most_lines, self.stderr
        assert "Traceback" not in self.stderr
        assert "unexpected" not in self.stderr
        for part in parts:
            assert part in self.stderr


class Fieldwork:
    """The `fieldwork` command in one data home: called in this process, or started as a process of its own."""

    def __init__(self, home: Path, server_url: str) -> None:
        self.home, self.server_url = home, server_url

    @contextmanager
    def at_home(self) -> Iterator[None]:
        """For calls of library code that looks for the data home."""
        with patch.dict(os.environ, FIELDWORK_HOME=str(self.home)):
            yield

    def __call__(self, *arguments: object) -> Outcome:
        from typer.testing import CliRunner

        from apps.cli.main import app

        with self.at_home():
            result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return Outcome(result.exit_code, result.stdout, result.stderr)

    def start(
        self,
        *arguments: object,
        module: str = "apps.cli.main",
        own_server: bool = False,
        environment: Mapping[str, str | None] | None = None,
        largest_file_bytes: int | None = None,
    ) -> "subprocess.Popen[str]":
        """A process; with `own_server` it starts a Prefect server for itself, as a user's does.

        `environment` adds variables, or removes those that are None. With `largest_file_bytes` the kernel
        refuses to let files grow further, as a full disk does.
        """

        def limit() -> None:
            if largest_file_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file_bytes, largest_file_bytes))

        known = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        known |= {"FIELDWORK_HOME": str(self.home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        known |= {} if own_server else {"PREFECT_API_URL": self.server_url}
        changed = known | dict(environment or {})
        return subprocess.Popen(
            [sys.executable, "-m", module, *(str(argument) for argument in arguments)],
            env={name: value for name, value in changed.items() if value is not None}, cwd=ROOT, text=True,
            preexec_fn=limit, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def process(self, *arguments: object, **options: Any) -> Outcome:
        return self.ended(self.start(*arguments, **options))

    @staticmethod
    def ended(process: "subprocess.Popen[str]", *, limit_seconds: float = 300.0) -> Outcome:
        """Waits for a started process."""
        try:
            stdout, stderr = process.communicate(timeout=limit_seconds)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        return Outcome(process.returncode, stdout, stderr)


@pytest.fixture(scope="session")
def fieldwork_in(prefect_server: str) -> Any:
    """`fieldwork_in(home)` is the command with that home and the session's Prefect server."""
    return lambda home: Fieldwork(home, prefect_server)


@pytest.fixture
def fieldwork(tmp_path: Path, prefect_server: str) -> Fieldwork:
    """The command with an empty home and the session's Prefect server."""
    return Fieldwork(tmp_path / "home", prefect_server)


@pytest.fixture(scope="session")
def home_of(fieldwork_in: Any, everybodys: Path) -> Callable[[str], Path]:
    """`home_of(pipeline)`: a home with one published model of it, `result.json`, what its run gave, and
    `read_in_training.json`, the settings that its training looked at.

    All tests share it: none writes to it.
    """
    shared = everybodys / "published"

    def published(pipeline: str) -> Path:
        from tests.drawing import empty_figures
        from tests.settings_read import settings_read

        home = shared / pipeline
        # the first process that needs it runs the pipeline, the others wait for it
        with file_lock(shared / f"{pipeline}.lock"):
            result = home / "result.json"
            if not result.exists():
                with empty_figures(), settings_read({"train", "train_fold"}) as read:
                    outcome = fieldwork_in(home)(*COMMANDS[pipeline].brief).require_success()
                (home / "read_in_training.json").write_text(json.dumps(sorted(read)))
                result.write_text(json.dumps(outcome.document))
        return home

    return published


@pytest.fixture
def drawn_figures() -> Iterator[None]:
    """For a test that looks at figures among others that leave them empty."""
    from tests import drawing

    with drawing.drawn_figures():
        yield


@pytest.fixture(scope="session")
def publish_shared(home_of: Callable[[str], Path]) -> Callable[[str, Path], None]:
    """`publish_shared(pipeline, home)` publishes the model of `home_of(pipeline)` in another home, as version 1."""
    from shared.data.home import Home
    from shared.publishing.registry import Registry

    def published(pipeline: str, home: Path) -> None:
        [bundle] = [path.parent for path in home_of(pipeline).glob("artifacts/bundles/*/*/manifest.json")]
        registry = Registry(Home(home, str(home / "store"), str(home / "artifacts")))
        registry.promote(pipeline, registry.register(pipeline, bundle, ""))

    return published
