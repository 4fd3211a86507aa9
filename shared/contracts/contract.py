"""A data contract: found by name, read from ODCS v3.1, extended by a user's own columns, written back."""

import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject
from pydantic import ValidationError

from shared.contracts.consistency import require_pattern, typed_value
from shared.contracts.document import did_you_mean, first_problem, lint, read_document
from shared.contracts.properties import Property, folded
from shared.contracts.quality import QualityRule, parse_quality
from shared.errors import RequestError

CONTRACTS_FOLDER = Path(__file__).parents[2] / "data_contracts"
SUFFIX = ".odcs.yaml"
DEFAULT_MAX_QUARANTINED_PERCENT = 5.0


@dataclass(frozen=True, slots=True)
class Contract:
    """The compiled form of one ODCS document with one schema object.

    `canonical` is the document itself as sorted JSON: `digest` is its SHA-256, so that layout and comments
    of the file do not matter and every rule, unit and word does.
    """

    name: str
    version: str
    title: str
    purpose: str
    limitations: str
    usage: str
    properties: tuple[Property, ...]
    keys: tuple[tuple[str, ...], ...]
    quality: tuple[QualityRule, ...]
    open_columns: bool
    max_quarantined_percent: float
    canonical: str

    @property
    def id_version(self) -> str:
        """For example `orders@1.0.0`: what bundles and outputs are stamped with."""
        return f"{self.name}@{self.version}"

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical document, hexadecimal."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the declared columns in the contract's order."""
        return tuple(prop.name for prop in self.properties)

    def document(self) -> dict[str, Any]:
        """The ODCS document as JSON values; `parse` reads it back as an equal contract."""
        content: dict[str, Any] = json.loads(self.canonical)
        return content

    def to_odcs(self) -> OpenDataContractStandard:
        """The document as the official model, whose `to_yaml()` writes a valid ODCS file."""
        return OpenDataContractStandard.model_validate(self.document())

    def extended(self, properties: Sequence[Property], *, suffix: str) -> "Contract":
        """This open contract with a user's own columns declared, and closed: later extra columns are ignored.

        The version gets `+suffix` (SemVer build metadata), so the id still says which contract it grew from.
        Raises RequestError when the contract is not open or a name is already taken.
        """
        if not self.open_columns:
            raise RequestError(f"{self.id_version} takes no columns of your own. Expected openColumns: true.")
        names = [*self.column_names, *(prop.name for prop in properties)]
        taken = (
            sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        )
        if taken:
            raise RequestError(
                f"{self.id_version}: Expected new column names. "
                f"Received taken ones: {', '.join(taken[:5])}. Rename them."
            )
        label = re.sub(r"[^0-9A-Za-z.]+", "-", suffix).strip("-.")
        if not label:
            raise RequestError(f"Expected a suffix with letters or digits. Received {suffix!r}.")
        document = self.document()
        document["version"] = f"{self.version}{'.' if '+' in self.version else '+'}{label}"
        added = [prop.to_odcs().model_dump(exclude_none=True, by_alias=True) for prop in properties]
        document["schema"][0]["properties"] = [*document["schema"][0].get("properties", []), *added]
        for level in (document, document["schema"][0]):
            custom = level.get("customProperties") or []
            level["customProperties"] = [item for item in custom if item["property"] != "openColumns"]
        return parse(document, label=f"{self.id_version} extended")


def available() -> list[str]:
    """Names of the contracts that come with Fieldwork, sorted."""
    return sorted(path.name.removesuffix(SUFFIX) for path in CONTRACTS_FOLDER.glob(f"*{SUFFIX}"))


def load(name: str | Path) -> Contract:
    """The contract of this name (`-` and `_` are the same) or at this path.

    Raises RequestError for an unknown name or a document that states something that cannot be checked.
    """
    text = str(name)
    if isinstance(name, Path) or "/" in text or "\\" in text or text.endswith((".yaml", ".yml", ".json")):
        path = Path(name)
        return parse(read_document(path), label=path.name)
    wanted = _normal(text.split("@")[0])
    known = available()
    if wanted not in known:
        raise RequestError(
            f"Expected a contract name. Received '{text}'{did_you_mean(wanted, known)}. "
            "Known: " + (", ".join(known) or "none") + "."
        )
    contract = _installed(CONTRACTS_FOLDER / f"{wanted}{SUFFIX}", wanted)
    if "@" in text and _normal(text) != _normal(contract.id_version):
        raise RequestError(
            f"Expected {contract.id_version}. Received '{text}'. Only that version is installed."
        )
    return contract


@functools.cache
def _installed(path: Path, label: str) -> Contract:
    """Compiled once: scoring a single row would spend most of its time on reading YAML again."""
    return parse(read_document(path), label=label)


def parse(document: Mapping[str, Any], *, label: str = "contract") -> Contract:
    """The compiled contract of an ODCS document, for example one stored in a model bundle.

    Raises RequestError that names the key, when the document is not valid or promises an unsupported check.
    """
    model = lint(document, label)
    (schema,) = model.schema_ or []
    try:
        properties, quality = _compile_columns(schema)
        custom = {
            item.property: item.value
            for item in (*(model.customProperties or []), *(schema.customProperties or []))
        }
        description = model.description
        return Contract(
            name=_normal(model.name or ""),
            version=model.version or "",
            title=schema.businessName or (model.name or "").replace("_", " "),
            purpose=_prose(description.purpose if description else None),
            limitations=_prose(description.limitations if description else None),
            usage=_prose(description.usage if description else None),
            properties=properties,
            keys=_unique_keys(properties, quality),
            quality=tuple(rule for rule in quality if not _is_row_key(rule)),
            open_columns=_flag(custom.get("openColumns", False)),
            max_quarantined_percent=_percent(
                custom.get("maxQuarantinedPercent", DEFAULT_MAX_QUARANTINED_PERCENT)
            ),
            canonical=json.dumps(
                document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
            ),
        )
    except ValidationError as error:
        raise RequestError(f"{label}: {first_problem(error)}") from error
    except (ValueError, TypeError) as error:
        raise RequestError(f"{label}: {error}") from error


def _compile_columns(schema: SchemaObject) -> tuple[tuple[Property, ...], list[QualityRule]]:
    properties, quality = [], []
    for element in schema.properties or []:
        try:
            prop = Property.from_odcs(element)
            properties.append(prop)
            rules = parse_quality(element.quality, prop.name)
            quality += [_typed(rule, prop) for rule in rules if not folded(rule)]
        except ValidationError as error:
            raise ValueError(f"{element.name}: {first_problem(error)}") from error
        except ValueError as error:
            raise ValueError(f"{element.name}: {error}") from error
    names = [prop.name for prop in properties]
    if not names or len(set(names)) < len(names):
        raise ValueError("Expected columns with distinct names. Received a repeated name or no columns.")
    quality += parse_quality(schema.quality, None)
    unknown = sorted({column for rule in quality for column in rule.columns} - set(names))
    if unknown:
        raise ValueError(f"Expected quality rules on declared columns. Received {', '.join(unknown)}.")
    return tuple(properties), quality


def _typed(rule: QualityRule, prop: Property) -> QualityRule:
    """The rule with its values in the column's type; special codes always count as valid."""
    if rule.pattern is not None:
        require_pattern(rule.pattern)
        if prop.logical_type != "string":
            raise ValueError(f"Expected a pattern on text. Received one on {prop.logical_type}.")
    if rule.values is None:
        return rule
    stated = [value for value in rule.values if value is not None]
    if stated:
        Property(name=prop.name, logical_type=prop.logical_type, valid_values=tuple(stated))
    codes = prop.special_codes if rule.metric == "invalidValues" else ()
    values = [
        None if value is None else typed_value(prop.logical_type, value) for value in (*rule.values, *codes)
    ]
    return rule.model_copy(update={"values": tuple(values)})


def _unique_keys(
    properties: Sequence[Property], quality: Sequence[QualityRule]
) -> tuple[tuple[str, ...], ...]:
    """Every set of columns whose values identify a row, the primary key first."""
    primary = tuple(prop.name for prop in properties if prop.primary_key)
    single = [(prop.name,) for prop in properties if prop.unique]
    composite = [rule.columns for rule in quality if _is_row_key(rule)]
    return tuple(dict.fromkeys([*([primary] if primary else []), *single, *composite]))


def _is_row_key(rule: QualityRule) -> bool:
    exact = rule.operator == "mustBe" and rule.operand == 0 and rule.blocking
    return rule.metric == "duplicateValues" and exact


def _normal(name: str) -> str:
    return name.strip().replace("-", "_").replace(" ", "_")


def _prose(text: str | None) -> str:
    return " ".join((text or "").split())


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"Expected openColumns true or false. Received {value!r}.")
    return value


def _percent(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError(f"Expected maxQuarantinedPercent between 0 and 100. Received {value!r}.")
    return float(value)
