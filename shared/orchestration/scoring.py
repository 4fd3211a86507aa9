"""What scoring a file leaves behind in every pipeline: the summary, and tables beside the output."""

from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from shared.data.tables import write_table
from shared.errors import RequestError


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
