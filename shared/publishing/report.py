"""The HTML report of a run: one file that needs nothing else, for the screen, the dark and the printer.

Every text is escaped, drawings are cleaned (`svg`), and the page forbids itself scripts and any fetch.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.publishing.blocks import (
    Block,
    Details,
    MetricCard,
    Report,
    Table,
    direction,
    estimate,
    interval,
    show,
)
from shared.publishing.svg import inline_svg

if TYPE_CHECKING:
    from jinja2 import Template

_FOLDER = Path(__file__).parent


def render(report: Report) -> str:
    """Return the report as a self-contained HTML page."""
    return _template().render(
        report=report,
        sections=[
            (anchor, section) for anchor, section in zip(_anchors(report), report.sections, strict=True)
        ],
        css=_css(),
    )


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"show": show, "paragraphs": _paragraphs, "cards": _cards}
    environment.globals |= {"kind_of": _kind_of, "drawing": _Drawings, "is_open": _is_open}
    return environment.get_template("report.html.j2")


@cache
def _css() -> str:
    css = (_FOLDER / "report.css").read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/\s*", "", css, flags=re.DOTALL)


class _Drawings:
    """Gives every drawing of one page its own prefix for ids."""

    def __init__(self) -> None:
        self._count = 0

    def inline(self, svg: str, alt: str) -> Any:
        from markupsafe import Markup

        self._count += 1
        return Markup(inline_svg(svg, f"d{self._count}-", alt))


def _kind_of(block: Block) -> str:
    return type(block).__name__


def _is_open(block: Details) -> bool:
    """Long tables start closed; what is short would only cost a click."""
    return sum(len(inner.rows) for inner in block.blocks if isinstance(inner, Table)) <= 3


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]


def _cards(cards: list[MetricCard]) -> Iterator[Mapping[str, str]]:
    for card in cards:
        metric = card.metric
        between = interval(metric)
        size = f"{'95 % interval, ' if between else ''}n = {show(int(metric.get('n') or 0))}"
        yield {
            "title": card.title,
            "value": estimate(metric),
            "unit": str(metric.get("unit") or ""),
            "interval": between or "no interval",
            "about": ", ".join(part for part in (size, direction(metric)) if part),
            "note": card.note,
        }


def _anchors(report: Report) -> list[str]:
    """One id for each section, from its title, unlike any id of a drawing."""
    anchors: list[str] = []
    for section in report.sections:
        base = "section-" + (re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")[:40] or "part")
        anchors.append(base if base not in anchors else f"{base}-{len(anchors)}")
    return anchors
