"""Plain JSON: every record of this package is strict JSON, so a number that is not finite becomes null."""

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import PurePath
from typing import Any


def plain(value: Any) -> Any:
    """Turn numpy and torch scalars, arrays, dataclass results and dates into what JSON can hold.

    NaN and infinities become None: most JSON readers reject the tokens that Python would write for them.
    Objects may offer `to_json()` (our results) or `model_dump()` (pydantic).
    Raises TypeError for anything else, because a silent `str()` would hide a mistake in a record.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    for method in ("to_json", "model_dump", "tolist"):
        if callable(convert := getattr(value, method, None)):
            return plain(convert())
    raise TypeError(f"Expected something that JSON can hold. Received {type(value).__name__}.")


def json_text(value: Any) -> str:
    """Readable strict JSON that ends with a newline."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def canonical(value: Any) -> str:
    """One line of strict JSON with sorted keys: equal content gives the equal text."""
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def json_digest(value: Any) -> str:
    """SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()
