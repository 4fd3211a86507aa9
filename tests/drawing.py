"""Figures that are left empty: they take half of a short run, and few tests look at them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any
from unittest.mock import patch

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

_savefig, _lay_out = Figure.savefig, ConstrainedLayoutEngine.execute


@contextmanager
def empty_figures() -> Iterator[None]:
    """What is saved inside, in this process, has nothing on it."""
    with (
        patch.object(Figure, "savefig", _save_nothing),
        patch.object(ConstrainedLayoutEngine, "execute", lambda engine, figure: None),
    ):
        yield


@contextmanager
def drawn_figures() -> Iterator[None]:
    """What is saved inside is drawn, also where figures are left empty."""
    with (
        patch.object(Figure, "savefig", _savefig),
        patch.object(ConstrainedLayoutEngine, "execute", _lay_out),
    ):
        yield


def _save_nothing(figure: Any, target: IO[str], **options: Any) -> None:
    target.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>')
