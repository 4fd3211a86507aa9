"""One statement that must not be overlooked: the verdict, a warning about explanations, an error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import streamlit as st

from apps.dashboard.components.text import markdown_text
from apps.dashboard.published import Model
from apps.dashboard.scoring import without_places
from shared.errors import FieldworkError
from shared.publishing.blocks import Kind

Arguments = ParamSpec("Arguments")

_DRAW = {"good": st.success, "warning": st.warning, "bad": st.error, "neutral": st.info}


def banner(kind: Kind, text: str) -> None:
    """A statement in the colour of its kind; the text is shown as it is."""
    _DRAW[kind](markdown_text(text))


def verdict_banner(model: Model) -> None:
    """Does the model beat the simple baselines, by how much, and is that more than noise?"""
    banner(model.verdict_kind, model.summary.verdict)


def explanation_banner(model: Model) -> None:
    """The warning that belongs beside every explanation of a model whose check failed; nothing for others."""
    if model.explanation_warning:
        banner("bad", model.explanation_warning)


@contextmanager
def plain_errors() -> Iterator[None]:
    """A block whose errors for users become their message; what the block would have drawn after that is left out."""
    try:
        yield
    except FieldworkError as error:
        banner("bad", without_places(str(error)))


def part(draw: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """A part of a page that runs again by itself when one of its own widgets changes.

    The blocks around it are not there when it does, so it turns errors for users into their message itself.
    """
    return st.fragment(plain_errors()(draw))
