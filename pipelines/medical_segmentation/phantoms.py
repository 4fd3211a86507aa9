"""Pictures of made-up tissue: light, folds, stains, noise, and lesions with irregular borders, in two or three axes.

What makes them hard is what makes endoscopy and ultrasound hard. Light falls off towards the edges by more than a
lesion differs from its surroundings, stains have the colours of lesions and no border, and brightness says nothing by
itself: a border together with another texture does. Smooth fields are random values on a coarse grid, interpolated
along each axis by one small matrix.
"""

from dataclasses import dataclass
from functools import cache, reduce

import numpy as np

_DEPTH_OF_FOLDS = 0.4
_STAIN = 1.0
_SOFT_EDGE = 6.0
_PITS = 0.4
# Lesions are redder, their cores darker: how much each channel follows the contrast.
_COLOUR_OF_LESION = np.array([0.2, -0.6, -0.45])
_COLOUR_OF_CORE = np.array([-1.0, -0.6, 0.2])
# Volumes are those of a scanner: averaged, and so less grainy than ultrasound (looks), and more evenly lit.
_LOOKS = {2: 4.0, 3: 16.0}
_UNEVENNESS = {2: 1.0, 3: 0.4}


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The room of one image. shape: (rows, columns), or with slices before; spacing_mm: along each axis."""

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]

    def places_mm(self) -> np.ndarray:
        """Position of every pixel since the first one, float32 of shape (axes, *shape)."""
        axes = [
            np.arange(n, dtype=np.float32) * step for n, step in zip(self.shape, self.spacing_mm, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"))

    @property
    def extent_mm(self) -> np.ndarray:
        return np.array(self.shape) * self.spacing_mm


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> np.ndarray:
    """Random values that change over 1/cells of each axis, float32 of mean 0 and deviation 1."""
    field = rng.standard_normal([_knots(cells, size) for size in shape]).astype(np.float32)
    for axis, size in enumerate(shape):
        field = np.moveaxis(
            np.tensordot(_interpolation(size, _knots(cells, size)), field, axes=(1, axis)), 0, axis
        )
    return field


def lesion_depth(
    scene: Scene, centre_mm: np.ndarray, radius_mm: float, irregularity: float, rng: np.random.Generator
) -> np.ndarray:
    """How deep in an irregular ellipse each pixel lies: 1 at the centre, 0 at the border, below outside; float32."""
    num_axes = len(scene.shape)
    away = scene.places_mm() - centre_mm.reshape(-1, *[1] * num_axes)
    turn, _ = np.linalg.qr(rng.standard_normal((num_axes, num_axes)))
    radii = radius_mm * rng.uniform(0.75, 1.3, num_axes)
    along = np.tensordot((turn / radii[:, None]).astype(np.float32), away, axes=1)
    # Dents as wide as the lesion is: a field that is stretched over it.
    cells = int(np.clip(scene.extent_mm.min() / radius_mm, 3, 24))
    dents = smooth_field(rng, scene.shape, cells)
    depth: np.ndarray = (
        1 - np.sqrt((along**2).sum(axis=0)) - irregularity * dents * np.exp(-((along**2).sum(axis=0)) / 2)
    )
    return depth.astype(np.float32)


def tissue(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Brightness of healthy tissue, float32 around 0.5, with light from one side and folds."""
    shape = scene.shape
    unevenness = _UNEVENNESS[len(shape)]
    texture = unevenness * sum(
        size * smooth_field(rng, shape, cells)
        for cells, size in ((3, 0.14), (8, 0.07), (24, 0.05), (60, 0.03))
    )
    # Folds run where a smooth field crosses zero.
    folds = 1 - unevenness * _DEPTH_OF_FOLDS * rng.uniform(0.3, 1.0) * np.exp(
        -((smooth_field(rng, shape, 4) / 0.12) ** 2)
    )
    light_mm = scene.extent_mm * rng.uniform(0.3, 0.7, len(shape))
    away = scene.places_mm() - light_mm.reshape(-1, *[1] * len(shape))
    distance = np.sqrt((away**2).sum(axis=0)) / scene.extent_mm.max()
    light = 1 / (1 + unevenness * rng.uniform(2.0, 5.0) * distance**2)
    brightness: np.ndarray = 0.7 * (1 + texture) * folds * light
    return brightness.astype(np.float32)


def colour_picture(
    scene: Scene, depths: list[np.ndarray], cores: list[np.ndarray], contrast: float, base: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """An endoscopic image, uint8 of shape (3, rows, columns). base: colour of the patient's tissue, of shape (3,)."""
    stain = contrast * _STAIN * np.abs(smooth_field(rng, scene.shape, 4))
    amount = _inside(depths, scene) * contrast
    shift = (amount + stain) * _COLOUR_OF_LESION[:, None, None]
    shift = shift + _inside(cores, scene) * contrast * _COLOUR_OF_CORE[:, None, None]
    pits = 1 + _PITS * amount * smooth_field(rng, scene.shape, 40)
    picture = tissue(scene, rng) * pits * base[:, None, None] * np.exp(shift)
    glints = smooth_field(rng, scene.shape, 30) * (picture[0] > np.quantile(picture[0], 0.6)) > rng.uniform(
        2.6, 3.4
    )
    picture = np.where(glints, 0.97, picture) + rng.normal(0, 0.015, (3, *scene.shape))
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def grey_picture(
    scene: Scene, depths: list[np.ndarray], cores: list[np.ndarray], contrast: float, rng: np.random.Generator
) -> np.ndarray:
    """An ultrasound-like image or volume, float32 of shape (1, *shape), from 0 to about 1: lesions are darker."""
    stain = _UNEVENNESS[len(scene.shape)] * contrast * _STAIN * smooth_field(rng, scene.shape, 4)
    change = -contrast * (2.0 * _inside(depths, scene) + 1.5 * _inside(cores, scene)) + stain
    looks = _LOOKS[len(scene.shape)]
    speckle = np.sqrt(rng.gamma(looks, 1 / looks, scene.shape))
    picture = tissue(scene, rng) * np.exp(change) * speckle
    return picture[None].astype(np.float32)


def _inside(depths: list[np.ndarray], scene: Scene) -> np.ndarray:
    """1 inside any of them, 0 outside, over a soft border."""
    if not depths:
        return np.zeros(scene.shape, dtype=np.float32)
    inside: np.ndarray = (1 + np.tanh(_SOFT_EDGE * reduce(np.maximum, depths))) / 2
    return inside


def _knots(cells: int, size: int) -> int:
    return min(cells, size) + 1


@cache
def _interpolation(size: int, num_knots: int) -> np.ndarray:
    """Weights of the knots at each pixel, float32 of shape (size, knots): cosine interpolation, without creases."""
    place = np.linspace(0, num_knots - 1 - 1e-6, size)
    left = place.astype(np.int64)
    share = (1 - np.cos(np.pi * (place - left))) / 2
    weights = np.zeros((size, num_knots), dtype=np.float32)
    weights[np.arange(size), left] = 1 - share
    weights[np.arange(size), left + 1] = share
    # Averages between knots vary less than the knots: rows of length 1 make all pixels vary alike.
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)
