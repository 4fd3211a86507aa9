"""An image with what was found in it: regions with outlines, how strong evidence is, axes in the unit of the image."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from apps.dashboard.components.figures import figure
from apps.dashboard.components.text import escaped

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Okabe and Ito's: they stand out on red and on grey images, and colour-blind readers tell them apart.
REGION_COLOURS = ("#f0e442", "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00")
# More is not sent to the browser; every second, third, ... pixel is.
_MOST_PIXELS, _MOST_EVIDENCE = 900, 160
_EDGE = "rgba(16, 20, 24, .75)"
# Zero has no colour: what is strong covers the image, what is weak does not.
_EVIDENCE_COLOURS = (
    (0.0, "rgba(81, 18, 124, 0)"),
    (0.15, "rgba(81, 18, 124, .35)"),
    (0.4, "rgba(183, 55, 121, .55)"),
    (0.7, "rgba(252, 137, 97, .7)"),
    (1.0, "rgba(252, 253, 191, .8)"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """What is drawn. pixels: uint8 (rows, columns, 1 or 3). regions: uint8 (rows, columns), 0 outside, else the number
    of a name; None without. evidence: float32 (rows, columns), None where it is not drawn. step: height and width of a
    pixel in `unit`. names: of the regions, the first has the number 1."""

    pixels: np.ndarray
    regions: np.ndarray | None
    evidence: np.ndarray | None
    step: tuple[float, float]
    unit: str
    names: Sequence[str] = ()

    @property
    def extent(self) -> tuple[float, float]:
        """Height and width in `unit`."""
        return self.pixels.shape[0] * self.step[0], self.pixels.shape[1] * self.step[1]


def image_viewer(
    plane: Plane,
    title: str,
    *,
    opacity: float,
    key: str,
    top: float = 0.0,
    evidence_unit: str = "",
    height: int = 560,
    alt: str = "",
) -> None:
    """Draw a plane. opacity: of the regions, 0 to 1, their outlines stay. top: evidence of the strongest colour, in
    `evidence_unit`."""
    import plotly.graph_objects as go

    drawing = go.Figure()
    small = _at_most(plane, _MOST_PIXELS)
    height_mm, width_mm = small.step
    drawing.add_image(
        source=_data_uri(_blended(small, opacity)),
        x0=width_mm / 2,
        y0=height_mm / 2,
        dx=width_mm,
        dy=height_mm,
        hoverinfo="skip",
        zsmooth=False,
    )
    if plane.evidence is not None and top > 0:
        _evidence(drawing, _at_most(plane, _MOST_EVIDENCE), top, evidence_unit)
    if small.regions is not None:
        for number in np.unique(small.regions[small.regions > 0]):
            _outline(drawing, small, int(number))
    down, across = plane.extent
    drawing.update_yaxes(range=[down, 0], scaleanchor="x", constrain="domain", showgrid=False, zeroline=False)
    drawing.update_xaxes(range=[0, across], constrain="domain", showgrid=False, zeroline=False)
    figure(drawing, title, x=plane.unit, y=plane.unit, key=key, height=height, alt=alt)


def _blended(plane: Plane, opacity: float) -> np.ndarray:
    """Image under its regions, uint8 (rows, columns, 3)."""
    pixels = np.broadcast_to(plane.pixels, (*plane.pixels.shape[:2], 3)).astype(np.float32)
    if plane.regions is not None and opacity > 0:
        colours = np.array([(0, 0, 0), *(_rgb(number) for number in range(1, int(plane.regions.max()) + 1))])
        inside = plane.regions > 0
        pixels[inside] = (1 - opacity) * pixels[inside] + opacity * colours[plane.regions[inside]]
    blended: np.ndarray = np.round(pixels).astype(np.uint8)
    return blended


def _outline(drawing: "Figure", plane: Plane, number: int) -> None:
    """Lines around a region: dark ones below keep them visible on bright images."""
    from contourpy import contour_generator

    assert plane.regions is not None
    # a margin of nothing closes outlines that end at the border
    inside = np.pad((plane.regions == number).astype(np.float32), 1)
    x, y = (
        (np.arange(length) - 0.5) * step
        for length, step in zip(inside.shape[::-1], plane.step[::-1], strict=True)
    )
    lines = contour_generator(x=x, y=y, z=inside).lines(0.5)
    points = np.concatenate([np.vstack([np.asarray(line), np.full((1, 2), np.nan)]) for line in lines])
    name = plane.names[number - 1] if number <= len(plane.names) else str(number)
    for colour, width in ((_EDGE, 4.5), (REGION_COLOURS[(number - 1) % len(REGION_COLOURS)], 2)):
        drawing.add_scatter(
            x=points[:, 0],
            y=points[:, 1],
            mode="lines",
            line={"color": colour, "width": width},
            name=escaped(name),
            legendgroup=str(number),
            showlegend=width == 2,
            hoverinfo="skip",
        )


def _evidence(drawing: "Figure", plane: Plane, top: float, unit: str) -> None:
    height, width = plane.step
    drawing.add_heatmap(
        z=plane.evidence,
        x0=width / 2,
        dx=width,
        y0=height / 2,
        dy=height,
        zmin=0,
        zmax=top,
        zsmooth="best",
        colorscale=_EVIDENCE_COLOURS,
        colorbar={"title": {"text": escaped(unit), "side": "right"}, "thickness": 12, "len": 0.8},
        hovertemplate=f"%{{z:.3g}} {escaped(unit)}<extra></extra>",
    )


def _at_most(plane: Plane, most: int) -> Plane:
    """The same plane with at most so many pixels a side; single pixels are taken, so that numbers of regions stay."""
    every = -(-max(plane.pixels.shape[:2]) // most)
    if every == 1:
        return plane
    layers = (plane.pixels, plane.regions, plane.evidence)
    pixels, regions, evidence = (None if layer is None else layer[::every, ::every] for layer in layers)
    assert pixels is not None
    # the last pixel taken may stand for fewer: the extent stays that of the image
    rows, columns = pixels.shape[:2]
    height, width = plane.extent
    return Plane(pixels, regions, evidence, (height / rows, width / columns), plane.unit, plane.names)


def _rgb(number: int) -> tuple[int, int, int]:
    colour = REGION_COLOURS[(number - 1) % len(REGION_COLOURS)]
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _data_uri(pixels: np.ndarray) -> str:
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, format="PNG", compress_level=3)
    return f"data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode()}"
