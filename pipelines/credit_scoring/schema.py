"""What a lender's table holds: the small declaration that lets different tables in under one contract.

Every lender has other columns. The contract `credit_applications` fixes what is common (id, outcome, date)
and is open for the rest; a `LenderSchema` declares the rest: numeric and categorical features, special
codes, protected attributes, what an applicant may change and in which direction risk may only move.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shared.contracts.consistency import RESERVED_NAMES
from shared.contracts.contract import Contract, Property, load

CONTRACT = "credit_applications"
# Columns that the contract itself names; everything else is the lender's.
COMMON_COLUMNS = ("application_id", "defaulted", "application_date", "group_id")


def _codes_as_text(levels: Any) -> Any:
    """YAML reads the code 1 as a number; the contract's categories are text."""
    if not isinstance(levels, Mapping):
        return levels
    return {str(code) if type(code) is int else code: meaning for code, meaning in levels.items()}


Levels = Annotated[Mapping[str, str], BeforeValidator(_codes_as_text)]


class _Column(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="column name in the contract's table")
    label: str = Field("", description="name in plain words, used in figures and letters")

    @model_validator(mode="after")
    def _name_is_free(self) -> Self:
        if self.name in (*COMMON_COLUMNS, *RESERVED_NAMES) or not self.name.isprintable():
            raise ValueError(
                f"Expected a printable name that the contract does not use. Received {self.name!r}."
            )
        return self

    @property
    def title(self) -> str:
        """The name that people read."""
        return self.label or self.name.replace("_", " ")


class NumericColumn(_Column):
    """A number. Special codes are states, not amounts: each gets an input of its own."""

    unit: str = Field("", description="unit of the values, for example EUR or months")
    minimum: float | None = Field(None, description="smallest value that is not an error")
    maximum: float | None = Field(None, description="largest value that is not an error")
    special_codes: Mapping[float, str] = Field(
        default_factory=dict, description="codes that are not amounts and what they mean, e.g. -9: no record"
    )
    risk: Literal["rises", "falls"] | None = Field(
        None, description="hard constraint: the estimated risk may only rise (fall) as the value grows"
    )
    may_change: Literal["up", "down", "both"] | None = Field(
        None, description="direction in which an applicant can change it; None: not for recourse"
    )
    reason: str = Field("", description="phrase for an adverse-action letter")

    @model_validator(mode="after")
    def _range_is_possible(self) -> Self:
        stated = [bound for bound in (self.minimum, self.maximum) if bound is not None]
        if stated != sorted(stated) or not all(isfinite(value) for value in (*stated, *self.special_codes)):
            raise ValueError(
                f"Expected finite bounds and codes of {self.name}, the minimum below the maximum. "
                f"Received {self.minimum} and {self.maximum}."
            )
        return self


class CategoricalColumn(_Column):
    """A value out of a list. Levels unseen or rare in training share one `other` input."""

    levels: Levels = Field(
        default_factory=dict, description="allowed values and their meaning; empty: whatever occurs"
    )
    may_change: bool = Field(False, description="whether an applicant can change it")
    reason: str = Field("", description="phrase for an adverse-action letter")


class ProtectedColumn(_Column):
    """An attribute that is audited and never a feature."""

    unit: str = Field("", description="unit of the values, for example years")
    upper_edges: tuple[float, ...] = Field(
        (), description="numbers are grouped into bands with these inclusive upper ends, in years for an age"
    )
    levels: Levels = Field(default_factory=dict, description="values and their meaning")


class ColumnMap(BaseModel):
    """How a user's own table becomes the contract's table (`--set data.columns=FILE.yaml`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    application_id: str | None = Field(
        None, description="column that identifies an application; None: row number"
    )
    defaulted: str | None = Field(None, description="outcome column; needed for training")
    default_value: Any = Field(1, description="value of the outcome column that means default")
    repaid_value: Any = Field(0, description="value of the outcome column that means no default")
    application_date: str | None = Field(None, description="date column; when given, the split follows time")
    group_id: str | None = Field(None, description="applicant id when one applicant has several applications")
    separator: str | None = Field(None, description="field separator of a text file; None: found by itself")
    names: tuple[str, ...] | None = Field(None, description="column names of a file without a header")
    numeric: tuple[NumericColumn, ...] = ()
    categorical: tuple[CategoricalColumn, ...] = ()
    protected: tuple[ProtectedColumn, ...] = ()
    rename: Mapping[str, str] = Field(default_factory=dict, description="column in the file -> name here")

    @model_validator(mode="after")
    def _has_one_meaning_each(self) -> Self:
        if str(self.default_value) == str(self.repaid_value):
            raise ValueError(
                "Expected a default_value that differs from the repaid_value. "
                f"Received {self.default_value!r} for both."
            )
        declared = [column.name for column in (*self.numeric, *self.categorical, *self.protected)]
        names = [*declared, *(source for source in self.common_sources.values() if source)]
        twice = sorted({name for name in declared if names.count(name) > 1})
        if twice:
            raise ValueError(f"Expected one meaning of each column. Received more for {', '.join(twice)}.")
        return self

    @property
    def common_sources(self) -> dict[str, str | None]:
        """The contract's common columns and the file's columns behind them."""
        return {name: getattr(self, name) for name in COMMON_COLUMNS}

    @property
    def declares_features(self) -> bool:
        """Whether the map says which columns are features; otherwise they are inferred."""
        return bool(self.numeric or self.categorical)

    def to_schema(self, name: str) -> "LenderSchema":
        """The declared columns, with the rest of the map as the way to read the lender's files."""
        return LenderSchema(
            name=name,
            numeric=self.numeric,
            categorical=self.categorical,
            protected=self.protected,
            reading=self.model_copy(update={"numeric": (), "categorical": (), "protected": ()}),
        )


class LenderSchema(BaseModel):
    """The lender's part of the contract; travels in the bundle so that scoring checks the same columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="short name of the table, for example german_credit")
    phrases_version: str = Field("1.0.0", description="version of the reason phrases")
    numeric: tuple[NumericColumn, ...] = ()
    categorical: tuple[CategoricalColumn, ...] = ()
    protected: tuple[ProtectedColumn, ...] = ()
    reading: ColumnMap = Field(ColumnMap(), description="how the lender's files become the contract's table")

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        names = [column.name for column in (*self.numeric, *self.categorical, *self.protected)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"Expected each column once. Received more than one declaration of {', '.join(twice)}."
            )
        if not self.features:
            raise ValueError("Expected at least one numeric or categorical feature. Received none.")
        return self

    @property
    def features(self) -> tuple[NumericColumn | CategoricalColumn, ...]:
        """Model inputs in table order: numeric, then categorical. Protected attributes are not among them."""
        return (*self.numeric, *self.categorical)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the model inputs."""
        return tuple(column.name for column in self.features)

    def feature(self, name: str) -> NumericColumn | CategoricalColumn:
        """The declaration of one feature."""
        return next(column for column in self.features if column.name == name)

    def contract(self, *, scoring: bool = False) -> Contract:
        """The contract `credit_applications` with this lender's columns.

        Scoring needs the features alone: protected attributes are not asked of an applicant to be scored.
        """
        properties = [_numeric_property(column) for column in self.numeric]
        properties += [_categorical_property(column) for column in self.categorical]
        if not scoring:
            properties += [_protected_property(column) for column in self.protected]
        readable = (
            self.name if any(letter.isascii() and letter.isalnum() for letter in self.name) else "own-table"
        )
        return load(CONTRACT).extended(properties, suffix=readable)


def _numeric_property(column: NumericColumn) -> Property:
    return Property(
        name=column.name,
        logical_type="number",
        description=column.title,
        unit=column.unit,
        minimum=column.minimum,
        maximum=column.maximum,
        special_codes=tuple(column.special_codes),
    )


def _categorical_property(column: CategoricalColumn) -> Property:
    return Property(
        name=column.name,
        logical_type="string",
        description=column.title,
        valid_values=tuple(column.levels) or None,
    )


def _protected_property(column: ProtectedColumn) -> Property:
    return Property(
        name=column.name,
        logical_type="number" if column.upper_edges else "string",
        description=f"{column.title} (protected: audited, never a feature)",
        optional=True,
    )
