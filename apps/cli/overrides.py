"""`--set key=value`: dotted config keys with plain values, read as YAML scalars or flat lists."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from shared.errors import RequestError

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def parse_overrides(assignments: Sequence[str]) -> dict[str, Any]:
    """Turn `["training.epochs=3", ...]` into `{"training.epochs": 3, ...}`.

    Values are null, booleans (`true`, `false`), numbers, strings and flat lists of these. Nothing else: no
    mappings, no tags, no anchors. YAML 1.1 surprises are left out: `no`, `007` and `2026-01-31` are strings,
    `1e-3` is a number. Raises RequestError for anything that does not parse, for a key that is given
    twice, and for a key that is set together with one of its parts.
    """
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        key = key.strip()
        if not separator or not _KEY.fullmatch(key):
            raise RequestError(
                f"Expected --set key=value with a key such as training.epochs. Received {assignment!r}."
            )
        if key in overrides:
            raise RequestError(f"Expected each --set key once. Received {key} twice. Keep one of them.")
        overrides[key] = _value(key, text)
    _refuse_nested(overrides)
    return overrides


def _refuse_nested(overrides: dict[str, Any]) -> None:
    for key in overrides:
        for other in overrides:
            if other.startswith(f"{key}."):
                raise RequestError(
                    f"Expected {key} or {other}, not both. Remove one of the two --set options."
                )


def _value(key: str, text: str) -> Any:
    import yaml

    problem = RequestError(
        f"Expected a number, true, false, null, text or a flat list for --set {key}. Received {text!r}."
    )
    try:
        value = yaml.load(text, Loader=_plain_loader())  # noqa: S506 - the loader knows scalars and lists only
    except (yaml.YAMLError, ValueError, RecursionError):
        raise problem from None
    if not all(map(_is_plain, value if isinstance(value, list) else [value])):
        raise problem
    return value


def _is_plain(item: object) -> bool:
    if isinstance(item, float):
        return math.isfinite(item)  # 1e400 overflows to infinity
    return item is None or isinstance(item, str | int)


def _plain_loader() -> Any:
    """A YAML loader of the JSON-like core only: no tags, no anchors, no octal or base-60 numbers."""
    import yaml

    class PlainLoader(yaml.SafeLoader):
        yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()
            if getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise yaml.YAMLError("anchors and tags are not accepted")
            return super().compose_node(parent, index)

    number = r"[-+]?(0|[1-9][0-9]*)"
    for tag, pattern, first in (
        ("null", r"null|~|", ["n", "~", ""]),
        ("bool", r"true|false", list("tf")),
        ("int", number, list("-+0123456789")),
        (
            "float",
            rf"{number}(\.[0-9]*)?([eE][-+]?[0-9]+)?|[-+]?\.[0-9]+([eE][-+]?[0-9]+)?",
            list("-+.0123456789"),
        ),
    ):
        PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), first)
    return PlainLoader
