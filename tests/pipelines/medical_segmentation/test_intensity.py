"""Values are scaled by what the training part says, and MR by what the image itself says."""

import numpy as np
import pytest

from pipelines.medical_segmentation.config import ImageConfig
from pipelines.medical_segmentation.intensity import Fingerprint, Intensity, apply
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.studies import Study

ONE, CONFIG = Labels.binary(), ImageConfig()
RNG = np.random.default_rng(0)


def study(pixels: np.ndarray, modality: str, mask: np.ndarray | None = None) -> Study:
    return Study("a", "a", pixels, mask, ONE, modality)


def scaled(one: Study, training: list[Study], config: ImageConfig = CONFIG) -> np.ndarray:
    intensity = Intensity.fit(
        [Fingerprint.of(each) for each in training], [each.modality for each in training], config
    )
    assert Intensity.from_json(intensity.to_json()) == intensity
    return apply(one.pixels, intensity.transfer(Fingerprint.of(one), one.modality))


def test_colours_are_standardised_over_the_training_part():
    training = [study(RNG.integers(0, high, (3, 20, 30), dtype=np.uint8), "RGB") for high in (60, 256)]
    together = np.concatenate([scaled(one, training).reshape(3, -1) for one in training], axis=1)
    assert together.dtype == np.float32
    assert together.mean(axis=1) == pytest.approx(np.zeros(3), abs=1e-4)
    assert together.std(axis=1) == pytest.approx(np.ones(3), abs=1e-4)


def test_ct_is_clipped_and_standardised_by_the_structures_of_the_training_part():
    pixels = RNG.normal(-800, 100, (1, 10, 40, 40)).astype(np.float32)
    mask = np.zeros((10, 40, 40), np.uint8)
    mask[:, 10:30, 10:30] = 1
    pixels[0, mask > 0] = RNG.normal(60, 15, int(mask.sum()))
    one = study(pixels, "CT", mask)
    found = scaled(one, [one])
    inside = pixels[0, mask > 0]
    low, high = np.percentile(inside, (0.5, 99.5))
    expected = (np.clip(inside, low, high) - np.clip(inside, low, high).mean()) / np.clip(
        inside, low, high
    ).std()
    assert found[0, mask > 0] == pytest.approx(expected, abs=0.1)
    assert found.min() == pytest.approx(expected.min(), abs=0.1)


@pytest.mark.parametrize(
    ("window", "bounds"), [("lung", (-1350, 150)), ((0.0, 80.0), (0, 80))], ids=["name", "pair"]
)
def test_a_window_replaces_the_percentiles_of_ct(window, bounds):
    one = study(np.linspace(-3000, 3000, 10_000, dtype=np.float32).reshape(1, 100, 100), "CT")
    config = ImageConfig(window=window)
    found = scaled(one, [one], config).ravel()
    values = one.pixels.ravel()
    below, above = values < bounds[0], values > bounds[1]
    assert len(np.unique(found[below])) == len(np.unique(found[above])) == 1
    assert np.unique(found[~below & ~above]).size == (~below & ~above).sum()


@pytest.mark.parametrize("modality", ["MR", "US", "OTHER"])
def test_other_images_are_scaled_by_their_own_values_so_the_gain_does_not_matter(modality):
    pixels = RNG.gamma(2, 100, (1, 6, 20, 20)).astype(np.float32)
    pixels[0, :, :5] = 0
    first, second = study(pixels, modality), study(pixels * 7, modality)
    assert scaled(first, [first]) == pytest.approx(scaled(second, [first]), abs=1e-3)
    inside = scaled(first, [first])[0, :, 5:]
    assert (inside.mean(), inside.std()) == pytest.approx((0, 1), abs=0.02)
    spike = pixels.copy()
    spike[0, 0, 10, 10] = 1e6
    assert scaled(study(spike, modality), [first]).max() < 10


def test_16_bits_and_8_bits_of_one_picture_give_the_same_values():
    small = RNG.integers(1, 256, (1, 30, 30), dtype=np.uint8)
    large = small.astype(np.uint16) * 257
    assert scaled(study(small, "XR"), []) == pytest.approx(scaled(study(large, "XR"), []), abs=1e-3)


@pytest.mark.parametrize("value", [0, 7])
@pytest.mark.parametrize("modality", ["RGB", "CT", "MR"])
def test_an_image_of_one_value_stays_finite(modality, value):
    flat = study(np.full((3 if modality == "RGB" else 1, 8, 8), value, np.uint8), modality)
    assert np.isfinite(scaled(flat, [flat])).all()


def test_a_fingerprint_of_a_histogram_equals_that_of_the_values():
    values = RNG.integers(0, 200, (1, 50, 60), dtype=np.uint8)
    mask = (values[0] > 100).astype(np.uint8)
    of_bytes = Fingerprint.of(study(values, "CT", mask))
    of_floats = Fingerprint.of(study(values.astype(np.float32), "CT", mask))
    for name in ("mean", "square", "low", "high", "inner_mean", "inner_std", "sample"):
        assert getattr(of_bytes, name) == pytest.approx(getattr(of_floats, name))
    assert of_bytes.mean == pytest.approx(values.mean())
    assert of_bytes.sample.min() > 100


def test_an_empty_mask_gives_no_sample_and_does_not_spoil_the_others():
    pixels = RNG.normal(50, 10, (1, 30, 30)).astype(np.float32)
    empty, full = (study(pixels, "CT", np.full((30, 30), shown, np.uint8)) for shown in (0, 1))
    assert np.isnan(Fingerprint.of(empty).sample).all()
    assert np.array_equal(scaled(full, [full]), scaled(full, [full, empty]))
