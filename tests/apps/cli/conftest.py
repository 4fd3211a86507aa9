"""A fake pipeline that the command line finds in the catalogue, and a runner for commands."""

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from apps.cli.main import app
from pipelines import catalogue
from shared.publishing.summary import RunSummary


def metric(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "higher_is_better": True, "n": 200}


def make_summary(name: str = "toy_pipeline", **changes: Any) -> RunSummary:
    document = {
        "pipeline": name,
        "run_id": "run-1",
        "preset": "quick",
        "source": "synthetic",
        "contract": "toys@1.0.0",
        "rows": {"in": 12345, "quarantined": 2, "train": 600, "validation": 200, "test": 200},
        "metrics": {"test/roc_auc": metric(0.79), "validation/roc_auc": metric(0.81)},
        "baselines": {"logistic_regression": {"test/roc_auc": metric(0.75)}},
        "verdict": "The network is ahead by 0.04, outside noise.",
        "explanation": {"method": "integrated gradients", "completeness_error": 1e-6, "faithful": True},
        "model": {"name": name, "version": 3, "promoted": True, "bundle": "/home/x/bundle"},
        "training": {"device": "cpu", "samples_per_second": 1.2e6, "epochs": 30, "seconds": 4.1},
        "seconds": {"ingest": 0.1, "train": 4.1},
        "report": "/home/x/report.html",
    }
    return RunSummary.model_validate(document | changes)


class ScoreResult(BaseModel):
    pipeline: str = "toy_pipeline"
    version: int = 3
    rows: dict[str, int] = {"in": 10, "quarantined": 1, "scored": 9}
    output: str = "out.parquet"
    quarantine: str | None = "out.quarantine.parquet"
    drift: dict[str, Any] | None = {"psi_max": 0.01234, "alert": False}
    seconds: float = 0.5
    contract: str = "toys@1.0.0"


class FakeFlow(types.ModuleType):
    """Stands where a pipeline's `flow` module would be; records the calls and answers as told."""

    def __init__(self, name: str) -> None:
        super().__init__(f"fake_{name}.flow")
        self.pipeline_name = name
        self.calls: list[dict[str, Any]] = []
        self.error: BaseException | None = None
        self.before: Callable[[], None] = lambda: None
        self.changes: dict[str, Any] = {}

    def run(self, preset: str, source: str, overrides: Any, **options: Any) -> RunSummary:
        self.calls.append({"preset": preset, "source": source, "overrides": overrides, **options})
        self.before()
        if self.error:
            raise self.error
        return make_summary(self.pipeline_name, **self.changes)

    def score(self, input_path: Any, output_path: Any, **options: Any) -> ScoreResult:
        self.calls.append({"input": input_path, "output": output_path, **options})
        self.before()
        if self.error:
            raise self.error
        return ScoreResult()


@pytest.fixture
def flows(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeFlow]:
    """Two fake pipelines, the only ones in the catalogue, with their flow modules by name."""
    made: dict[str, FakeFlow] = {}
    entries = []
    for name in ("toy_pipeline", "other_pipeline"):
        made[name] = FakeFlow(name)
        monkeypatch.setitem(sys.modules, f"fake_{name}", types.ModuleType(f"fake_{name}"))
        monkeypatch.setitem(sys.modules, f"fake_{name}.flow", made[name])
        entries.append(
            catalogue.Pipeline(
                name,
                "Toy",
                "Is it a toy?",
                "toys",
                "toy_scores",
                f"fake_{name}",
                ("synthetic",),
                "test/roc_auc",
            )
        )
    monkeypatch.setattr(catalogue, "PIPELINES", tuple(entries))
    return made


@pytest.fixture
def toy(flows: dict[str, FakeFlow]) -> FakeFlow:
    return flows["toy_pipeline"]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run the command with these arguments; the result has exit_code, stdout and stderr."""
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist sets it: tables would be narrower there
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])
