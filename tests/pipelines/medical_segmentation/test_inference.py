"""Masks at the size of the file, in strips or at once alike; views that agree; volumes in windows; bounded memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipelines.medical_segmentation import inference
from pipelines.medical_segmentation.config import InferenceConfig, tiny
from pipelines.medical_segmentation.geometry import Frame
from pipelines.medical_segmentation.inference import (
    Predictor,
    agreement,
    cleaned,
    components,
    likeliest,
    own_mask,
)

ROOT = Path(__file__).parents[3]
STANDARD = np.array([[-np.inf], [np.inf], [0.0], [1.0]], dtype=np.float32)


class Brightness(nn.Module):
    """A structure where the image is bright."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([-images, images], 1) * 4


class Sided(nn.Module):
    """A structure in the left half, whatever the image."""

    def forward(self, images: Tensor) -> Tensor:
        side = torch.linspace(1, -1, images.shape[-1]).expand(len(images), 1, *images.shape[2:])
        return torch.cat([-side, side], 1) * 4


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    own=st.tuples(st.integers(3, 90), st.integers(3, 90)),
    structures=st.integers(1, 3),
    strip=st.integers(1, 2000),
    seed=st.integers(0, 1000),
)
def test_strips_give_the_mask_of_the_whole_enlarged_map(own, structures, strip, seed):
    frame = Frame.square(own, 32)
    probabilities = torch.from_numpy(noise(structures + 1, 32, 32, seed=seed)).softmax(0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(inference, "_STRIP_PIXELS", strip)
        found = own_mask(probabilities, frame)
    enlarged = frame.to_own(probabilities)
    assert found.shape == own
    # Rounding decides where two structures are as likely as each other; nowhere else.
    lead = enlarged.topk(2, dim=0).values
    is_clear = (lead[0] - lead[1]).numpy() > 1e-5
    assert np.array_equal(found[is_clear], enlarged.argmax(0).numpy()[is_clear])
    assert is_clear.mean() > 0.95


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    levels=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_the_likeliest_structure_is_the_first_of_equals(shape, levels, seed):
    probabilities = np.random.default_rng(seed).integers(levels, size=shape).astype(np.float32)
    assert np.array_equal(likeliest(torch.from_numpy(probabilities)).numpy(), probabilities.argmax(0))


def test_a_volume_of_patch_size_is_crossed_by_one_window():
    patch = (8, 16, 16)
    image = noise(1, *patch)
    predictor = Predictor(Brightness(), patch, InferenceConfig(views=1))
    frame = Frame.spaced(patch, None, None)
    found = predictor.find(image, STANDARD, frame)
    expected = torch.softmax(Brightness()(torch.from_numpy(image)[None])[0], 0)
    np.testing.assert_allclose(found.probabilities, expected.numpy(), atol=1e-5)
    assert np.array_equal(found.mask, (image[0] > 0).astype(np.uint8))


@pytest.mark.parametrize("shape", [(8, 16, 16), (11, 21, 30), (5, 9, 40)], ids=str)
def test_windows_over_a_volume_of_any_size_leave_no_seams(shape):
    image = noise(1, *shape)
    predictor = Predictor(Brightness(), (8, 16, 16), InferenceConfig(views=2))
    found = predictor.find(image, STANDARD, Frame.spaced(shape, None, None))
    assert np.array_equal(found.mask, (image[0] > 0).astype(np.uint8))


def test_views_come_back_in_the_orientation_of_the_image():
    image = noise(1, 32, 32)
    frame = Frame.square((32, 32), 32)
    for views in (1, 2, 4):
        found = Predictor(Brightness(), (32, 32), InferenceConfig(views=views)).find(image, STANDARD, frame)
        assert np.array_equal(found.mask, (image[0] > 0).astype(np.uint8))
        assert (found.confidence.tolist() == [1.0]) is (views > 1), "views of a pixel-wise network agree"


def test_a_network_that_answers_by_side_is_not_sure():
    frame = Frame.square((32, 32), 32)
    found = Predictor(Sided(), (32, 32), InferenceConfig(views=2)).find(noise(1, 32, 32), STANDARD, frame)
    assert found.confidence[0] < 0.7


def test_equal_views_agree_wholly_and_mirrored_ones_less():
    mean = torch.zeros(2, 16, 16)
    mean[0], mean[1, :, :6] = 0.5, 0.9
    mask = mean.argmax(0).to(torch.uint8)
    assert agreement(mean, [mask, mask]).tolist() == [1.0]
    half = agreement(mean, [mask, mask.flip(-1)])[0]
    assert half == pytest.approx(0.5)


def test_where_nothing_is_found_a_near_miss_makes_unsure():
    probabilities = torch.zeros(2, 16, 16)
    probabilities[0], probabilities[1] = 0.99, 0.01
    nothing = torch.zeros(16, 16, dtype=torch.uint8)
    assert agreement(probabilities, [nothing])[0] == pytest.approx(0.99)
    probabilities[1, 3, 3] = 0.45
    assert agreement(probabilities, [nothing])[0] == pytest.approx(0.55)


def two_parts_and_a_hole() -> np.ndarray:
    mask = np.zeros((20, 20), dtype=np.uint8)
    mask[2:12, 2:12] = 1
    mask[5:7, 5:7] = 0
    mask[15:17, 15:17] = 1
    mask[18, 2] = 2
    return mask


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        (InferenceConfig(), {1: 100, 2: 1}),
        (InferenceConfig(largest_component=True), {1: 96, 2: 1}),
        (InferenceConfig(fill_holes=True), {1: 104, 2: 1}),
        (InferenceConfig(min_pixels=5), {1: 96, 2: 0}),
        (InferenceConfig(largest_component=True, fill_holes=True, min_pixels=2), {1: 100, 2: 0}),
    ],
    ids=["as found", "largest", "holes", "small", "all"],
)
def test_a_mask_is_cleaned_as_asked(config, sizes):
    found = cleaned(two_parts_and_a_hole(), config)
    assert {number: int((found == number).sum()) for number in (1, 2)} == sizes


def test_a_hole_that_is_another_structure_is_not_filled():
    mask = two_parts_and_a_hole()
    mask[5:7, 5:7] = 2
    assert np.array_equal(cleaned(mask, InferenceConfig(fill_holes=True)), mask)


def test_parts_that_touch_at_a_corner_are_two():
    mask = np.zeros((6, 6), dtype=bool)
    mask[:3, :3] = mask[3:, 3:] = True
    parts, sizes = components(mask)
    assert sizes.tolist() == [9, 9]
    assert parts[0, 0] != parts[5, 5]


_LARGE = """
import resource, sys
import numpy as np, torch
from pipelines.medical_segmentation.config import MedicalConfig, ModelConfig
from pipelines.medical_segmentation.gather import placed
from pipelines.medical_segmentation.inference import Predictor
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.studies import Study
from pipelines.medical_segmentation.train import new_segmenter

torch.set_num_threads(1)
config = MedicalConfig(model=ModelConfig(encoder="test_resnet", width=4))
network = new_segmenter(config, 3, 2, (256, 256)).eval()
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
edge = int(sys.argv[1])
pixels = np.zeros((3, edge, edge), dtype=np.uint8)
pixels[:, 1000:4000, 2000:6000] = 200
study = Study("a", "a", pixels, None, Labels.binary(), "RGB")
before = peak()
transfer = np.array([[-np.inf] * 3, [np.inf] * 3, [90.0] * 3, [60.0] * 3], dtype=np.float32)
frame, image = placed(study, config.image, None)
found = Predictor(network, (256, 256), config.inference).find(image.numpy(), transfer, frame)
assert found.mask.shape == (edge, edge)
print(peak() - before)
"""


@pytest.mark.slow
def test_a_picture_of_10000_by_10000_pixels_takes_its_mask_and_half_a_gigabyte_more():
    done = subprocess.run(
        [sys.executable, "-c", _LARGE, "10000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 100 + 500, "megabytes beyond the picture itself"


def test_a_single_view_is_as_sure_as_its_mask_agrees_with_its_probabilities():
    sure = torch.tensor([[[0.0, 0.0], [1.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]]])
    unsure = torch.tensor([[[0.4, 0.4], [0.6, 0.6]], [[0.6, 0.6], [0.4, 0.4]]])
    assert agreement(sure, [sure.argmax(0)]).tolist() == [1.0]
    assert agreement(unsure, [unsure.argmax(0)])[0] == pytest.approx(2 * 1.2 / (2.0 + 2.0))


def test_volumes_are_seen_in_as_many_views_as_their_training_allows():
    config = tiny()
    assert config.inference_of(2).views == config.inference.views
    assert config.inference_of(3).views == config.volumes.views == 1
