"""Pictures that a clinician can read: outlines of what was drawn and of what was found, a scale bar, a legend.

The outlines differ in lightness and in dashes, so that they are told apart by colour-blind readers and in print; a dark
edge keeps them visible on bright and on dark tissue. Evidence is drawn over the grey picture on one scale for a whole
figure, with that scale beside it.
"""

import base64
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.medical_segmentation.gallery import PICTURE, Picture
from shared.publishing.figure_style import (
    SMALL_POINTS,
    WIDE_INCHES,
    few_ticks,
    literal,
    new_figure,
    nothing,
    save,
)
from shared.publishing.svg import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's sky blue and yellow: they stand out on red tissue and on grey, also for colour-blind readers.
DRAWN_COLOUR, FOUND_COLOUR, _EDGE = "#56b4e9", "#f0e442", "#101418"
DRAWN_LABEL, FOUND_LABEL = "drawn by a person", "found by the network"
_COLUMNS = {"picture": 4, "planes": 6}
_COLOURS = "magma"
# Strong evidence covers the picture by this much, weak evidence by less.
_MOST_COVER = 0.75
_JPEG_QUALITY = 88
_PNG = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
_BAR_SHARE = 0.35
_LINE_INCHES = 0.2


def overlay_figure(cases: Sequence[Sequence[Picture]], words: Sequence[str]) -> str:
    """A tile for each picture with both outlines; words: below the name of each case, one or two lines.

    cases: the planes of each case, one for a picture and three for a volume.
    """
    if not cases:
        return nothing("there is no such case")
    figure, rows = _tiles(cases, words, extra_inches=0.5)
    for axes, picture, title in rows:
        _show(axes, _colours(picture))
        _outlines(axes, picture)
        _scale_bar(axes, picture)
        _title(axes, title)
    _legend(figure, cases)
    return _small(save(figure))


def evidence_figure(cases: Sequence[Sequence[Picture]], words: Sequence[str], unit: str) -> str:
    """The same pictures under their Grad-CAM, all on one scale in `unit`, which the bar shows; cases without one are
    left out."""
    known = [number for number, planes in enumerate(cases) if planes[0].evidence is not None]
    cases, words = [cases[number] for number in known], [words[number] for number in known]
    top = max(
        (float(p.evidence.max()) for planes in cases for p in planes if p.evidence is not None), default=0
    )
    if top <= 0:
        return nothing("the network found nothing in these cases")
    figure, rows = _tiles(cases, words, extra_inches=0.75)
    for axes, picture, title in rows:
        _show(axes, _covered(picture, top))
        _outlines(axes, picture)
        _title(axes, title)
    _colour_bar(figure, [axes for axes, _, _ in rows], top, unit)
    return _small(save(figure))


def scale_bar_length(width: float) -> float:
    """1, 2 or 5 times a power of ten, at most a third of `width`."""
    most = _BAR_SHARE * width
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most))


def _tiles(
    cases: Sequence[Sequence[Picture]], words: Sequence[str], *, extra_inches: float
) -> tuple["Figure", list[tuple["Axes", Picture, str]]]:
    """A figure with an axes for each plane, and what belongs on each."""
    planes = [(picture, number) for number, of_case in enumerate(cases) for picture in of_case]
    num_columns = _COLUMNS["picture" if planes[0][0].plane == PICTURE else "planes"]
    num_rows = -(-len(planes) // num_columns)
    inches = WIDE_INCHES / num_columns
    # a row is as high as the highest of its pictures at this width
    ratio = max(picture.extent[0] / picture.extent[1] for picture, _ in planes)
    lines = 1 + max(text.count("\n") + 1 for text in words)
    height = num_rows * (min(ratio, 1.6) * inches + lines * _LINE_INCHES) + extra_inches
    figure = new_figure(WIDE_INCHES, height)
    grid = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    rows = []
    for axes, (picture, number) in zip(grid, planes, strict=False):
        is_first = picture is cases[number][0]
        title = f"{literal(picture.case, 24)}\n{words[number]}" if is_first else ""
        rows.append((axes, picture, title))
    return figure, rows


def _show(axes: "Axes", pixels: np.ndarray) -> None:
    # without resampling the drawing holds the pixels as they are
    axes.imshow(pixels, interpolation="none", aspect="auto", extent=(0, 1, 1, 0))


def _outlines(axes: "Axes", picture: Picture) -> None:
    """Outlines of every structure, and the proportions of the picture."""
    rows, columns = picture.pixels.shape[:2]
    x, y = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
    for mask, colour, style in (
        (picture.drawn, DRAWN_COLOUR, "-"),
        (picture.found, FOUND_COLOUR, (0, (4, 2))),
    ):
        for structure in np.unique(mask[mask > 0]) if mask is not None else ():
            # a margin of nothing closes outlines that end at the border
            inside = np.pad((mask == structure).astype(np.float32), 1)
            places = (
                np.pad(x, 1, mode="reflect", reflect_type="odd"),
                np.pad(y, 1, mode="reflect", reflect_type="odd"),
            )
            axes.contour(*places, inside, levels=[0.5], colors=_EDGE, linewidths=2.6, alpha=0.7)
            axes.contour(*places, inside, levels=[0.5], colors=colour, linewidths=1.3, linestyles=[style])
    axes.set(xlim=(0, 1), ylim=(1, 0))
    axes.set_box_aspect(picture.extent[0] / picture.extent[1])
    if picture.plane != PICTURE:
        _white(axes, 0.15, picture.plane)


def _scale_bar(axes: "Axes", picture: Picture) -> None:
    width = picture.extent[1]
    length = scale_bar_length(width)
    for colour, thickness in ((_EDGE, 4.6), ("white", 2.4)):
        axes.plot(
            [0.05, 0.05 + length / width],
            [0.93, 0.93],
            color=colour,
            linewidth=thickness,
            solid_capstyle="butt",
        )
    _white(axes, 0.895, f"{length:g} {picture.unit}")


def _white(axes: "Axes", height: float, words: str) -> None:
    """Words that are read on bright and on dark tissue, their bottom at this share of the picture's height."""
    for offset, colour in ((0.006, _EDGE), (0.0, "white")):
        axes.text(
            0.05 + offset, height + offset, words, fontsize=SMALL_POINTS - 1, color=colour, ha="left", va="bottom"
        )  # fmt: skip


def _title(axes: "Axes", title: str) -> None:
    axes.set_title(title, fontsize=SMALL_POINTS - 0.5, color=INK, loc="left", linespacing=1.35)


def _legend(figure: "Figure", cases: Sequence[Sequence[Picture]]) -> None:
    """Names of the outlines that are there."""
    from matplotlib.lines import Line2D

    pictures = [picture for planes in cases for picture in planes]
    named: list[tuple[str, str, Any]] = [
        (DRAWN_LABEL, DRAWN_COLOUR, "-") for _ in [0] if any(one.drawn is not None for one in pictures)
    ]
    named += [
        (FOUND_LABEL, FOUND_COLOUR, (0, (4, 2)))
        for _ in [0]
        if any(one.found is not None for one in pictures)
    ]
    handles = [Line2D([], [], color=colour, linestyle=style, linewidth=2.4) for _, colour, style in named]
    if handles:
        figure.legend(
            handles,
            [name for name, _, _ in named],
            loc="outside lower left",
            ncols=2,
            handlelength=3.2,
            frameon=False,
            fontsize=SMALL_POINTS,
            labelcolor=INK,
        )


def _colours(picture: Picture) -> np.ndarray:
    """(rows, columns, 3), uint8."""
    return picture.pixels if picture.pixels.shape[2] == 3 else np.repeat(picture.pixels, 3, axis=2)


def _covered(picture: Picture, top: float) -> np.ndarray:
    """The grey picture under colours of its evidence, the stronger the denser; (rows, columns, 3), uint8."""
    from matplotlib import colormaps

    assert picture.evidence is not None
    share = np.clip(picture.evidence / top, 0, 1)
    grey = np.repeat(picture.pixels.mean(axis=2, keepdims=True), 3, axis=2)
    colours = 255 * colormaps[_COLOURS](0.15 + 0.85 * share)[..., :3]
    cover = _MOST_COVER * np.sqrt(share)[..., None]
    return np.round((1 - cover) * grey + cover * colours).astype(np.uint8)


def _colour_bar(figure: "Figure", axes: Sequence["Axes"], top: float, unit: str) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    shades = ListedColormap(colormaps[_COLOURS](0.15 + 0.85 * np.linspace(0, 1, 48)))
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, top), shades),
        ax=list(axes),
        orientation="horizontal",
        fraction=0.04,
        aspect=40,
        pad=0.03,
    )
    bar.ax.xaxis.set_major_locator(few_ticks(4))
    bar.outline.set_visible(False)
    # without edges of their own colour, thin lines show between the shades
    if bar.solids is not None:
        bar.solids.set_edgecolor("face")
    bar.ax.tick_params(colors=MUTED, labelsize=SMALL_POINTS, length=0)
    bar.set_label(
        f"Evidence for what was found: gradient x activation, {unit}", fontsize=SMALL_POINTS, color=INK
    )


def _small(svg: str) -> str:
    """The same drawing with its pixels as JPEG: a tenth of the size of PNG for photographs."""
    from PIL import Image

    def as_jpeg(match: re.Match[str]) -> str:
        image = Image.open(io.BytesIO(base64.b64decode(match[1]))).convert("RGB")
        encoded = io.BytesIO()
        image.save(encoded, format="JPEG", quality=_JPEG_QUALITY, subsampling=0)
        return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"

    return _PNG.sub(as_jpeg, svg)
