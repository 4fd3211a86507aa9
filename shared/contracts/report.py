"""What a check found: violations that travel as JSON, and the error that stops a run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shared.errors import RequestError

MAX_EXAMPLES = 5
MAX_LINES = 4


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that the data break.

    `count` is in rows (elements for arrays; 1 for a rule on the table). `rows` are the first row numbers,
    1-based, and `examples` their values as text. `blocking`: stops a run whatever the share of rows.
    """

    rule: str
    column: str | None
    count: int
    expected: str
    received: str = ""
    rows: tuple[int, ...] = ()
    examples: tuple[str, ...] = ()
    blocking: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values for the run record."""
        return asdict(self)

    def line(self) -> str:
        """One plain line without values of single rows, which may be personal."""
        where = f"{self.column}: " if self.column else ""
        if self.rows:
            rows = ", ".join(str(row) for row in self.rows)
            which = (
                f"{self.count} times, first in rows {rows}" if self.count > len(self.rows) else f"rows {rows}"
            )
            return f"{where}{self.rule} ({which}): Expected {self.expected}."
        received = f" Received {self.received}." if self.received else ""
        return f"{where}{self.rule}: Expected {self.expected}.{received}"


class ContractBroken(RequestError):
    """The data break the contract beyond its limit. The message names the rules, rows and the limit."""

    def __init__(self, message: str, violations: Sequence[Violation]) -> None:
        super().__init__(message)
        self.violations = tuple(violations)


def broken(headline: str, violations: Sequence[Violation], way_out: str) -> ContractBroken:
    """The error with the most frequent violations first, at most a few lines."""
    ranked = sorted(violations, key=lambda violation: (not violation.blocking, -violation.count))
    lines = [violation.line() for violation in ranked[:MAX_LINES]]
    if len(ranked) > MAX_LINES:
        lines.append(f"and {len(ranked) - MAX_LINES} more rules.")
    return ContractBroken("\n".join([headline, *lines, way_out]), violations)
