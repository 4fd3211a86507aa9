"""Tables whose columns are declared in `tables/`, in the form in which lenders declare their own."""

from pathlib import Path

import yaml

from pipelines.credit_scoring.schema import ColumnMap

# The public sets and the file in which each is published.
PUBLIC_FILES = {"german_credit": "german.data", "taiwan_default": "UCI_Credit_Card.csv"}


def column_map(name: str) -> ColumnMap:
    """The declaration of one table."""
    text = (Path(__file__).parent / "tables" / f"{name}.yaml").read_text(encoding="utf-8")
    return ColumnMap.model_validate(yaml.safe_load(text))
