"""Rows of a manifest that keep its contract, but whose files cannot be used: missing, broken, or of another form."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from shared.contracts.table import TableCheck
from shared.errors import RequestError

_NUM_REASONS = 3


@dataclass(frozen=True, slots=True)
class Refused:
    """What a row stands for and cannot be used, and why. name: the row's key."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def without_refused(checked: TableCheck, refused: Iterable[Refused], *, key: str, rule: str) -> TableCheck:
    """The check with the rows of what was refused in quarantine instead of among the valid ones.

    key: the column that has their names. rule: stands before the reason in `broken_rules`.
    """
    reasons = {one.name: f"{rule}: {one.reason}" for one in refused}
    if not reasons:
        return checked
    is_refused = pl.col(key).is_in(list(reasons))
    rows = checked.valid.filter(is_refused).with_columns(
        broken_rules=pl.col(key).replace_strict(reasons, return_dtype=pl.String)
    )
    return replace(
        checked,
        valid=checked.valid.filter(~is_refused),
        quarantined=pl.concat([checked.quarantined, rows], how="diagonal_relaxed"),
    )


def require_few(checked: TableCheck, refused: Sequence[Refused], *, what: str) -> None:
    """What was refused counts against the contract's limit like rows that break it.

    Raises RequestError with the first reasons; what: all that the rows stand for, in words.
    """
    limit, num_lost = checked.contract.max_quarantined_percent, len(refused)
    if num_lost and 100 * (checked.quarantined.height + num_lost) > limit * checked.num_rows:
        lines = [
            f"Expected at most {limit:g} % of the {what} to be of no use. Received {num_lost} of {checked.num_rows}:",
            *map(str, refused[:_NUM_REASONS]),
            "Correct them, or leave them out.",
        ]
        raise RequestError("\n".join(lines))
