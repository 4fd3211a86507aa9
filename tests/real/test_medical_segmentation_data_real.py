"""Kvasir-SEG and the hippocampus set: read whole, paired rightly, divided without the leaks that they are known for."""

import os

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipelines.medical_segmentation.audit import audit_fold
from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.config import DataConfig, ImageConfig, ProtocolConfig
from pipelines.medical_segmentation.data import load_manifest, median_spacing, read_studies, source_paths
from pipelines.medical_segmentation.gather import gather_cases
from pipelines.medical_segmentation.masks import write_mask
from pipelines.medical_segmentation.protocol import divide
from pipelines.medical_segmentation.readers import read_study
from shared.contracts.contract import load
from shared.contracts.table import check_table

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("FIELDWORK_DATA" not in os.environ, reason="needs FIELDWORK_DATA"),
]

CONFIG, IMAGE, PROTOCOL = DataConfig(), ImageConfig(size=128), ProtocolConfig()


def read(source: str) -> Cases:
    manifest = load_manifest(source, CONFIG, seed=0)
    valid = check_table(manifest.frame, load("image_studies")).require()
    spacing = median_spacing(manifest, valid, CONFIG)
    return gather_cases(read_studies(manifest, valid, CONFIG), manifest.labels, IMAGE, valid.height, spacing)


@pytest.fixture(scope="module")
def kvasir() -> Cases:
    return read("kvasir_seg")


@pytest.fixture(scope="module")
def hippocampus() -> Cases:
    return read("msd_hippocampus")


def test_kvasir_is_read_whole_with_its_lossy_masks_cut(kvasir):
    assert not kvasir.refused
    assert (kvasir.parts.count("train"), kvasir.parts.count("test")) == (800, 100)
    assert kvasir.pictures.shape == (900, 3, 128, 128)
    assert (kvasir.num_pixels > 500).all()
    assert kvasir.notes == ("Masks stored as JPEG were cut at 127: 900 cases, 1,903,954 pixels.",)
    assert len(source_paths("kvasir_seg", CONFIG)) == 1800


def test_masks_of_kvasir_belong_to_their_images(kvasir):
    """Images change more along the border of their own mask than along that of the next one in the list."""
    grey = torch.from_numpy(kvasir.pictures).float().mean(dim=1, keepdim=True)
    change = (grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]).abs() + (
        grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    ).abs()

    def along_border(shift: int) -> float:
        masks = torch.from_numpy(kvasir.picture_masks).float().roll(shift, dims=0)[:, None]
        border = functional.max_pool2d(masks, 3, stride=1) + functional.max_pool2d(-masks, 3, stride=1)
        return float((change * border).sum() / border.sum())

    assert along_border(0) > 1.5 * max(along_border(1), along_border(-1))


def test_near_duplicates_of_kvasir_are_kept_out_of_training(kvasir):
    division = divide(kvasir, PROTOCOL, 0)
    (fold,) = division.folds
    assert [kvasir.names[case] for case in division.left_out] == ["train/526"]
    pairs = {
        (kvasir.names[first], kvasir.names[second])
        for first, second in zip(division.duplicates.first, division.duplicates.second, strict=True)
    }
    assert {("train/510", "train/593"), ("train/459", "train/620"), ("train/300", "train/667")} <= pairs
    intensity = kvasir.fit_intensity(fold.train, IMAGE)
    assert audit_fold(kvasir, fold, intensity, IMAGE, PROTOCOL).require().findings == ()


def test_the_hippocampus_set_is_read_whole_in_millilitres(hippocampus):
    assert hippocampus.num_cases == 59
    assert not hippocampus.refused
    assert hippocampus.labels.names == ("anterior", "posterior")
    assert (hippocampus.num_pixels > 500).all()
    volume_ml = hippocampus.num_pixels.sum(axis=1) * hippocampus.spacing_mm.prod(axis=1) / 1000
    # A hippocampus of a healthy adult has 2 to 4.5 mL.
    assert 2.5 < volume_ml.min() < volume_ml.max() < 4.5


def test_folds_of_the_hippocampus_set_keep_heads_together(hippocampus):
    division = divide(hippocampus, PROTOCOL, 0)
    for fold in division.folds:
        assert len(fold.test) == pytest.approx(59 / 5, abs=2)
        intensity = hippocampus.fit_intensity(fold.train, IMAGE)
        assert audit_fold(hippocampus, fold, intensity, IMAGE, PROTOCOL).require().findings == ()
    assert len(set(division.groups.tolist())) == 38


def test_both_sides_of_a_head_are_told_by_their_grey_values(hippocampus):
    """Why volumes 2k-1 and 2k count as one patient: scans of one head have one distribution of values."""
    levels = np.array([[one.low[0], one.inner_mean[0], one.high[0]] for one in hippocampus.fingerprints])
    apart = np.abs(np.log(levels[:, None] + 1) - np.log(levels[None] + 1)).mean(axis=2)
    patients = np.array(hippocampus.patients)
    same = np.triu(patients[:, None] == patients[None], k=1)
    other = np.triu(patients[:, None] != patients[None], k=1)
    assert same.sum() == 21
    assert np.median(apart[same]) < 0.4 * np.median(apart[other])


def test_a_mask_goes_back_into_the_file_it_came_from(tmp_path):
    manifest = load_manifest("msd_hippocampus", CONFIG, 0)
    row = manifest.frame.row(0, named=True)
    study = read_study(row, manifest.root, manifest.labels, CONFIG)
    write_mask(tmp_path / "mask.nii.gz", study.mask, study)
    (tmp_path / "image.nii.gz").write_bytes((manifest.root / row["image"]).read_bytes())
    again = read_study(
        row | {"image": "image.nii.gz", "mask": "mask.nii.gz"}, tmp_path, manifest.labels, CONFIG
    )
    assert np.array_equal(again.mask, study.mask)
