"""The public credit tables, declared like a lender's own in `german_credit.yaml` and `taiwan_default.yaml`."""

from pathlib import Path

import yaml

from pipelines.credit_scoring.schema import ColumnMap

FILES = {"german_credit": "german.data", "taiwan_default": "UCI_Credit_Card.csv"}


def column_map(name: str) -> ColumnMap:
    """The declaration of one public set."""
    text = Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8")
    return ColumnMap.model_validate(yaml.safe_load(text))
