"""Checks a table against a contract: valid rows on one side, quarantined rows with reasons on the other.

Every row of the input is in exactly one of the two. Work goes column by column, so that memory beyond the two
results is one converted column plus one bit per row and broken rule.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from shared.contracts.consistency import RESERVED_NAMES
from shared.contracts.contract import Contract
from shared.contracts.convert import converted, convertible
from shared.contracts.document import did_you_mean
from shared.contracts.quarantine import any_broken, quarantined_rows, shown
from shared.contracts.report import MAX_EXAMPLES, Violation, broken
from shared.contracts.rules import RowRule, row_rules, type_text
from shared.contracts.uniqueness import duplicate_rules

# What Polars makes of a column name that a CSV header states twice.
_REPEATED_NAME = re.compile(r"(.+)_duplicated_\d+")


@dataclass(frozen=True, slots=True)
class TableCheck:
    """The outcome of `check_table`. Use `require()` to get rows that may be used.

    valid: rows that keep every rule, in the contract's types (Int64, Float64, String, UTC microseconds);
        declared columns first, then the columns of an open contract as they came.
    quarantined: the other rows as given, plus `row_number` (1-based, in the input) and `broken_rules`.
    num_rows: rows of the input.
    ignored_columns: columns that are not in the contract and not in `valid`.
    """

    valid: pl.DataFrame
    quarantined: pl.DataFrame
    violations: tuple[Violation, ...]
    contract: Contract
    num_rows: int
    ignored_columns: tuple[str, ...]

    @property
    def quarantined_percent(self) -> float:
        """Share of the input that is in quarantine, in percent (0 for an empty input)."""
        return 100.0 * self.quarantined.height / self.num_rows if self.num_rows else 0.0

    @property
    def passed(self) -> bool:
        """Whether `require()` returns: nothing blocks, a valid row is left, the share is within the limit."""
        within = self.quarantined_percent <= self.contract.max_quarantined_percent
        return within and self.valid.height > 0 and not any(item.blocking for item in self.violations)

    def require(self) -> pl.DataFrame:
        """The valid rows. Raises ContractBroken when the table as a whole may not be used."""
        if self.passed:
            return self.valid
        limit = self.contract.max_quarantined_percent
        blocking = [item for item in self.violations if item.blocking]
        if blocking:
            headline = f"{self.contract.id_version}: Expected a table that keeps the contract. Received:"
            raise broken(
                headline, blocking, f"Correct the table ('{self.contract.name}' says what is expected)."
            )
        headline = (
            f"{self.contract.id_version}: Expected at most {limit:g} % broken rows. "
            f"Received {self.quarantined.height} of {self.num_rows} ({self.quarantined_percent:.3g} %)."
        )
        raise broken(
            headline,
            [item for item in self.violations if item.rows],
            "Correct the rows, or raise maxQuarantinedPercent in the contract if they may be left out.",
        )

    def to_json(self) -> dict[str, Any]:
        """Counts and violations for the run record, without the rows."""
        return {
            "contract": self.contract.id_version,
            "rows": self.num_rows,
            "quarantined": self.quarantined.height,
            "ignored_columns": list(self.ignored_columns),
            "violations": [item.to_json() for item in self.violations],
        }


def check_table(frame: pl.DataFrame, contract: Contract) -> TableCheck:
    """Checks every row of the table. Never raises for bad data: the result says what is wrong with which row.

    A key that occurs twice puts all its rows in quarantine (`unique`), since nothing says which one is right.
    Rows that are wholly identical are one record sent twice: the first stays, the rest are `duplicate_row`.
    """
    problems = list(_table_problems(frame, contract))
    values, failures = _check_columns(frame, contract, unusable={problem.column for problem in problems})
    failures += duplicate_rules(frame, values, contract.keys)
    declared = set(contract.column_names)
    extra = [name for name in frame.columns if name not in declared]
    kept = [name for name in extra if contract.open_columns and name not in RESERVED_NAMES]
    valid = pl.DataFrame([*values.values(), *(frame[name] for name in kept)])
    in_quarantine = any_broken(failures, frame.height)
    if in_quarantine.any():
        valid = valid.filter(in_quarantine.not_())
    return TableCheck(
        valid=valid,
        quarantined=quarantined_rows(frame, in_quarantine, failures),
        violations=(
            *problems,
            *(_row_violation(failure, frame) for failure in failures),
            *_quality_problems(valid, contract),
        ),
        contract=contract,
        num_rows=frame.height,
        ignored_columns=tuple(name for name in extra if not contract.open_columns or name in RESERVED_NAMES),
    )


def _check_columns(
    frame: pl.DataFrame, contract: Contract, unusable: Container[str | None]
) -> tuple[dict[str, pl.Series], list[RowRule]]:
    """Converted columns by name, and the rules that rows break."""
    given = set(frame.columns)
    values: dict[str, pl.Series] = {}
    failures: list[RowRule] = []
    for prop in contract.properties:
        if prop.name in given and prop.name not in unusable:
            original = frame[prop.name]
            column = converted(original, prop.logical_type)
            failures += row_rules(prop, original, column)
            values[prop.name] = column.values
    return values, failures


def _table_problems(frame: pl.DataFrame, contract: Contract) -> Iterator[Violation]:
    schema = frame.schema
    if not frame.height:
        yield _problem("empty_table", None, "at least one row", "none")
    for prop in contract.properties:
        if prop.name not in schema:
            if not prop.optional:
                received = f"no such column{did_you_mean(prop.name, schema)}"
                yield _problem("missing_column", prop.name, f"a column with {type_text(prop)}", received)
        elif not convertible(schema[prop.name], prop.logical_type):
            yield _problem("type", prop.name, type_text(prop), f"a column of {schema[prop.name]}")
    declared = set(contract.column_names)
    for name, dtype in schema.items():
        repeated = _REPEATED_NAME.fullmatch(name)
        if name in declared:
            continue
        if repeated and repeated[1] in schema:
            yield _problem("duplicate_column", repeated[1], "the column once", "it twice")
        elif dtype == pl.Object:
            yield _problem("type", name, "numbers, text or dates", "Python objects")


def _problem(rule: str, column: str | None, expected: str, received: str) -> Violation:
    return Violation(rule, column, 1, expected, received, blocking=True)


def _row_violation(failure: RowRule, frame: pl.DataFrame) -> Violation:
    first = failure.broken.arg_true().head(MAX_EXAMPLES)
    examples = shown(frame[failure.received][first]) if failure.received else []
    return Violation(
        rule=failure.rule,
        column=failure.column,
        count=int(failure.broken.sum()),
        expected=failure.expected,
        rows=tuple(int(position) + 1 for position in first),
        examples=tuple(examples),
    )


def _quality_problems(valid: pl.DataFrame, contract: Contract) -> Iterator[Violation]:
    """A quality rule speaks of the rows that a pipeline will use: the valid ones."""
    for rule in contract.quality:
        if set(rule.columns) <= set(valid.columns):
            measured = rule.measure(valid)
            if not rule.holds(measured):
                column = ", ".join(rule.columns) or None
                received = f"{measured:.6g}{' %' if rule.percent else ' rows'}"
                yield Violation(rule.metric, column, 1, rule.expected, received, blocking=rule.blocking)
