"""ODCS library quality rules: parsed once, measured on the rows that a pipeline would use.

SQL and vendor rules are refused when the contract is loaded: a contract file never brings code along.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from open_data_contract_standard.model import DataQuality
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import polars as pl

METRICS = ("rowCount", "nullValues", "missingValues", "invalidValues", "duplicateValues")
OPERATORS = {
    "mustBe": "=",
    "mustNotBe": "not",
    "mustBeGreaterThan": ">",
    "mustBeGreaterOrEqualTo": ">=",
    "mustBeLessThan": "<",
    "mustBeLessOrEqualTo": "<=",
    "mustBeBetween": "between",
    "mustNotBeBetween": "not between",
}


class QualityRule(BaseModel):
    """A bound on the row count, or on how many of the valid rows are null, missing, invalid or repeated."""

    model_config = ConfigDict(frozen=True)

    metric: str = Field(description="One of the five ODCS library metrics")
    columns: tuple[str, ...] = Field((), description="Columns measured; several form one key")
    operator: str = Field(description="ODCS comparison, for example mustBeLessThan")
    operand: float | tuple[float, float] = Field(
        description="Bound in `unit`; both ends included for between"
    )
    percent: bool = Field(False, description="Measured in percent of the rows instead of rows")
    blocking: bool = Field(
        True, description="False for severity info or warning: reported, never stops a run"
    )
    values: tuple[Any, ...] | None = Field(None, description="validValues or missingValues")
    pattern: str | None = Field(None, description="Regular expression of valid text")

    @property
    def expected(self) -> str:
        """The rule in words, for messages."""
        unit = "%" if self.percent else "rows"
        if isinstance(self.operand, tuple):
            return f"{OPERATORS[self.operator]} {self.operand[0]:g} and {self.operand[1]:g} {unit}"
        return f"{OPERATORS[self.operator]} {self.operand:g} {unit}"

    def measure(self, frame: "pl.DataFrame") -> float:
        """The metric of a frame of converted values, in rows or percent (0 for an empty frame)."""
        count = frame.height if self.metric == "rowCount" else self._count(frame)
        if not self.percent:
            return float(count)
        return 100.0 * count / frame.height if frame.height else 0.0

    def holds(self, measured: float) -> bool:
        """Whether the measured number satisfies the rule."""
        if isinstance(self.operand, tuple):
            low, high = self.operand
            return (low <= measured <= high) == (self.operator == "mustBeBetween")
        bound = self.operand
        return {
            "mustBe": measured == bound,
            "mustNotBe": measured != bound,
            "mustBeGreaterThan": measured > bound,
            "mustBeGreaterOrEqualTo": measured >= bound,
            "mustBeLessThan": measured < bound,
            "mustBeLessOrEqualTo": measured <= bound,
        }[self.operator]

    def _count(self, frame: "pl.DataFrame") -> int:
        if self.metric == "duplicateValues":
            keys = frame.select(self.columns).drop_nulls()
            return keys.height - keys.unique().height
        column = frame[self.columns[0]]
        if self.metric == "nullValues":
            return column.null_count()
        if self.metric == "missingValues":
            named = [value for value in self.values or () if value is not None]
            nulls = column.null_count() if None in (self.values or ()) else 0
            return nulls + (int(column.is_in(named).sum()) if named else 0)
        invalid = column.is_in(list(self.values)).not_() if self.values is not None else column.is_null()
        if self.pattern is not None:
            invalid = invalid | column.str.contains(self.pattern).not_()
        return int((invalid & column.is_not_null()).sum())


def parse_quality(rules: Sequence[DataQuality] | None, column: str | None) -> list[QualityRule]:
    """The executable rules among ODCS quality entries; `column` is None at the level of the table.

    `text` entries are prose and left out. ValueError for sql, custom, and anything that could not be checked.
    """
    return [_parse(rule, column) for rule in rules or [] if rule.type != "text"]


def _parse(rule: DataQuality, column: str | None) -> QualityRule:
    if rule.type not in (None, "library") or rule.query or rule.implementation:
        raise ValueError(
            f"Expected a library quality rule. Received type {rule.type or 'sql'}, which is never executed."
        )
    if rule.metric not in METRICS:
        raise ValueError(f"Expected a metric of {', '.join(METRICS)}. Received {rule.metric or rule.rule!r}.")
    if rule.unit not in (None, "rows", "percent"):
        raise ValueError(f"Expected the unit rows or percent. Received {rule.unit!r}.")
    if rule.metric == "rowCount" and rule.unit == "percent":
        raise ValueError("Expected a row count in rows. Received percent.")
    arguments = dict(rule.arguments or {})
    operator, operand = _comparison(rule)
    parsed = QualityRule(
        metric=rule.metric,
        columns=_columns(rule, column, arguments.pop("properties", None)),
        operator=operator,
        operand=operand,
        percent=rule.unit == "percent",
        blocking=rule.severity not in ("info", "warning"),
        values=_values(rule, arguments),
        pattern=arguments.pop("pattern", None) if rule.metric == "invalidValues" else None,
    )
    if arguments:
        raise ValueError(f"Expected arguments that {rule.metric} knows. Received {', '.join(arguments)}.")
    if rule.metric == "invalidValues" and parsed.values is None and parsed.pattern is None:
        raise ValueError("Expected validValues or pattern as argument of invalidValues. Received neither.")
    return parsed


def _comparison(rule: DataQuality) -> tuple[str, Any]:
    stated = {name: value for name in OPERATORS if (value := getattr(rule, name)) is not None}
    if len(stated) != 1:
        raise ValueError(f"Expected exactly one mustBe... comparison. Received {len(stated)}.")
    ((operator, operand),) = stated.items()
    numbers = operand if isinstance(operand, list) else [operand]
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        raise ValueError(f"Expected a number for {operator}. Received {operand!r}.")
    return operator, tuple(operand) if isinstance(operand, list) else operand


def _columns(rule: DataQuality, column: str | None, listed: Any) -> tuple[str, ...]:
    if column is None and rule.metric == "duplicateValues":
        if not isinstance(listed, list) or not listed:
            raise ValueError("Expected the columns of the key in arguments.properties. Received none.")
        return tuple(str(name) for name in listed)
    if listed is not None or (column is None) != (rule.metric == "rowCount"):
        place = "at the table" if rule.metric == "rowCount" else "at a column"
        raise ValueError(f"Expected {rule.metric} {place}. Received it elsewhere.")
    return () if column is None else (column,)


def _values(rule: DataQuality, arguments: dict[str, Any]) -> tuple[Any, ...] | None:
    key = {"invalidValues": "validValues", "missingValues": "missingValues"}.get(rule.metric or "")
    values = arguments.pop(key, None) if key else None
    if values is None and rule.metric != "missingValues":
        return None
    if not isinstance(values, list) or not values:
        raise ValueError(f"Expected a list in arguments.{key}. Received {values!r}.")
    return tuple(values)
