"""What scoring a file is in every pipeline: a published model, a summary with drift, tables beside the output."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from shared.data.columns import AbsentColumn
from shared.data.tables import write_table
from shared.errors import RequestError
from shared.monitoring.drift import drift
from shared.orchestration.bundled import reference_of
from shared.publishing.bundle import Bundle
from shared.publishing.registry import Registry


class ScoreSummary(BaseModel):
    """What a scoring run did: counts, places, drift."""

    model_config = ConfigDict(frozen=True)

    pipeline: str
    version: str
    contract: str
    rows: dict[str, int]
    output: str
    quarantine: str | None
    explanations: str | None
    drift: dict[str, Any]
    seconds: float = 0.0


def published(pipeline: str, version: str) -> tuple[Bundle, str]:
    """The registered model and its number; `version` is a number or an alias such as `champion`.

    Raises RequestError when there is no such model.
    """
    registry = Registry()
    found = registry.version(pipeline, version)
    return registry.bundle(pipeline, found.version), str(found.version)


@contextmanager
def fitting(bundle: Bundle, number: str) -> Iterator[None]:
    """While a table is read in the form that a model knows: an AbsentColumn names the model too.

    Another than the user thinks of may have become the champion, and a file that fits the one does not fit the other.
    """
    try:
        yield
    except AbsentColumn as error:
        model = (
            f"The model is version {number}, trained on {bundle.manifest.source}; --version takes another."
        )
        raise RequestError(f"{error}\n{model}") from error


def drift_since(bundle: Bundle, observed: pl.DataFrame, scores: np.ndarray) -> dict[str, Any]:
    """How new data differ from those that a model was published with, in the form of `ScoreSummary.drift`.

    Without a row there is nothing to compare.
    """
    if not len(observed):
        return {"drifted": False, "columns": []}
    report = drift(reference_of(bundle), observed, scores)
    return {"drifted": report.drifted, "columns": list(report.drifted_columns)}


def beside(output: Path, what: str) -> Path:
    """The place of a table that goes with the output: `quarantine` of `out.csv` is `out.quarantine.parquet`."""
    return output.with_name(f"{output.stem}.{what}.parquet")


def require_input_untouched(source: Path, *outputs: Path) -> None:
    """Raises RequestError when one of the outputs would be written over the input."""
    if source.resolve() in [output.resolve() for output in outputs]:
        raise RequestError(f"Expected an OUTPUT that leaves the INPUT {source} alone. Choose another name.")


def written(frame: pl.DataFrame, path: Path) -> str | None:
    """Where the table was written; None when it has no rows and there is nothing to write."""
    if frame.height == 0:
        return None
    write_table(frame, path)
    return str(path)
