"""`fieldwork contract`: which contracts there are, what they ask for, and whether a file keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from apps.cli.console import console, number, say, table
from apps.cli.guard import Debug, guarded

if TYPE_CHECKING:
    from shared.contracts.report import Violation

app = typer.Typer(help="Data contracts: list, show, check a file.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of a contract (see `fieldwork contract list`).")]


@app.command("list")
@guarded
def list_contracts(debug: Debug = False) -> None:
    """Show the contracts."""
    from shared.contracts.contract import available, load

    contracts = [load(name) for name in available()]
    rows = [(found.id_version, len(found.properties), found.purpose) for found in contracts]
    console().print(table(("contract", "columns", "purpose"), rows, right=("columns",), whole=("contract",)))


@app.command()
@guarded
def show(name: Name, debug: Debug = False) -> None:
    """Show what a contract asks for, column by column."""
    from shared.contracts.contract import load
    from shared.contracts.describe import describe

    contract = load(name)
    rows = describe(contract)
    say(contract.id_version)
    columns = tuple(rows[0]) if rows else ("column",)
    console().print(table(columns, ([row[column] for column in columns] for row in rows)))


@app.command()
@guarded
def check(
    name: Name,
    file: Annotated[Path, typer.Argument(help="Table: CSV, TSV, JSON lines or Parquet.")],
    debug: Debug = False,
) -> None:
    """Check a file against a contract. Exit code 2 when a run would stop at it."""
    from shared.contracts.contract import load
    from shared.contracts.table import check_table
    from shared.data.tables import read_table

    contract = load(name)
    frame = read_table(file)
    result = check_table(frame, contract)
    say(
        f"{contract.id_version}: {number(frame.height)} rows in, "
        f"{number(result.valid.height)} valid, {number(result.quarantined.height)} to quarantine"
    )
    if result.ignored_columns:
        say(f"columns that the contract does not know, ignored: {', '.join(result.ignored_columns)}")
    if result.violations:
        console().print(_violation_table(result.violations))
    result.require()


def _violation_table(violations: Sequence[Violation]) -> Table:
    rows = [
        (
            violation.column or "(table)",
            violation.rule,
            number(violation.count),
            ", ".join(map(str, violation.rows)),
            violation.expected,
            ", ".join(violation.examples) or violation.received,
        )
        for violation in violations
    ]
    return table(("column", "rule", "count", "first rows", "expected", "received"), rows, right=("count",))
