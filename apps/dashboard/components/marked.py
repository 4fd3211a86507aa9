"""A text in which pieces are marked by how strongly they speak for or against something."""

from collections.abc import Sequence

import streamlit as st

from apps.dashboard.components.text import escaped
from shared.publishing.blocks import MarkedText

# Orange for, blue against, as in figures; the line below tells them apart without colour. See-through, so that the
# text keeps the colour of the theme.
_SHADES = ("2e", "5c", "8f", "c4")
_FOR, _AGAINST = "#d9801f", "#2f7fc1"
_BOX = (
    "border: 1px solid rgba(128, 138, 148, .35); border-radius: .5rem; padding: .8rem 1rem; line-height: 1.9; "
    "overflow-wrap: anywhere; white-space: pre-wrap;"
)
_LEGEND = (
    ("against the label: ", 0.0),
    ("strongly", -1.0),
    (" ", 0.0),
    ("slightly", -0.2),
    ("   for the label: ", 0.0),
    ("slightly", 0.2),
    (" ", 0.0),
    ("strongly", 1.0),
)


def marked_text(pieces: Sequence[tuple[str, float]]) -> None:
    """A text in a frame. pieces: with weights from -1, strongly against, to 1, strongly for. Shown as it is."""
    st.html(f'<div style="{_BOX}">{_marked(pieces)}</div>')


def marks_legend() -> None:
    """What the marks of `marked_text` mean."""
    st.html(f'<div style="font-size: .85rem; white-space: pre-wrap;">{_marked(_LEGEND)}</div>')


def _marked(pieces: Sequence[tuple[str, float]]) -> str:
    return "".join(_piece(text, mark) for text, mark in MarkedText(pieces).marks())


def _piece(text: str, mark: str) -> str:
    if not mark:
        return escaped(text)
    side, _, strength = mark.partition("-")
    colour, line = (_FOR, "solid") if side == "for" else (_AGAINST, "dotted")
    style = (
        f"background: {colour}{_SHADES[int(strength) - 1]}; border-bottom: 2px {line} {colour}; color: inherit; "
        "border-radius: .15rem;"
    )
    return f'<mark style="{style}">{escaped(text)}</mark>'
