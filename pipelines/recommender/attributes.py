"""Attribute tables as numbers: one input for each value of a category or piece of a number's range."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

NOT_ATTRIBUTES = ("item_id", "user_id", "title")
_MAX_LEVELS = 100
_NUM_BINS = 8
_SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One column: its levels, or the inner edges of its bins when it holds numbers."""

    name: str
    levels: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        return len(self.edges) + 1 if self.edges else len(self.levels)

    def encode(self, values: pl.Series) -> Tensor:
        """Share of each level or bin, float32 of shape (rows, width): rows sum to 1, or to 0 where nothing is known."""
        encoded = torch.zeros(len(values), self.width)
        if self.edges:
            numbers = values.cast(pl.Float64, strict=False).to_numpy()
            known = np.flatnonzero(np.isfinite(numbers))
            encoded[torch.from_numpy(known), torch.from_numpy(np.digitize(numbers[known], self.edges))] = 1.0
            return encoded
        places = {level: place for place, level in enumerate(self.levels)}
        for row, text in enumerate(values.cast(pl.String).to_list()):
            for level in (text or "").split(_SEPARATOR):
                if level in places:
                    encoded[row, places[level]] = 1.0
        return encoded / encoded.sum(1, keepdim=True).clamp(min=1.0)

    @classmethod
    def fit(cls, values: pl.Series) -> "Attribute | None":
        """The column's encoding; None when it says nothing (constant, or a different text in every row)."""
        name, values = values.name, values.alias("level")  # a name such as "count" would collide below
        if values.dtype.is_numeric():
            known = values.drop_nulls().cast(pl.Float64)
            numbers = known.filter(known.is_finite()).to_numpy()
            if not len(numbers):
                return None
            edges = np.unique(np.quantile(numbers, np.linspace(0, 1, _NUM_BINS + 1)[1:-1]))
            edges = edges[(edges > numbers.min()) & (edges <= numbers.max())]
            return cls(name, edges=tuple(float(edge) for edge in edges)) if len(edges) else None
        counts = values.cast(pl.String).drop_nulls().str.split(_SEPARATOR).explode().value_counts(sort=True)
        counts = counts.filter((pl.col("count") > 1) & (pl.col("level") != "")).sort(
            ["count", "level"], descending=[True, False]
        )
        levels = tuple(counts["level"].head(_MAX_LEVELS).to_list())
        return cls(name, levels=levels) if len(levels) > 1 else None


def encode_table(table: pl.DataFrame, key: str, wanted: pl.Series) -> tuple[Tensor, list[str]] | None:
    """Attributes of the `wanted` keys, float32 of shape (keys, inputs) with rows that sum to at most 1, and the
    names of the columns used. None when the table has none that says anything.

    The encoding is fitted on the wanted keys alone: those that the model knows.
    """
    rows = pl.DataFrame({key: wanted}).join(table, on=key, how="left", maintain_order="left")
    columns: Sequence[pl.Series] = [rows[name] for name in rows.columns if name not in NOT_ATTRIBUTES]
    fitted = [(column, found) for column in columns if (found := Attribute.fit(column)) is not None]
    if not fitted:
        return None
    parts = [attribute.encode(column) for column, attribute in fitted]
    return torch.cat(parts, 1) / len(parts), [attribute.name for _, attribute in fitted]
