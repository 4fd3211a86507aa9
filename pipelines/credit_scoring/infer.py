"""What the columns of an undeclared table are, by their types and names: features, audited attributes, or neither."""

import re

import polars as pl

from pipelines.credit_scoring.schema import CategoricalColumn, ColumnMap, NumericColumn, ProtectedColumn
from shared.contracts.consistency import RESERVED_NAMES
from shared.errors import RequestError

# Words of a column name that tell an attribute protected against discrimination. An undeclared table must not
# turn one into a feature by accident; a declared table says for itself what its columns are.
_PROTECTED_WORDS = frozenset(
    {
        "sex", "gender", "female", "male", "race", "ethnic", "ethnicity", "nationality", "religion", "marital",
        "marriage", "married", "disability", "disabled", "pregnancy", "pregnant",
    }
)  # fmt: skip
# Dates and places of birth are as protected, and no groups that an audit could compare.
_UNUSED_WORDS = frozenset({"birth", "birthdate", "birthday", "birthplace", "dob", "yob"})
_PROTECTED_NAMES = frozenset({"foreign_worker"})
# `age_years` is the age of a person, `account_age_months` that of an account.
_WORDS_BESIDE_AGE = frozenset(
    {
        "years", "yrs", "group", "band", "in", "of", "the", "at", "person", "applicant", "customer", "client",
        "borrower", "application",
    }
)  # fmt: skip
_AGE_EDGES = (25.0, 40.0, 60.0)
_ISO_DATE = r"^\s*\d{4}-\d{2}-\d{2}([T ].*)?$"


def with_inferred_columns(columns: ColumnMap, frame: pl.DataFrame, name: str) -> ColumnMap:
    """The map completed for an undeclared table: numbers are numeric features, text is categorical.

    `frame` has the columns that may be features. Those that carry the name of a protected attribute are set aside
    for the audit; dates, lists and other types that are no feature are left out. Declare the columns
    (`--set data.columns=columns.yaml`) to say otherwise, and to name units, special codes and directions.
    """
    declared = {column.name for column in columns.protected}
    numeric, categorical, protected = [], [], list(columns.protected)
    for column in frame.columns:
        values, words = frame[column], _words(column)
        if column in declared or not _can_be_used(values, words):
            continue
        if _is_age(words):
            protected.append(
                ProtectedColumn(name=column, upper_edges=_AGE_EDGES if values.dtype.is_numeric() else ())
            )
        elif words & _PROTECTED_WORDS or column.lower() in _PROTECTED_NAMES:
            protected.append(ProtectedColumn(name=column))
        elif values.dtype.is_numeric():
            numeric.append(NumericColumn(name=column))
        else:
            categorical.append(CategoricalColumn(name=column))
    if not numeric and not categorical:
        raise RequestError(
            f"Expected feature columns in {name}. Received only {', '.join(frame.columns) or 'no columns'}.\n"
            "Add the applicants' features, or declare them with --set data.columns=columns.yaml."
        )
    inferred = {"numeric": tuple(numeric), "categorical": tuple(categorical), "protected": tuple(protected)}
    return columns.model_copy(update=inferred)


def _can_be_used(values: pl.Series, words: frozenset[str]) -> bool:
    """Whether a column can be a feature or an audited attribute at all. A date has neither order nor levels here."""
    if values.name in RESERVED_NAMES or not values.name.isprintable() or words & _UNUSED_WORDS:
        return False
    if values.dtype == pl.String:
        stated = values.drop_nulls()
        return not len(stated) or not stated.str.contains(_ISO_DATE).all()
    return values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Categorical, pl.Enum, pl.Null)


def _words(name: str) -> frozenset[str]:
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return frozenset(re.findall(r"[a-z]+", spaced.lower()))


def _is_age(words: frozenset[str]) -> bool:
    return "age" in words and words - {"age"} <= _WORDS_BESIDE_AGE
