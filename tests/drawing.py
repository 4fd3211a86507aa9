"""Figures that are left empty: they take half of a short run, and few tests look at them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Any
from unittest.mock import patch

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

_savefig, _lay_out = Figure.savefig, ConstrainedLayoutEngine.execute


def empty_figures() -> AbstractContextManager[None]:
    """What is saved inside, in this process, has nothing on it."""
    return _drawing(_save_nothing, lambda engine, figure: None)


def drawn_figures() -> AbstractContextManager[None]:
    """What is saved inside is drawn, also where figures are left empty."""
    return _drawing(_savefig, _lay_out)


@contextmanager
def _drawing(savefig: Callable[..., None], lay_out: Callable[..., None]) -> Iterator[None]:
    with patch.object(Figure, "savefig", savefig), patch.object(ConstrainedLayoutEngine, "execute", lay_out):
        yield


def _save_nothing(figure: Any, target: IO[str], **options: Any) -> None:
    target.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>')
