"""The tables that a recommender learns from."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables in the shape of their contracts, not checked yet.

    interactions: as in `interactions`; items: as in `item_attributes`; users: as in `user_attributes`. `notes` say
    in words what was read otherwise than it stands in the file.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame | None = None
    users: pl.DataFrame | None = None
    notes: tuple[str, ...] = ()
