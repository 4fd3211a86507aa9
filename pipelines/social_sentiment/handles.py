"""What the steps pass on to each other, and how it is stored."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import polars as pl

from pipelines.social_sentiment.protocol import Division, Kind
from pipelines.social_sentiment.schema import Posts
from pipelines.social_sentiment.score import Scorer
from shared.data.store import Ref, default_store
from shared.orchestration.ingested import IngestedTable
from shared.orchestration.stored import Handle, restored, stored_folder

_LEFT_OUT = "left_out"


class Ingested(IngestedTable):
    """Posts that keep the contract. labels: of the task, in their order."""

    labels: tuple[str, ...]

    def posts(self) -> Posts:
        """The stored posts."""
        return Posts(default_store().frame(self.table), self.labels)


class Divided(Handle):
    """places: the part, the reason and the group of each stored post, in their order. audit: of leaks between parts."""

    places: Ref
    kind: Kind
    authors_apart: bool
    method: str
    notes: tuple[str, ...]
    audit: dict[str, Any]

    @classmethod
    def of(cls, division: Division, method: str, audit: dict[str, Any]) -> Self:
        """A division in the store."""
        places = pl.DataFrame({"group": division.groups}).with_columns(
            part=pl.Series(_parts_of(division), dtype=pl.String),
            reason=pl.Series(_reasons_of(division), dtype=pl.String),
        )
        return cls(
            places=default_store().put_frame(places),
            kind=division.kind,
            authors_apart=division.authors_apart,
            method=method,
            notes=division.notes,
            audit=audit,
        )

    def division(self) -> Division:
        """The stored division."""
        places = default_store().frame(self.places)
        rows = {
            part: places["part"].eq(part).arg_true().to_numpy().astype(np.int64)
            for part in ("train", "calibration", "test", _LEFT_OUT)
        }
        return Division(
            **rows,
            reasons=tuple(places["reason"][rows[_LEFT_OUT]].to_list()),
            kind=self.kind,
            groups=places["group"].to_numpy(),
            authors_apart=self.authors_apart,
        )


class Fitted(Handle):
    """A network from one seed as a stored scorer, and the record of its training."""

    seed: int
    scorer: Ref
    record: Ref

    def with_scorer(self, scorer: Scorer) -> Self:
        """The same network in another scorer."""
        return self.model_copy(update={"scorer": stored_folder(scorer.save)})


@contextmanager
def opened(fitted: Fitted) -> Iterator[Scorer]:
    """The stored scorer, read from a scratch folder."""
    with restored(fitted.scorer) as folder:
        yield Scorer.load(folder)


def _parts_of(division: Division) -> list[str]:
    found = np.full(len(division.groups), _LEFT_OUT, dtype=object)
    for name, rows in division.parts().items():
        found[rows] = name
    return found.tolist()


def _reasons_of(division: Division) -> Sequence[str | None]:
    found = np.full(len(division.groups), None, dtype=object)
    found[division.left_out] = division.reasons
    return found.tolist()
