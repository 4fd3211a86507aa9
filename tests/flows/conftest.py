"""Runs of the credit-scoring pipeline that several tests look at: they are made once and only read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

# Everything runs, the evidence is small: for tests that are not about the evidence.
LITTLE_EVIDENCE = (
    "--set", "evaluation.num_bootstraps=50", "--set", "explanation.num_checked=20",
    "--set", "explanation.stability_seeds=0", "--set", "explanation.num_recourse=0",
)  # fmt: skip


@pytest.fixture(scope="session")
def tiny() -> Sequence[str]:
    """The command that most tests run."""
    return ("run", "credit_scoring", "--preset", "tiny")


@pytest.fixture(scope="session")
def little_evidence() -> Sequence[str]:
    return LITTLE_EVIDENCE


@dataclass(frozen=True)
class FirstRun:
    """The first run on a machine: an empty data home, a server of its own, a user folder that must stay clean."""

    fieldwork: Any
    outcome: Any
    user_folder: Path
    temporary_folder: Path

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = self.outcome.document
        return document


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any, tiny: Sequence[str]) -> FirstRun:
    folder = tmp_path_factory.mktemp("first_run")
    user_folder, temporary_folder = folder / "user", folder / "tmp"
    user_folder.mkdir()
    temporary_folder.mkdir()
    fieldwork = fieldwork_in(folder / "home")
    environment = dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR"))
    environment |= {"HOME": str(user_folder), "TMPDIR": str(temporary_folder)}
    outcome = fieldwork.process(*tiny, "--json", "-", own_server=True, environment=environment)
    return FirstRun(fieldwork, outcome.require_success(), user_folder, temporary_folder)


@dataclass(frozen=True)
class History:
    """A home with three versions: a model, the same again, and one that was hardly trained."""

    fieldwork: Any
    first: dict[str, Any]
    repeated: dict[str, Any]
    worse: dict[str, Any]
    outcomes: tuple[Any, ...]


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any, tiny: Sequence[str]) -> History:
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("history") / "home")
    command = (*tiny, *LITTLE_EVIDENCE, "--json", "-")
    outcomes = [
        fieldwork(*command, *more).require_success()
        for more in ((), ("--no-cache",), ("--set", "training.epochs=1"))
    ]
    return History(fieldwork, *(outcome.document for outcome in outcomes), tuple(outcomes))


@pytest.fixture(scope="session")
def applications() -> Callable[..., pl.DataFrame]:
    """Generated applications in the contract's shape: `applications(num_rows, seed)`."""
    from pipelines.credit_scoring.generator import generate

    return generate
