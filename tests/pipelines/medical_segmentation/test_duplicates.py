"""Copies of an image are found however they were stored; different images are not."""

import io

import numpy as np
import pytest
from PIL import Image

from pipelines.medical_segmentation.config import DataConfig, ImageConfig
from pipelines.medical_segmentation.duplicates import find
from pipelines.medical_segmentation.gather import gather_cases
from pipelines.medical_segmentation.generator import generate
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.studies import Study


@pytest.fixture(scope="module")
def originals() -> list[np.ndarray]:
    made = generate(DataConfig(num_patients=30, images_per_patient=1, generated_size=96), seed=1)
    return [study.pixels for study in made.studies]


def thumbnails(images: list[np.ndarray]) -> np.ndarray:
    studies = [Study(str(n), str(n), image, None, Labels.binary(), "RGB") for n, image in enumerate(images)]
    return gather_cases(studies, Labels.binary(), ImageConfig(size=64), len(studies)).thumbnails


def as_jpeg(image: np.ndarray) -> np.ndarray:
    stored = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(stored, format="JPEG", quality=40)
    return np.asarray(Image.open(stored)).transpose(2, 0, 1)


def test_different_images_are_no_duplicates(originals):
    assert len(find(thumbnails(originals), 0.95, turned=True)) == 0


@pytest.mark.parametrize(
    "change",
    [
        as_jpeg,
        lambda image: np.clip(image * 0.7 + 20, 0, 255).astype(np.uint8),
        lambda image: np.repeat(np.repeat(image, 2, axis=1), 2, axis=2),
        lambda image: image[:, 1:-1, 1:-1].copy(),
    ],
    ids=["re-encoded", "darker", "larger", "cropped"],
)
def test_a_changed_copy_is_found_with_its_original(originals, change):
    pairs = find(thumbnails([*originals, change(originals[7])]), 0.95)
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([7], [30])
    assert pairs.correlation[0] > 0.95


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_turned_copies_are_found_where_asked_for(originals, times, mirrored):
    turned = np.rot90(originals[3], times, axes=(1, 2))
    images = thumbnails([*originals, np.ascontiguousarray(turned[:, :, ::-1] if mirrored else turned)])
    assert len(find(images, 0.95)) == 0
    pairs = find(images, 0.95, turned=True)
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([3], [30])


def test_pairs_are_found_across_blocks_and_each_once(originals):
    small = thumbnails(originals)
    many = np.random.default_rng(0).integers(0, 256, (2100, 24, 24), dtype=np.uint8)
    many[[5, 2070, 2090]] = small[0]
    pairs = find(many, 0.95)
    assert list(zip(pairs.first, pairs.second, strict=True)) == [(5, 2070), (5, 2090), (2070, 2090)]


def test_black_images_are_duplicates_of_nothing():
    assert len(find(np.zeros((5, 24, 24), np.uint8), 0.95)) == 0
