"""Wrong requests to medical segmentation end with exit code 2 and plain lines."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.flows.bad_files import written
from tests.flows.medical_folders import write_folder

TINY = ("run", "medical_segmentation", "--preset", "tiny", "--quiet")
LITTLE = ("--set", "training.min_steps=2", "--set", "evaluation.num_bootstraps=50")
NUM_LINES = 5


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--set", "trainin.epochs=3"], ["trainin.epochs", "training"]),
        (["--set", "training.epochs=0"], ["training.epochs", "greater than or equal to 1"]),
        (["--set", "image.size=50"], ["image.size", "multiple of 32"]),
        (["--set", "image.window=[300, -100]"], ["window from low to high"]),
        (["--set", "model.encoder=resnet9000"], ["an encoder of timm", "Received 'resnet9000'"]),
        (["--set", "model.encoder=../x"], ["model.encoder", "pattern"]),
        (["--set", "model.encoder_weights=/none/such.safetensors"], ["encoder weights", "/none/such.safetensors"]),
        (["--set", "protocol.num_folds=13"], ["at least 13 patients", "Received 12"]),
        (["--set", "task=detection"], ["task", "segmentation"]),
        (["--set", "task=grading", "--set", "data.dimensions=3"], ["Expected pictures with task=grading", "volumes"]),
        (["--set", "data.dimensions=3", "--set", "training.frozen_epochs=2"], ["frozen_epochs with pictures"]),
        (["--set", "data.columns=[patient=subject]"], ["data.columns", "synthetic"]),
        (["--set", "seed=-1"], ["seed", "greater than or equal to 0"]),
        (["--data", "no_such_folder"], ["no_such_folder", "kvasir_seg, msd_hippocampus"]),
        (["--data", "german_credit"], ["german_credit", "another domain"]),
    ],
    ids=[
        "section", "no-epochs", "size", "window", "encoder", "encoder-path", "weights", "folds", "task",
        "graded-volumes", "frozen-volumes", "columns-of-generator", "seed", "no-folder", "other-domain",
    ],
)  # fmt: skip
def test_wrong_option_is_refused(fieldwork, options, parts):
    fieldwork(*TINY, *LITTLE, *options).require_plain_failure(2, *parts)
    assert not (fieldwork.home / "mlflow.db").exists()


def test_public_set_that_is_not_there_names_the_way_to_get_it(fieldwork, monkeypatch):
    monkeypatch.delenv("FIELDWORK_DATA", raising=False)
    fieldwork(*TINY, "--data", "kvasir_seg").require_plain_failure(2, "kvasir_seg")


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "clinic"
    write_folder(folder)
    return folder


def first(folder: Path, kind: str, number: int = 0) -> Path:
    return sorted((folder / kind).iterdir())[number]


def without_masks(folder: Path) -> None:
    shutil.rmtree(folder / "masks")


def without_one_mask(folder: Path) -> None:
    first(folder, "masks").unlink()


def with_small_masks(folder: Path) -> None:
    for path in sorted((folder / "masks").iterdir()):
        Image.fromarray(np.asarray(Image.open(path))[:32]).save(path)


def with_empty_masks(folder: Path) -> None:
    for path in sorted((folder / "masks").iterdir()):
        Image.fromarray(np.asarray(Image.open(path)) * np.uint8(0)).save(path)


def with_other_values(folder: Path) -> None:
    for path in sorted((folder / "masks").iterdir()):
        Image.fromarray(np.asarray(Image.open(path)) // 255 * np.uint8(7)).save(path)


def with_words(folder: Path) -> None:
    for path in sorted((folder / "images").iterdir()):
        path.write_text("these are words")


def of_one_patient(folder: Path) -> None:
    manifest = pl.read_csv(folder / "manifest.csv")
    manifest.with_columns(patient=pl.lit("p")).write_csv(folder / "manifest.csv")


def with_test_cases_alone(folder: Path) -> None:
    manifest = pl.read_csv(folder / "manifest.csv")
    manifest.with_columns(part=pl.lit("test")).write_csv(folder / "manifest.csv")


def with_a_way_out(folder: Path) -> None:
    manifest = pl.read_csv(folder / "manifest.csv")
    outside = pl.lit("../../../../etc/passwd")
    manifest.with_columns(image=outside).write_csv(folder / "manifest.csv")


@pytest.mark.parametrize(
    ("change", "name", "parts"),
    [
        (without_masks, "", ["Expected images with masks to learn from", "masks/"]),
        (without_one_mask, "", ["Expected a mask for each image", "without partner"]),
        (with_small_masks, "", ["Expected a mask of 64 x 64, as its image. Received 32 x 64"]),
        (with_empty_masks, "", ["Expected masks that show a structure"]),
        (with_other_values, "", ["Expected masks of 0 and 1 or 255", "Received 7", "data.structures"]),
        (with_words, "", ["Expected images that can be used", "readable picture"]),
        (of_one_patient, "manifest.csv", ["Expected at least 2 patients", "Received 1"]),
        (with_test_cases_alone, "manifest.csv", ["different patients for train and test", "Received 0 and 16"]),
        (with_a_way_out, "manifest.csv", ["Expected images that can be used", "passwd"]),
    ],
    ids=[
        "no-masks", "one-mask-missing", "small-masks", "empty-masks", "values", "words", "one-patient", "only-test",
        "outside",
    ],
)  # fmt: skip
def test_unusable_folder_is_one_clear_message(fieldwork, good, tmp_path, change, name, parts):
    shutil.copytree(good, tmp_path / "clinic")
    change(tmp_path / "clinic")
    outcome = fieldwork(*TINY, *LITTLE, "--data", tmp_path / "clinic" / name)
    outcome.require_plain_failure(2, *parts, most_lines=NUM_LINES)
    assert not (fieldwork.home / "mlflow.db").exists()


def test_grading_without_grades_says_where_grades_come_from(fieldwork, good):
    outcome = fieldwork(*TINY, *LITTLE, "--data", good, "--set", "task=grading")
    outcome.require_plain_failure(2, "at least two grades with task=grading", "column grade")


@pytest.mark.parametrize(
    ("write", "parts"),
    [
        (written(b"", "manifest.csv"), ["manifest.csv"]),
        (written(b"case,picture\na,b.png\n", "manifest.csv"), ["image"]),
        (written(b"\x00\xff\xfe\x01" * 50, "manifest.csv"), ["manifest.csv"]),
        (written(b"case,image\na,a.png\na,b.png\n", "manifest.csv"), ["case"]),
    ],
    ids=["empty", "no-image-column", "binary", "repeated-case"],
)
def test_broken_manifest_is_one_clear_message(
    fieldwork, tmp_path, write: Callable[[Path, pl.DataFrame], Path], parts
):
    outcome = fieldwork(*TINY, "--data", write(tmp_path, pl.DataFrame()))
    outcome.require_plain_failure(2, *parts, most_lines=NUM_LINES)


def test_a_corrupt_picture_among_good_ones_goes_to_quarantine_and_the_run_goes_on(fieldwork, good, tmp_path):
    shutil.copytree(good, tmp_path / "clinic")
    broken = first(tmp_path / "clinic", "images", 3)
    broken.write_bytes(broken.read_bytes()[:200])
    outcome = fieldwork(*TINY, *LITTLE, "--data", tmp_path / "clinic", "--json", "-").require_success()
    assert outcome.document["rows"] | {"train": 0, "test": 0} == {
        "in": 16,
        "quarantined": 1,
        "train": 0,
        "test": 0,
    }
    report = Path(outcome.document["report"]).read_text()
    assert broken.stem in report


def test_too_many_corrupt_pictures_stop_the_run_with_the_first_reasons(fieldwork, good, tmp_path):
    shutil.copytree(good, tmp_path / "clinic")
    for number in range(5):
        first(tmp_path / "clinic", "images", number).write_bytes(b"\x89PNG")
    outcome = fieldwork(*TINY, *LITTLE, "--data", tmp_path / "clinic")
    outcome.require_plain_failure(2, "at most 20 % of the images", "Received 5 of 16", most_lines=NUM_LINES)


def test_files_that_change_after_they_were_read_are_noticed(fieldwork, good, tmp_path, monkeypatch):
    from pipelines.medical_segmentation import steps

    shutil.copytree(good, tmp_path / "clinic")
    real = steps.divide

    def meanwhile(*arguments):
        Image.fromarray(np.zeros((64, 64), dtype=np.uint8)).save(first(tmp_path / "clinic", "masks"))
        return real(*arguments)

    monkeypatch.setattr(steps, "divide", meanwhile)
    outcome = fieldwork(*TINY, *LITTLE, "--data", tmp_path / "clinic")
    outcome.require_plain_failure(2, "as they were when the run began", "run again")


def test_a_file_under_another_name_is_read_anew(fieldwork, good, tmp_path):
    """Names say whom an image is of: an earlier result under the old name would be of another patient."""
    from pipelines.medical_segmentation.config import DataConfig
    from pipelines.medical_segmentation.steps import identify

    shutil.copytree(good, tmp_path / "clinic")
    before = identify(str(tmp_path / "clinic"), DataConfig())
    assert identify(str(tmp_path / "clinic"), DataConfig()) == before
    for kind in ("images", "masks"):
        path = first(tmp_path / "clinic", kind, -1)
        path.rename(path.with_name(f"{path.stem}z.png"))
    assert identify(str(tmp_path / "clinic"), DataConfig()) != before
