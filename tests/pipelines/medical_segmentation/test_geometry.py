"""The grid keeps shapes and places, and leads back to the file's own size."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.medical_segmentation.geometry import Frame


def blob(shape: tuple[int, ...]) -> torch.Tensor:
    """A smooth hill in the middle of a part of the image."""
    axes = torch.meshgrid(*(torch.linspace(-1.2, 0.8, size) for size in shape), indexing="ij")
    return torch.exp(-4 * sum(axis**2 for axis in axes))[None]


def centre(volume: torch.Tensor) -> list[float]:
    axes = torch.meshgrid(*(torch.arange(size) for size in volume.shape), indexing="ij")
    return [float((axis * volume).sum() / volume.sum()) for axis in axes]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([32, 64, 128]))
def test_every_picture_fits_the_square_unstretched_and_comes_back_at_its_size(rows, columns, size):
    frame = Frame.square((rows, columns), size)
    image = frame.image_on_grid(torch.rand(3, rows, columns))
    assert image.shape == (3, size, size)
    assert max(frame.inner) == size
    scale = size / max(rows, columns)
    assert all(abs(inner - own * scale) <= 1 for inner, own in zip(frame.inner, frame.own, strict=True))
    assert frame.to_own(image).shape == (3, rows, columns)


@settings(max_examples=25, deadline=None)
@given(st.tuples(st.integers(40, 150), st.integers(40, 150)))
def test_a_smooth_map_survives_the_way_to_the_grid_and_back(shape):
    frame = Frame.square(shape, 128)
    assert (frame.to_own(frame.image_on_grid(blob(shape))) - blob(shape)).abs().max() < 0.02


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(16, 30)] * 3), st.tuples(*[st.floats(0.6, 2)] * 3))
def test_a_volume_survives_the_way_to_another_spacing_and_back_where_it_was(shape, spacing):
    frame = Frame.spaced(shape, spacing, (1.0, 1.0, 1.0))
    assert all(
        abs(inner - own * step) <= 1 for inner, own, step in zip(frame.inner, shape, spacing, strict=True)
    )
    volume = blob(shape)
    back = frame.to_own(frame.image_on_grid(volume))
    assert (back - volume).abs().mean() < 0.02
    assert centre(back[0]) == pytest.approx(centre(volume[0]), abs=0.3)


def test_a_volume_of_unknown_spacing_stays_as_it_is():
    assert Frame.spaced((3, 4, 5), None, (1.0, 1.0, 1.0)).grid == (3, 4, 5)
    assert Frame.spaced((3, 4, 5), (2.0, 1.0, 1.0), None).grid == (3, 4, 5)


@settings(max_examples=25, deadline=None)
@given(st.tuples(st.integers(30, 200), st.integers(30, 200)))
def test_image_and_mask_lie_on_the_same_pixels_of_the_grid(shape):
    image = (blob(shape) > 0.5).float()
    frame = Frame.square(shape, 64)
    on_grid, mask = frame.image_on_grid(image)[0], frame.mask_on_grid(image[0].to(torch.uint8))
    assert mask.dtype == torch.uint8
    centres = [np.argwhere(array > 0.5).mean(axis=0) for array in (on_grid.numpy(), mask.numpy())]
    assert centres[0] == pytest.approx(centres[1], abs=1.0)


def test_margins_are_black_or_the_darkest_value_and_outside_every_structure():
    frame = Frame.square((4, 8), 32)
    assert frame.image_on_grid(torch.full((3, 4, 8), 90, dtype=torch.uint8))[:, 0].tolist() == [[0] * 32] * 3
    air = frame.image_on_grid(torch.full((1, 4, 8), -1000.0))
    assert (air == -1000).all()
    assert frame.mask_on_grid(torch.ones(4, 8, dtype=torch.uint8)).sum() == 16 * 32


def test_thin_lines_do_not_vanish_when_an_image_shrinks():
    image = torch.zeros(1, 256, 256, dtype=torch.uint8)
    image[0, :, 101] = 240
    assert Frame.square((256, 256), 32).image_on_grid(image).max() > 20
