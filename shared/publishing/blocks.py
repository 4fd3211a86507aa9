"""What a report is made of. Blocks say what is shown; `report` and `model_card` say how it looks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.evaluation.metric import decimals

Kind = Literal["good", "warning", "bad", "neutral"]
Value = str | int | float | bool | None
_MARKS = 4
# A weight closer to 0 than this is not marked.
_FAINTEST = 0.1
# Numbers from here on are not shares: three digits after the point would be more than is known.
_LARGE = 2.0


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; empty lines separate paragraphs."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of short statements."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Callout:
    """One statement that must not be overlooked, such as the verdict."""

    kind: Kind
    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class KeyValues:
    """Facts by name."""

    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Column:
    """A column with how its numbers are written: `digits` after the point (None: as many as they need)."""

    title: str
    number: bool = False
    digits: int | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values. A row whose index is in `emphasis` stands out; None becomes an en dash.

    In a title or a text, what follows a line break is shown small below it. `links` has addresses to which the
    first cells of rows lead, by index of the row. Raises ValueError for a row of another length than the header.
    """

    columns: Sequence[Column | str]
    rows: Sequence[Sequence[Value]]
    caption: str = ""
    notes: Sequence[str] = ()
    emphasis: Sequence[int] = ()
    links: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(
                f"Expected {len(self.columns)} values in every row of the table {self.caption!r}."
            )

    def heads(self) -> list[Column]:
        """The columns; one given by its title holds numbers when all of its values are numbers."""
        heads = []
        for index, column in enumerate(self.columns):
            if isinstance(column, str):
                values = [row[index] for row in self.rows if row[index] is not None]
                column = Column(column, number=bool(values) and all(_is_number(value) for value in values))
            heads.append(column)
        return heads

    def cells(self) -> list[list[str]]:
        """Every value as text."""
        heads = self.heads()
        if any(len(row) != len(heads) for row in self.rows):
            raise ValueError(f"Expected {len(heads)} values in every row of the table {self.caption!r}.")
        return [
            [show(value, head.digits) for value, head in zip(row, heads, strict=True)] for row in self.rows
        ]


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing of `figures` or `explanation_figures`; `alt` says in words what it shows."""

    svg: str
    caption: str
    alt: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text in pieces, each marked by its weight: from -1, strongly against, over 0, plain, to 1, strongly for.

    `title` stands above it and `note` below. Weights beyond 1 are marked as 1.
    """

    pieces: Sequence[tuple[str, float]]
    title: str = ""
    note: str = ""

    def marks(self) -> list[tuple[str, str]]:
        """Each piece with its mark: `for-1` to `for-4`, `against-1` to `against-4`, or nothing for a plain one."""
        return [(text, _mark(weight)) for text, weight in self.pieces]


@dataclass(frozen=True, slots=True)
class MetricCard:
    """One headline number: the metric as JSON, and what it should be compared with."""

    title: str
    metric: Mapping[str, Any]
    note: str = ""


@dataclass(frozen=True, slots=True)
class MetricCards:
    """Headline numbers side by side."""

    cards: Sequence[MetricCard]


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that open on demand on the screen and are always printed."""

    title: str
    blocks: Sequence["Block"]


Block = Paragraph | Bullets | Callout | KeyValues | Table | Figure | MarkedText | MetricCards | Details


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a report."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report. `facts` stand below the title: when, what, which data, which contract."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    facts: Mapping[str, Value] = field(default_factory=dict)


def show(value: Value, digits: int | None = None) -> str:
    """A value as a reader wants it: thousands apart, few digits, an en dash for what is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return _minus(f"{value:,}")
    if isinstance(value, float):
        return _minus(_float(value, digits))
    return str(value)


def estimate(metric: Mapping[str, Any]) -> str:
    """The value of a metric, as `0.782` or `12.9`, with as many digits as its interval has; an en dash for none."""
    value = metric.get("value")
    return show(None if value is None else float(value), _digits(metric))


def interval(metric: Mapping[str, Any]) -> str:
    """The interval of a metric, as `0.712 to 0.846`; empty when there is none."""
    low, high = metric.get("low"), metric.get("high")
    if low is None or high is None:
        return ""
    digits = _digits(metric)
    if max(abs(low), abs(high)) < 10**-digits:
        return f"{show(float(low), digits)} to {show(float(high), digits)}"
    return _minus(f"{low:,.{digits}f}") + " to " + _minus(f"{high:,.{digits}f}")


def _digits(metric: Mapping[str, Any]) -> int:
    """Three for shares and the like; for larger numbers what tells the ends of the interval apart."""
    low, high = metric.get("low"), metric.get("high")
    if low is None or high is None or max(abs(low), abs(high)) < _LARGE:
        return 3
    return min(3, decimals(high - low))


def _float(value: float, digits: int | None) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    size = abs(value)
    # Two digits of the smallest numbers tell more than 0.000.
    if value != 0 and (size < 10 ** -(digits if digits is not None else 3) or size >= 1e9):
        return f"{value:.1e}"
    if digits is not None:
        return f"{value:,.{digits}f}"
    text = f"{value:,.{0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def direction(metric: Mapping[str, Any]) -> str:
    """`higher is better`, `lower is better`, or nothing."""
    higher = metric.get("higher_is_better")
    return "" if higher is None else "higher is better" if higher else "lower is better"


def best_first(values: Mapping[str, float | None], higher_is_better: bool | None) -> list[str]:
    """Names by their value, the best first, without those that have none; empty where no direction is better."""
    known = {name: value for name, value in values.items() if value is not None}
    return [] if higher_is_better is None else sorted(known, key=known.__getitem__, reverse=higher_is_better)


def _minus(text: str) -> str:
    return "−" + text[1:] if text.startswith("-") else text


def _mark(weight: float) -> str:
    size = min(1.0, abs(weight))
    if not size >= _FAINTEST:
        return ""
    return f"{'for' if weight > 0 else 'against'}-{math.ceil(size * _MARKS)}"


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
