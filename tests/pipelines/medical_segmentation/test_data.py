"""Every source becomes a manifest; what does not fit together is said by name."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.medical_segmentation.config import DataConfig, ImageConfig
from pipelines.medical_segmentation.data import (
    Manifest,
    load_manifest,
    median_spacing,
    parse_column_map,
    parse_structures,
    read_studies,
    source_paths,
)
from pipelines.medical_segmentation.gather import gather_cases
from pipelines.medical_segmentation.studies import Study
from shared.contracts.contract import load
from shared.contracts.refused import Refused, without_refused
from shared.contracts.table import check_table
from shared.errors import RequestError

CONFIG = DataConfig(num_patients=3, images_per_patient=2, generated_size=32)
IMAGE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
MASK = np.pad(np.full((2, 3), 255, np.uint8), ((1, 5), (2, 3)))


def valid(manifest: Manifest) -> pl.DataFrame:
    return check_table(manifest.frame, load("image_studies")).require()


def read(source: Path | str, config: DataConfig = CONFIG) -> list[Study | Refused]:
    manifest = load_manifest(str(source), config, seed=0)
    return list(read_studies(manifest, valid(manifest), config))


@pytest.fixture
def pairs(write_picture, tmp_path) -> Path:
    for name in ("p1_b", "p1_a", "p2_a"):
        write_picture(tmp_path / "set" / "images" / f"{name}.jpg", IMAGE)
        write_picture(tmp_path / "set" / "masks" / f"{name}.png", MASK)
    (tmp_path / "set" / "images" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "set" / "masks" / "._p1_a.png").write_bytes(b"x")
    return tmp_path / "set"


@pytest.fixture
def kvasir(write_picture, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FIELDWORK_DATA", str(tmp_path))
    for part, names in (("train", "123"), ("validation", "34")):
        for name in names:
            write_picture(tmp_path / "kvasir_seg" / part / "images" / f"{name}.jpg", IMAGE)
            write_picture(tmp_path / "kvasir_seg" / part / "masks" / f"{name}.jpg", MASK, quality=95)
    return tmp_path / "kvasir_seg"


@pytest.mark.parametrize("dimensions", [2, 3])
def test_generated_cases_keep_the_contract(dimensions):
    config = CONFIG.model_copy(update={"dimensions": dimensions})
    studies = read("synthetic", config)
    assert [study.case for study in studies[:3]] == ["patient-01-01", "patient-01-02", "patient-02-01"]
    assert source_paths("synthetic", config) == ()
    assert all(study.pixels.ndim == dimensions + 1 for study in studies)


@pytest.mark.parametrize(
    ("images", "masks"), [("images", "masks"), ("images", "labels"), ("imagesTr", "labelsTr")]
)
def test_a_folder_of_pairs_is_paired_by_name_in_order(pairs, images, masks):
    (pairs / "images").rename(pairs / images)
    (pairs / "masks").rename(pairs / masks)
    studies = read(pairs)
    assert [study.case for study in studies] == ["p1_a", "p1_b", "p2_a"]
    assert all(np.array_equal(study.mask, MASK // 255) for study in studies)
    assert "patient of its own" in load_manifest(str(pairs), CONFIG, 0).notes[0]
    assert len(source_paths(str(pairs), CONFIG)) == 6


def test_patients_are_found_by_a_pattern(pairs):
    config = DataConfig(patient_pattern=r"/(p\d)_")
    assert [study.patient for study in read(pairs, config)] == ["p1", "p1", "p2"]
    assert load_manifest(str(pairs), config, 0).notes == ()


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(p", "regular expression"),
        ("p1", "one group"),
        ("(a)(b)", "one group"),
        ("((p)+)+", "one group"),
        ("(x+)*(?:y)", "repetition"),
        ("/(p1)_", "Received 1 without one: images/p2_a.jpg"),
        ("()", "Received 3 without one"),
    ],
    ids=["broken", "no group", "two groups", "nested groups", "explosive", "no match", "empty"],
)
def test_a_pattern_that_does_not_name_patients_is_refused(pairs, pattern, message):
    with pytest.raises(RequestError, match=message):
        load_manifest(str(pairs), DataConfig(patient_pattern=pattern), 0)


def test_missing_and_extra_partners_are_named(pairs):
    (pairs / "masks" / "p1_a.png").rename(pairs / "masks" / "p9.png")
    with pytest.raises(RequestError, match=r"1 in images without partner \(p1_a\) and 1 in masks .*\(p9\)"):
        load_manifest(str(pairs), CONFIG, 0)


def test_two_files_of_one_name_are_refused(pairs):
    shutil.copy(pairs / "images" / "p1_a.jpg", pairs / "images" / "p1_a.JPEG")
    with pytest.raises(RequestError, match="one file called p1_a"):
        load_manifest(str(pairs), CONFIG, 0)


def test_channel_numbers_of_nnunet_are_no_part_of_the_name(write_nifti, tmp_path):
    values = np.ones((3, 4, 5), np.uint8)
    for number in "12":
        write_nifti(tmp_path / "imagesTr" / f"c_{number}_0000.nii.gz", values)
        write_nifti(tmp_path / "labelsTr" / f"c_{number}.nii.gz", values)
    assert [study.case for study in read(tmp_path)] == ["c_1", "c_2"]


def test_images_alone_a_single_image_and_folders_of_series_are_sources(write_series, pairs, tmp_path):
    assert [study.mask for study in read(pairs / "images")] == [None] * 3
    assert [study.case for study in read(pairs / "images" / "p2_a.jpg")] == ["p2_a"]
    for name in ("s1", "s2"):
        write_series(tmp_path / "scans" / name, np.zeros((2, 4, 4), np.uint16))
    assert [study.case for study in read(tmp_path / "scans")] == ["s1", "s2"]
    assert [study.case for study in read(tmp_path / "scans" / "s1")] == ["s1"]
    assert [study.shape for study in read(tmp_path / "scans" / "s1" / "im00.dcm")] == [(4, 4)]
    assert len(source_paths(str(tmp_path / "scans"), CONFIG)) == 4


def test_a_manifest_names_things_in_its_own_words(pairs):
    rows = {
        "id": [1, 2], "subject": ["a", "a"], "image": ["images/p1_a.jpg", "images/p1_b.jpg"], "grade": [0, 2],
        "mask": ["masks/p1_a.png", None], "part": ["train", "test"], "shows_structure": ["True", None],
    }  # fmt: skip
    pl.DataFrame(rows).write_csv(pairs / "list.csv")
    config = DataConfig(columns={"case": "id", "patient": "subject"})
    first, second = read(pairs / "list.csv", config)
    assert (first.case, first.patient, first.part, first.grade) == ("1", "a", "train", 0)
    assert second.mask is None
    assert pairs / "list.csv" in source_paths(str(pairs / "list.csv"), config)


def test_rows_that_break_the_contract_and_files_that_cannot_be_read_are_told_apart(pairs):
    images = ["images/p1_a.jpg"] * 9 + ["../outside.png", "images/p1_b.jpg"]
    rows = {"case": [f"c{n}" for n in range(11)], "image": images, "grade": [0] * 10 + [-1]}
    pl.DataFrame(rows).write_parquet(pairs / "list.parquet")
    manifest = load_manifest(str(pairs / "list.parquet"), CONFIG, seed=0)
    checked = check_table(manifest.frame, load("image_studies"))
    assert checked.quarantined["case"].to_list() == ["c10"]
    studies = read_studies(manifest, checked.require(), CONFIG)
    cases = gather_cases(studies, manifest.labels, ImageConfig(size=32), checked.valid.height)
    assert cases.num_cases == 9
    lost = without_refused(checked, cases.refused, key="case", rule="image").quarantined
    assert lost["case"].to_list() == ["c10", "c9"]
    assert "leads outside" in lost["broken_rules"][1]


def test_files_outside_the_folder_are_not_even_digested(pairs):
    (pairs.parent / "secret.png").write_bytes(b"x")
    pl.DataFrame({"case": ["a"], "image": ["../secret.png"]}).write_csv(pairs / "list.csv")
    assert source_paths(str(pairs / "list.csv"), CONFIG) == (pairs / "list.csv",)


def test_kvasir_trains_and_tests_on_the_folders_asked_for(kvasir):
    studies = read("kvasir_seg")
    assert [(study.case, study.part) for study in studies] == [
        ("train/1", "train"), ("train/2", "train"), ("train/3", "train"), ("validation/3", "test"),
        ("validation/4", "test"),
    ]  # fmt: skip
    assert all(np.array_equal(study.mask, MASK > 127) for study in studies)
    assert studies[0].labels.names == ("polyp",)
    with pytest.raises(RequestError, match=r"Expected the folder test .*data\.subset"):
        load_manifest("kvasir_seg", DataConfig(subset="train_test"), 0)
    (kvasir / "validation").rename(kvasir / "test")
    assert read("kvasir_seg", DataConfig(subset="train_test"))[-1].case == "test/4"


def test_kvasir_as_downloaded_has_no_division(kvasir):
    for name in ("images", "masks"):
        (kvasir / "train" / name).rename(kvasir / name)
    (kvasir / "train").rmdir()
    assert {study.part for study in read("kvasir_seg")} == {None}
    assert any("without a division" in note for note in load_manifest("kvasir_seg", CONFIG, 0).notes)


def test_the_two_sides_of_a_head_are_one_patient(write_nifti, tmp_path, monkeypatch):
    monkeypatch.setenv("FIELDWORK_DATA", str(tmp_path))
    for number in (1, 3, 4, 6):
        for name in ("images", "labels"):
            path = tmp_path / "msd_hippocampus" / name / f"hippocampus_{number:03d}.nii.gz"
            write_nifti(path, np.ones((3, 4, 5), np.uint8))
    assert [study.patient for study in read("msd_hippocampus")] == [
        "head_001",
        "head_002",
        "head_002",
        "head_003",
    ]


def test_the_median_spacing_leaves_the_test_part_out(write_nifti, tmp_path):
    steps = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 50.0}
    for name, step in steps.items():
        write_nifti(tmp_path / f"{name}.nii", np.ones((3, 4, 5), np.uint8), np.diag([1, 1, step, 1]))
    rows = {"case": list(steps), "image": [f"{name}.nii" for name in steps], "part": ["train"] * 3 + ["test"]}
    pl.DataFrame(rows).write_csv(tmp_path / "list.csv")
    manifest = load_manifest(str(tmp_path / "list.csv"), CONFIG, 0)
    assert median_spacing(manifest, valid(manifest), CONFIG) == pytest.approx((2, 1, 1))


def test_pictures_have_no_common_spacing():
    manifest = load_manifest("synthetic", CONFIG, 0)
    assert median_spacing(manifest, manifest.frame, CONFIG) is None


@pytest.mark.parametrize(
    ("source", "config", "message"),
    [
        ("nowhere", CONFIG, "synthetic, kvasir_seg, msd_hippocampus, a folder.*'nowhere'"),
        ("german_credit", CONFIG, "another domain"),
        ("synthetic", DataConfig(columns={"case": "id"}), r"data\.columns"),
        ("kvasir_seg", DataConfig(structures={"polyp": 1}), r"data\.structures"),
        ("msd_hippocampus", DataConfig(patient_pattern="(p)"), r"data\.patient_pattern"),
    ],
    ids=["nowhere", "other domain", "columns", "structures", "pattern"],
)
def test_a_source_that_is_none_is_refused(tmp_path, source, config, message):
    with pytest.raises(RequestError, match=message):
        load_manifest(source, config, 0)


def test_an_empty_folder_and_a_manifest_without_images_say_what_to_do(tmp_path):
    with pytest.raises(RequestError, match="Received none: name a manifest"):
        load_manifest(str(tmp_path), CONFIG, 0)
    pl.DataFrame({"case": ["a"], "path": ["a"]}).write_csv(tmp_path / "list.csv")
    with pytest.raises(RequestError, match=r"data\.columns=\[image=YOUR_COLUMN\]"):
        load_manifest(str(tmp_path / "list.csv"), CONFIG, 0)


def test_structures_are_declared_as_pairs(pairs, write_picture):
    write_picture(pairs / "masks" / "p1_a.png", MASK // 255 * 7)
    with pytest.raises(RequestError, match="Received 7"):
        load_all(pairs, DataConfig())
    found = load_all(pairs, DataConfig(structures=parse_structures(["core=7", "rim=255"])))
    assert found[0].mask.max() == 1
    assert found[1].mask.max() == 2
    with pytest.raises(RequestError, match="liver=1"):
        parse_structures(["liver"])


def load_all(source: Path, config: DataConfig) -> list[Study]:
    found = read(source, config)
    for one in found:
        if isinstance(one, Refused):
            raise RequestError(one.reason)
    return found


def test_a_column_map_accepts_names_of_the_contract_only():
    assert parse_column_map(["patient=subject"]) == {"patient": "subject"}
    with pytest.raises(RequestError, match="Received subject"):
        parse_column_map(["subject=patient"])
