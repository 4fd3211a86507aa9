"""Generated images are what the truth says, hard for a threshold, and the same every time."""

import numpy as np
import polars as pl
import pytest

from pipelines.medical_segmentation.config import DataConfig, ImageConfig
from pipelines.medical_segmentation.generator import GRADES_MM2, generate
from pipelines.medical_segmentation.intensity import Fingerprint, Intensity, apply

SMALL = {"num_patients": 12, "images_per_patient": 3, "generated_size": 64}


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return 2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_truth_is_that_of_the_masks(dimensions):
    made = generate(DataConfig(**SMALL, dimensions=dimensions, num_structures=2), seed=3)
    unit = 1.0 if dimensions == 2 else 1e-3
    for study in made.studies:
        rows = made.truth.filter(case=study.case)
        assert rows["num_pixels"].filter(rows["structure"] == "lesion").sum() == (study.mask > 0).sum()
        assert rows["num_pixels"].filter(rows["structure"] == "core").sum() == (study.mask == 2).sum()
        pixel = np.prod(study.spacing_mm) * unit
        assert rows["size"].to_numpy() == pytest.approx(rows["num_pixels"].to_numpy() * pixel)
        axes = ("slice", "row", "column")[-dimensions:]
        for row in rows.iter_rows(named=True):
            centre = tuple(round(row[f"centre_{axis}"]) for axis in axes)
            assert study.mask[centre] > 0


def test_some_lesions_are_tiny_some_images_are_empty_and_patients_have_several(generated):
    sizes = [(study.mask > 0).mean() for study in generated.studies]
    assert min(sizes) == 0
    assert 0 < min(size for size in sizes if size) < 0.01
    assert max(sizes) > 0.1
    assert len({study.patient for study in generated.studies}) == 12
    assert (generated.truth.group_by("case").len()["len"] > 2).any()


def test_the_grade_follows_from_the_size(generated):
    sizes = generated.truth.filter(structure="lesion").group_by("case").agg(pl.col("size").sum())
    known = dict(sizes.iter_rows())
    for study in generated.studies:
        size = known.get(study.case, 0.0)
        assert study.grade == (0 if not size else 1 + sum(size > bound for bound in GRADES_MM2))
    assert {study.grade for study in generated.studies} == {0, 1, 2, 3}


@pytest.mark.parametrize("appearance", ["colour", "grey"])
def test_no_threshold_finds_the_lesions(appearance):
    studies = generate(DataConfig(**SMALL, appearance=appearance), seed=0).studies
    fingerprints, kinds = [Fingerprint.of(study) for study in studies], [study.modality for study in studies]
    intensity = Intensity.fit(fingerprints, kinds, ImageConfig())
    transfers = [intensity.transfer(one, kind) for one, kind in zip(fingerprints, kinds, strict=True)]
    scaled = np.stack([apply(study.pixels, own) for study, own in zip(studies, transfers, strict=True)])
    masks = np.stack([study.mask > 0 for study in studies])
    best = max(
        dice(sign * scaled[:, channel] > level, masks)
        for channel in range(scaled.shape[1])
        for sign in (1, -1)
        for level in np.linspace(-2, 2, 17)
    )
    assert best < 0.4


def test_lesions_differ_from_what_surrounds_them(generated):
    """Redder than the ring around them, nearly always: there is something to find."""
    redder = []
    for study in generated.studies:
        inside = study.mask > 0
        grown = np.pad(inside, 4)
        ring = np.logical_or.reduce(
            [np.roll(grown, shift, (0, 1)) for shift in ((4, 0), (-4, 0), (0, 4), (0, -4))]
        )
        ring = ring[4:-4, 4:-4] & ~inside
        if inside.any():
            red, green, _ = study.pixels.astype(float) + 1
            redder.append(np.log(red / green)[inside].mean() - np.log(red / green)[ring].mean())
    assert np.mean(np.array(redder) > 0) > 0.85


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_same_seed_gives_the_same_images_and_more_patients_do_not_change_the_first(dimensions):
    few, more = (
        generate(
            DataConfig(num_patients=n, images_per_patient=1, generated_size=32, dimensions=dimensions), seed=5
        )
        for n in (3, 5)
    )
    for first, second in zip(few.studies, more.studies, strict=False):
        assert np.array_equal(first.pixels, second.pixels)
        assert np.array_equal(first.mask, second.mask)
    other = generate(
        DataConfig(num_patients=3, images_per_patient=1, generated_size=32, dimensions=dimensions), seed=6
    )
    assert not np.array_equal(other.studies[0].pixels, few.studies[0].pixels)
