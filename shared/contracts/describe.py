"""A contract as rows for people: what the command line and the dashboard show."""

from shared.contracts.contract import Contract
from shared.contracts.properties import Property
from shared.contracts.rules import length_text, range_text, values_text


def describe(contract: Contract) -> list[dict[str, str]]:
    """One row per column with the keys column, type, required, rule, unit, description; all plain text."""
    return [
        {
            "column": prop.name,
            "type": _type(prop),
            "required": _presence(prop),
            "rule": "; ".join(_rules(prop, contract)),
            "unit": prop.unit,
            "description": prop.description,
        }
        for prop in contract.properties
    ]


def _type(prop: Property) -> str:
    if prop.tensor_shape is None:
        return prop.logical_type
    return f"{prop.dtype} [{', '.join('any' if size is None else str(size) for size in prop.tensor_shape)}]"


def _presence(prop: Property) -> str:
    value = "value required" if prop.required else "value may be null"
    return f"optional column, {value}" if prop.optional else value


def _rules(prop: Property, contract: Contract) -> list[str]:
    rules = [range_text(prop), length_text(prop)]
    if (prop.name,) in contract.keys:
        rules.insert(0, "unique")
    if prop.valid_values is not None:
        rules.append(values_text(prop))
    if prop.pattern is not None:
        rules.append(f"matches {prop.pattern}")
    if prop.special_codes:
        rules.append(f"special codes {', '.join(str(code) for code in prop.special_codes)}")
    if prop.sampling_rate_hz is not None:
        rules.append(f"{prop.sampling_rate_hz:g} Hz")
    return [rule for rule in rules if rule] + [
        f"{rule.metric} {rule.expected}" for rule in contract.quality if prop.name in rule.columns
    ]
