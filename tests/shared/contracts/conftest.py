"""A small contract to bend in every test."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.contracts.contract import Contract, parse


def contract_document(columns: list[dict[str, Any]], **custom: Any) -> dict[str, Any]:
    quality = custom.pop("quality", None)
    schema: dict[str, Any] = {"name": "rows", "logicalType": "object", "properties": columns}
    if quality is not None:
        schema["quality"] = quality
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "orders",
        "name": "orders",
        "version": "1.0.0",
        "status": "active",
        "customProperties": [{"property": key, "value": value} for key, value in custom.items()],
        "schema": [schema],
    }


@pytest.fixture
def document() -> Callable[..., dict[str, Any]]:
    return contract_document


@pytest.fixture
def contract() -> Callable[..., Contract]:
    def build(columns: list[dict[str, Any]], **custom: Any) -> Contract:
        return parse(contract_document(columns, **custom))

    return build
