"""A finished run and the home that it left: what the run tests of the pipelines look into."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl


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
