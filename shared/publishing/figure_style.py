"""The look of every figure: one palette, one type size, quiet axes, drawn to SVG text."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from shared.publishing.svg import GRID, INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Distinct for colour-blind readers, and of middle lightness: they stand out on white and on dark pages.
BLUE, ORANGE, GREEN, PURPLE, RED, GREY = "#2f7fc1", "#d9801f", "#2b9a77", "#9a6fc4", "#cc5340", "#8b96a1"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)
# Told apart in black and white too.
DASHES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (1, 1)))

TEXT_POINTS = 9.5
SMALL_POINTS = 8.5
NARROW_INCHES = 5.4
WIDE_INCHES = 9.0
_save_lock = Lock()


def new_figure(width: float = NARROW_INCHES, height: float = 3.7) -> "Figure":
    """An empty figure of inches, outside pyplot: nothing to close and no display is touched."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    return figure


def new_axes(width: float = NARROW_INCHES, height: float = 3.7) -> tuple["Figure", "Axes"]:
    figure = new_figure(width, height)
    return figure, figure.subplots()


def dress(axes: "Axes", *, x: str = "", y: str = "", title: str = "", grid: str = "both") -> None:
    """Titles, quiet spines and grid. `grid` is both, x, y or none. Call it after drawing."""
    axes.patch.set_alpha(0)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GRID)
    axes.grid(False)
    if grid != "none":
        axes.grid(True, axis=grid, color=GRID, linewidth=0.7)  # type: ignore[arg-type]
    axes.tick_params(colors=MUTED, labelsize=SMALL_POINTS, length=0, pad=4)
    axes.set_xlabel(x, fontsize=TEXT_POINTS, color=INK)
    axes.set_ylabel(y, fontsize=TEXT_POINTS, color=INK)
    if title:
        axes.set_title(title, fontsize=TEXT_POINTS, color=INK, loc="left", fontweight="bold")


def legend(axes: Any, location: str = "best", **options: Any) -> None:
    """A frameless legend; nothing is drawn when no series has a name."""
    if axes.get_legend_handles_labels()[1]:
        drawn = axes.legend(loc=location, frameon=False, fontsize=SMALL_POINTS, labelcolor=INK, **options)
        drawn.get_title().set_color(INK)


def nothing(reason: str) -> str:
    """The figure that says why there is none."""
    figure, axes = new_axes(height=1.4)
    axes.set_axis_off()
    axes.text(
        0.5,
        0.5,
        f"Not drawn: {reason}",
        ha="center",
        va="center",
        fontsize=TEXT_POINTS,
        color=MUTED,
        wrap=True,
    )
    return save(figure)


def save(figure: "Figure") -> str:
    """The SVG text. The same drawing gives the same text on every run: no date, no random ids."""
    buffer = io.StringIO()
    with _text_as_text():
        _lay_out(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    text = re.sub(r"<\?xml.*?<svg", "<svg", text, count=1, flags=re.DOTALL)
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # A hundredth of a point is finer than any screen.
    text = re.sub(r' d="[^"]*"', lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match.group()), text)
    return re.sub(r"\n\s+", "\n", text)


def _lay_out(figure: "Figure") -> None:
    """Place the axes now: `savefig` would draw the whole figure once more, unseen, to have it done."""
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def shorten(text: str, length: int = 34) -> str:
    """A label that fits: the middle goes, because names differ at both ends."""
    text = " ".join(str(text).split())
    if len(text) <= length:
        return text
    keep = length - 1
    return f"{text[: keep - keep // 3]}…{text[-(keep // 3) :]}"


def literal(text: str, length: int = 34) -> str:
    """A name from outside as a label: shortened, and without matplotlib's dollar mathematics."""
    return shorten(text, length).replace("$", r"\$")


def literals(names: Sequence[str], length: int = 34) -> list[str]:
    return [literal(name, length) for name in names]


def line_style(index: int) -> dict[str, Any]:
    """Colour and dashes of the series with this index; the first, the model, is the heavier line."""
    style = {"color": SERIES[index % len(SERIES)], "linestyle": DASHES[index % len(DASHES)]}
    return {**style, "linewidth": 2.0 if index == 0 else 1.4}


def few_ticks(count: int, *, integer: bool = False) -> Any:
    """Round tick positions, about `count` of them."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count, integer=integer)


@contextmanager
def _text_as_text() -> Iterator[None]:
    """Two settings that exist only globally: text stays text, and ids come from the content.

    Held under a lock and put back; `rc_context` would restore every setting and undo those of other threads.
    """
    import matplotlib

    settings: dict[Any, Any] = matplotlib.rcParams
    wanted = {"svg.fonttype": "none", "svg.hashsalt": "fieldwork"}
    with _save_lock:
        before = {name: settings[name] for name in wanted}
        settings.update(wanted)
        try:
            with warnings.catch_warnings():
                # Emoji are drawn by the fonts of the reader, not by those that lay the figure out.
                warnings.filterwarnings("ignore", "Glyph .* missing from font")
                yield
        finally:
            settings.update(before)
