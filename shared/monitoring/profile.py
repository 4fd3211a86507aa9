"""The reference profile: what the columns and scores of the training or validation data looked like.

It is a small JSON file that travels in the bundle, holds no row of the data, and is enough to judge any later
batch. Source of the bins: the reference's own quantiles, so that each holds about the same share.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import RequestError
from shared.evaluation.arrays import FloatArray, IntArray

NUM_BINS = 10
# Steps at which the scores' distributions are compared: resolves a shift of one percent of the rows.
NUM_SCORE_STEPS = 100
# Most frequent levels with their own bin; the rest share one, where noise of rare levels would drown a shift.
NUM_LEVEL_BINS = 20
# Beyond this many levels, or with fewer than two rows per level, a column is an identifier or free text. It
# is not monitored: every batch would bring new levels, and the profile would publish names.
MAX_LEVELS = 1000
MIN_FREE_LEVELS = 50

Counts = Annotated[tuple[int, ...], Field(min_length=1)]


class _Profile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NumericProfile(_Profile):
    """Counts between edges: bin i holds edges[i - 1] < value <= edges[i], open at both ends. NaN is missing.

    The first and the last bin lie outside the range of the reference's finite values.
    """

    kind: Literal["numeric"] = "numeric"
    edges: tuple[float, ...] = Field(description="ascending cut points, in the column's unit")
    counts: Counts = Field(description="rows per bin, one more than edges")
    num_missing: int = Field(ge=0, description="null or NaN rows")
    num_distinct: int = Field(ge=0, description="distinct finite values")
    mean: float | None = Field(description="of the finite values, in the column's unit")
    standard_deviation: float | None = Field(description="of the finite values, in the column's unit")
    low: float | None = Field(description="smallest finite value")
    high: float | None = Field(description="largest finite value")

    @model_validator(mode="after")
    def _consistent(self) -> "NumericProfile":
        if len(self.counts) != len(self.edges) + 1 or min(self.counts) < 0:
            raise ValueError("Expected one count of at least 0 per bin.")
        if not np.isfinite(self.edges).all() or (np.diff(self.edges) <= 0).any():
            raise ValueError("Expected finite edges in strictly ascending order.")
        return self


class CategoryProfile(_Profile):
    """Counts per level, most frequent first."""

    kind: Literal["category"] = "category"
    levels: dict[str, int] = Field(description="rows per level")
    num_missing: int = Field(ge=0, description="null rows")

    @model_validator(mode="after")
    def _consistent(self) -> "CategoryProfile":
        if any(count < 1 for count in self.levels.values()):
            raise ValueError("Expected a count of at least 1 per level.")
        return self


ColumnProfile = Annotated[NumericProfile | CategoryProfile, Field(discriminator="kind")]


class ReferenceProfile(_Profile):
    """Everything that later batches are compared with. `skipped` columns are not monitored."""

    num_rows: int = Field(ge=1, description="rows of the reference")
    columns: dict[str, ColumnProfile]
    scores: NumericProfile | None = Field(description="the model's scores for the same rows")
    skipped: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "ReferenceProfile":
        """Rebuild a profile from a bundle. Raises RequestError when it is not one."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            problem = f"wrong at {where or 'the top'}: {first['msg']}"
            raise RequestError(f"Expected a reference profile. Received one that is {problem}.") from error


def reference_profile(frame: pl.DataFrame, scores: ArrayLike | None = None) -> ReferenceProfile:
    """Profile the columns of a table and the scores given to its rows, of shape (n,).

    Numbers, strings, enumerations and booleans are profiled; dates, nested types and identifiers are named in
    `skipped`.
    Raises RequestError for an empty table or scores that are not finite or of another length.
    """
    if frame.height == 0:
        raise RequestError("Expected reference rows to profile. Received an empty table.")
    columns: dict[str, NumericProfile | CategoryProfile] = {}
    skipped = []
    for column in frame.iter_columns():
        if column.dtype.is_numeric():
            columns[column.name] = profile_numbers(numbers(column), NUM_BINS)
        elif is_category(column.dtype) and not _is_identifier(column):
            columns[column.name] = CategoryProfile(
                levels=level_counts(column), num_missing=column.null_count()
            )
        else:
            skipped.append(column.name)
    score_profile = None
    if scores is not None:
        score_profile = profile_numbers(checked_scores(scores, frame.height), NUM_SCORE_STEPS)
    return ReferenceProfile(
        num_rows=frame.height, columns=columns, scores=score_profile, skipped=tuple(skipped)
    )


def is_category(dtype: pl.DataType) -> bool:
    """Return whether the values of a column are levels."""
    return dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean) or isinstance(dtype, pl.Enum)


def _is_identifier(column: pl.Series) -> bool:
    num_levels = column.drop_nulls().n_unique()
    return num_levels > min(MAX_LEVELS, max(MIN_FREE_LEVELS, len(column) // 2))


def numbers(column: pl.Series) -> FloatArray:
    """Return a numeric column as float64 with NaN for missing."""
    return column.cast(pl.Float64).to_numpy()


def level_counts(column: pl.Series) -> dict[str, int]:
    """Return rows per level, most frequent first, equal ones by name; nulls are left out."""
    table = column.drop_nulls().cast(pl.String).alias("level").value_counts(name="rows")
    ordered = table.sort(["rows", "level"], descending=[True, False])
    return dict(zip(ordered["level"].to_list(), ordered["rows"].to_list(), strict=True))


def checked_scores(scores: ArrayLike, num_rows: int) -> FloatArray:
    """Return finite scores of shape (n,). Raises RequestError otherwise."""
    score_n = np.asarray(scores, dtype=np.float64)
    if score_n.shape != (num_rows,) or not np.isfinite(score_n).all():
        raise RequestError(
            f"Expected {num_rows} finite scores, one per row. Received shape {score_n.shape} "
            f"with {int((~np.isfinite(score_n)).sum())} that are not finite."
        )
    return score_n


def profile_numbers(value_n: FloatArray, num_bins: int) -> NumericProfile:
    """Profile numbers of shape (n,); ties get fewer bins, infinities the outer ones."""
    present = value_n[~np.isnan(value_n)]
    finite = present[np.isfinite(present)]
    edges = np.empty(0)
    if finite.size:
        # Observed values as edges: an interpolated one between two atoms would move with rounding.
        inner = np.quantile(finite, np.arange(1, num_bins + 1) / num_bins, method="inverted_cdf")
        edges = np.unique(np.r_[np.nextafter(finite.min(), -np.inf), inner])
        edges = edges[np.isfinite(edges)]
    return NumericProfile(
        edges=tuple(edges.tolist()),
        counts=tuple(bin_counts(present, edges).tolist()),
        num_missing=int(value_n.size - present.size),
        num_distinct=int(np.unique(finite).size),
        mean=float(finite.mean()) if finite.size else None,
        standard_deviation=float(finite.std()) if finite.size else None,
        low=float(finite.min()) if finite.size else None,
        high=float(finite.max()) if finite.size else None,
    )


def bin_counts(present: FloatArray, edges: ArrayLike) -> IntArray:
    """Return the rows per bin of values without NaN."""
    edge_b = np.asarray(edges, dtype=np.float64)
    return np.bincount(np.searchsorted(edge_b, present, side="left"), minlength=edge_b.size + 1)
