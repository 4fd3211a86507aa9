"""Reads an ODCS file as untrusted text: no code, no surprises that YAML or the parser would hide.

The official pydantic model ignores unknown keys below the top level, so `requierd: true` would silently
check nothing. Here an unknown key is an error, and so are a repeated key and an anchor.
"""

import datetime
from collections.abc import Hashable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from open_data_contract_standard.model import (
    CustomProperty,
    DataQuality,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
)
from pydantic import BaseModel, ValidationError

from shared.errors import RequestError

MAX_CONTRACT_BYTES = 4 * 1024 * 1024
API_VERSION = "v3.1.0"


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a repeated key, where YAML would keep the last one and drop a rule."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in seen:
                problem = "key stated twice" if key in seen else "key that is not text"
                raise yaml.constructor.ConstructorError(None, None, f"{problem}: {key}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_document(path: Path, what: str = "contract") -> dict[str, Any]:
    """The content of an ODCS file, or of another small YAML file that `what` names, as plain JSON values.

    Raises RequestError for a file that is missing, too large, not UTF-8, not YAML, or uses anchors: an
    alias can blow a file of a kilobyte up to gigabytes when it is written out again.
    """
    try:
        if not path.is_file():
            raise FileNotFoundError("no such file, or a folder, device or pipe")
        if path.stat().st_size > MAX_CONTRACT_BYTES:
            raise RequestError(f"{path}: Expected a {what} of at most {MAX_CONTRACT_BYTES} bytes.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise RequestError(f"Expected a readable UTF-8 {what} file at {path}. Received: {error}.") from error
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise RequestError(f"{path}: Expected no YAML anchors. Write repeated values out.")
        # S506: _StrictLoader derives from SafeLoader.
        document = yaml.load(text, Loader=_StrictLoader)  # noqa: S506
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise RequestError(f"{path}: Expected a YAML document. Received: {reason}.") from error
    if not isinstance(document, dict):
        raise RequestError(f"{path}: Expected a {what} with keys. Received {type(document).__name__}.")
    return {key: _plain(value) for key, value in document.items()}


def _plain(value: Any) -> Any:
    """YAML turns 2024-01-31 into a date: contracts keep it as ISO text, as JSON would."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else value


def lint(document: Mapping[str, Any], label: str) -> OpenDataContractStandard:
    """The document as the official ODCS model, after checks that the model itself does not make."""
    missing = [
        key for key in ("apiVersion", "kind", "id", "name", "version", "status") if not document.get(key)
    ]
    if missing:
        raise RequestError(f"{label}: Expected the keys {', '.join(missing)}. Add them to the contract.")
    if document["apiVersion"] != API_VERSION or document["kind"] != "DataContract":
        raise RequestError(
            f"{label}: Expected apiVersion {API_VERSION} and kind DataContract. "
            f"Received {document['apiVersion']} and {document['kind']}."
        )
    try:
        parsed = OpenDataContractStandard.model_validate(dict(document))
    except ValidationError as error:
        raise RequestError(f"{label}: {first_problem(error)}") from error
    if len(parsed.schema_ or []) != 1:
        raise RequestError(f"{label}: Expected one schema object. Received {len(parsed.schema_ or [])}.")
    _refuse_unknown_keys(document["schema"][0], SchemaObject, f"{label}: schema")
    return parsed


def first_problem(error: ValidationError) -> str:
    """The first of pydantic's complaints on one line, with where it is."""
    detail = error.errors()[0]
    where = ".".join(str(part) for part in detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _refuse_unknown_keys(raw: Any, model: type[BaseModel], where: str) -> None:
    known = [field.alias or name for name, field in model.model_fields.items()]
    for key in raw:
        if key not in known:
            raise RequestError(
                f"{where}: Expected only ODCS keys. Received '{key}'{did_you_mean(key, known)}."
            )
    nested: dict[str, type[BaseModel]] = {
        "properties": SchemaProperty,
        "quality": DataQuality,
        "customProperties": CustomProperty,
    }
    for key, child in nested.items():
        for position, item in enumerate(raw.get(key) or []):
            label = item.get("name") or item.get("property") or position
            _refuse_unknown_keys(item, child, f"{where}.{label}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """', did you mean ...?' when a known name is close, else nothing."""
    close = get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f" (close: {', '.join(close)})" if close else ""
