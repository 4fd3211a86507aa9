"""A finished run and the home that it left: what the run tests of the pipelines look into."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

_FILES = ("manifest.json", "model.safetensors", "config.json", "metrics.json", "model_card.md", "report.html")
_PICKLED = {".pkl", ".pickle", ".joblib", ".npy", ".pt", ".pth"}


@dataclass(frozen=True)
class FinishedRun:
    """`fieldwork` drives the command in the home of the run, `outcome` is what the run gave."""

    fieldwork: Any
    outcome: Any

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = self.outcome.document
        return document

    @property
    def bundle(self) -> Path:
        return Path(self.document["model"]["bundle"])

    def require_bundle(self, *more: str) -> None:
        """The bundle has what every one has and the files `more`, and nothing in the home is pickled."""
        files = {
            path.relative_to(self.bundle).as_posix() for path in self.bundle.rglob("*") if path.is_file()
        }
        assert {*_FILES, *more} <= files
        kinds = {path.suffix for path in self.fieldwork.home.rglob("*") if path.is_file()}
        assert not kinds & _PICKLED

    def require_reuse(self, command: Sequence[object], steps: Sequence[str]) -> None:
        """The command of this run, given again, reuses all steps but the last, and gives the same."""
        again = self.fieldwork(*command, "--json", "-").require_success()
        for step in steps[:-1]:
            assert f"\n  {step:<10} reused from an earlier run" in again.stderr
        assert again.document | {"seconds": {}} == self.document | {"seconds": {}}

    def result(self, step: str) -> dict[str, Any]:
        """What a step handed on."""
        [path] = (self.fieldwork.home / "results").glob(f"{step}-*.json")
        result: dict[str, Any] = json.loads(path.read_text())["result"]
        return result

    def frame(self, ref: dict[str, Any]) -> pl.DataFrame:
        """A table in the store."""
        from shared.data.store import Ref, default_store

        with self.fieldwork.at_home():
            return default_store().frame(Ref.model_validate(ref))
