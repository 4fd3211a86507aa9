"""The Fraud Detection Handbook's simulated transactions, as published, in the contract's shape."""

from pathlib import Path

import polars as pl

from shared.data.column_map import require_declared
from shared.data.identifiers import ids_as_text
from shared.data.moments import as_moments
from shared.data.tables import read_table

# A set may come in any of these forms; the first that is there is read.
PUBLIC_FILES: dict[str, tuple[str, ...]] = {
    "fraud_handbook": ("transactions.csv.gz", "transactions.csv", "transactions.parquet")
}
_HANDBOOK_COLUMNS = {
    "transaction_id": "TRANSACTION_ID",
    "time": "TX_DATETIME",
    "customer_id": "CUSTOMER_ID",
    "terminal_id": "TERMINAL_ID",
    "amount": "TX_AMOUNT",
    "is_fraud": "TX_FRAUD",
    "scenario": "TX_FRAUD_SCENARIO",
}


def public_file(source: str, folder: Path) -> Path:
    """The file of a set of `PUBLIC_FILES` in its folder, which has one (`shared.data.datasets.locate`)."""
    return next(path for name in PUBLIC_FILES[source] if (path := folder / name).exists())


def read_handbook(path: Path) -> pl.DataFrame:
    """The Handbook's table, whichever period it covers. Raises RequestError for a file in another form."""
    raw = read_table(path)
    require_declared(raw, _HANDBOOK_COLUMNS)
    named = {name: raw[column].alias(name) for name, column in _HANDBOOK_COLUMNS.items()}
    for key in ("transaction_id", "customer_id", "terminal_id"):
        named[key] = ids_as_text(named[key])
    named["time"] = as_moments(named["time"], "s")
    return pl.DataFrame(list(named.values()))
