"""One column or array of a contract: what its values may be, and the way to and from ODCS."""

from typing import Any, Literal, Self

from open_data_contract_standard.model import CustomProperty, DataQuality, SchemaProperty
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from shared.contracts.consistency import require_consistent
from shared.contracts.quality import QualityRule, parse_quality

LogicalType = Literal[
    "string", "integer", "number", "boolean", "date", "timestamp", "time", "array", "object"
]
Value = StrictBool | StrictInt | StrictFloat | StrictStr
Bound = StrictInt | StrictFloat | StrictStr

_OPTION_FIELDS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "exclusiveMaximum": "exclusive_maximum",
    "pattern": "pattern",
    "minLength": "min_length",
    "maxLength": "max_length",
}
_CUSTOM_FIELDS = {
    "unit": "unit",
    "optionalColumn": "optional",
    "specialCodes": "special_codes",
    "finite": "finite",
    "tensorShape": "tensor_shape",
    "dtype": "dtype",
    "samplingRateHz": "sampling_rate_hz",
    "layout": "layout",
}
# ODCS has bounds for numbers and dates alone; those of an array's elements are custom properties.
_ELEMENT_BOUNDS = {
    "elementMinimum": "minimum",
    "elementMaximum": "maximum",
    "elementExclusiveMinimum": "exclusive_minimum",
    "elementExclusiveMaximum": "exclusive_maximum",
}
# Options that state what is checked anyway: ISO forms, and UTC where a timestamp has no offset.
_HARMLESS_OPTIONS: dict[tuple[str, str], set[Any]] = {
    ("date", "format"): {"yyyy-MM-dd"},
    ("timestamp", "timezone"): {True, False},
    ("timestamp", "defaultTimezone"): {"UTC", "Etc/UTC"},
}


class Property(BaseModel):
    """What the values of one column (or array) may be. Raises ValidationError when it contradicts itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Column name, exactly as in the data")
    logical_type: LogicalType = Field(description="ODCS logical type")
    description: str = Field("", description="What the value means")
    classification: str | None = Field(
        None, description="Sensitivity: public, internal, confidential, restricted"
    )
    required: bool = Field(False, description="No null is allowed (the column may still be optional)")
    optional: bool = Field(False, description="The whole column may be absent")
    unique: bool = Field(False, description="No value occurs in two rows")
    primary_key: bool = Field(False, description="Part of the key that identifies a row")
    minimum: Bound | None = Field(None, description="Smallest value, in `unit`; ISO text for dates and times")
    maximum: Bound | None = Field(None, description="Largest value, in `unit`; ISO text for dates and times")
    exclusive_minimum: Bound | None = Field(None, description="Values are greater than this, in `unit`")
    exclusive_maximum: Bound | None = Field(None, description="Values are less than this, in `unit`")
    valid_values: tuple[Value, ...] | None = Field(None, description="The only values allowed")
    pattern: str | None = Field(
        None, description="Regular expression (Rust syntax) found in every text; anchor with ^ $"
    )
    min_length: int | None = Field(None, ge=0, description="Fewest characters of a text")
    max_length: int | None = Field(None, ge=0, description="Most characters of a text")
    unit: str = Field("", description="Unit of the values; '1' for none")
    special_codes: tuple[Value, ...] = Field(
        (), description="Codes such as -9 that are exempt from the value rules"
    )
    finite: bool = Field(True, description="NaN and infinity are not allowed")
    tensor_shape: tuple[int | str | None, ...] | None = Field(
        None,
        description="Shape of an array: sizes, null for any size, a name for a size shared between arrays",
    )
    dtype: str | None = Field(None, description="NumPy dtype of an array, for example float32")
    sampling_rate_hz: float | None = Field(None, gt=0, description="Samples per second of a signal, in Hz")
    layout: str | None = Field(None, description="One letter per axis of an array, for example NCT")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        require_consistent(self)
        return self

    @classmethod
    def from_odcs(cls, element: SchemaProperty) -> Self:
        """The property that an ODCS element states. ValueError for an option that nothing here checks."""
        if element.logicalType is None:
            raise ValueError("Expected a logicalType. Received none.")
        if element.properties or element.items:
            raise ValueError(
                "Expected a flat column. Received nested properties or items, which are not checked."
            )
        fields = _from_options(element) | _from_custom(element)
        for rule in parse_quality(element.quality, element.name):
            for field, value in folded(rule).items():
                if fields.get(field, value) != value:
                    raise ValueError(f"Expected one statement of {field}. Received two that differ.")
                fields[field] = value
        return cls(
            name=element.name or "",
            logical_type=element.logicalType,
            description=element.description or "",
            classification=element.classification,
            required=bool(element.required) or bool(fields.pop("required", False)),
            unique=bool(element.unique) or bool(fields.pop("unique", False)),
            primary_key=bool(element.primaryKey),
            **fields,
        )

    def to_odcs(self) -> SchemaProperty:
        """The ODCS element that `from_odcs` reads back as an equal property."""
        bounds = set(_ELEMENT_BOUNDS.values()) if self.logical_type == "array" else set()
        options = {
            key: value
            for key, field in _OPTION_FIELDS.items()
            if field not in bounds and (value := getattr(self, field)) is not None
        }
        quality = None
        if self.valid_values is not None:
            arguments = {"validValues": list(self.valid_values)}
            quality = [
                DataQuality(metric="invalidValues", arguments=arguments, mustBe=0, dimension="conformity")
            ]
        return SchemaProperty(
            name=self.name,
            logicalType=self.logical_type,
            description=self.description or None,
            classification=self.classification,
            required=self.required or None,
            unique=self.unique or None,
            primaryKey=self.primary_key or None,
            logicalTypeOptions=options or None,
            customProperties=self._to_custom() or None,
            quality=quality,
        )

    def _to_custom(self) -> list[CustomProperty]:
        custom = []
        fields = _CUSTOM_FIELDS | (_ELEMENT_BOUNDS if self.logical_type == "array" else {})
        for key, field in fields.items():
            value = getattr(self, field)
            if value != type(self).model_fields[field].default:
                custom.append(
                    CustomProperty(property=key, value=list(value) if isinstance(value, tuple) else value)
                )
        return custom


def folded(rule: QualityRule) -> dict[str, Any]:
    """The property fields that a quality rule amounts to: 'none may be invalid' is a rule on every row.

    Empty for a rule on the whole column (a share, a warning), which is measured after the rows are checked.
    """
    if rule.operator != "mustBe" or rule.operand != 0 or not rule.blocking or len(rule.columns) != 1:
        return {}
    if rule.metric == "nullValues":
        return {"required": True}
    if rule.metric == "duplicateValues":
        return {"unique": True}
    if rule.metric == "invalidValues":
        found = {"valid_values": rule.values, "pattern": rule.pattern}
        return {field: value for field, value in found.items() if value is not None}
    return {}


def _from_options(element: SchemaProperty) -> dict[str, Any]:
    fields = {}
    for key, value in (element.logicalTypeOptions or {}).items():
        if key in _OPTION_FIELDS:
            fields[_OPTION_FIELDS[key]] = value
        elif value not in _HARMLESS_OPTIONS.get((element.logicalType or "", key), ()):
            raise ValueError(
                f"Expected options that are checked. Received {key}: {value!r}, which is not: remove it."
            )
    return fields


def _from_custom(element: SchemaProperty) -> dict[str, Any]:
    fields = {}
    known = _CUSTOM_FIELDS | (_ELEMENT_BOUNDS if element.logicalType == "array" else {})
    for custom in element.customProperties or []:
        if custom.property in known and custom.value is not None:
            value = custom.value
            if custom.property == "tensorShape" and isinstance(value, list):
                value = [None if size == -1 else size for size in value]
            fields[known[custom.property]] = str(value) if custom.property == "unit" else value
    return fields
