"""Cases on the grid keep what their files said; stored and loaded they are the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.medical_segmentation.cases_file import load_cases, save_cases
from pipelines.medical_segmentation.config import DataConfig, ImageConfig
from pipelines.medical_segmentation.gather import gather_cases
from pipelines.medical_segmentation.generator import generate
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.studies import Study
from shared.contracts.refused import Refused
from shared.errors import RequestError

ONE = Labels.binary()


def picture(case: str, rows: int, columns: int, channels: int = 3) -> Study:
    values = np.random.default_rng(rows).integers(0, 256, (channels, rows, columns), dtype=np.uint8)
    return Study(
        case, case, values, np.ones((rows, columns), np.uint8), ONE, "RGB" if channels == 3 else "US"
    )


def test_pictures_of_any_size_become_one_array(generated, cases):
    assert cases.pictures.shape == (36, 3, 64, 64)
    assert cases.pictures.dtype == np.uint8
    # Of the size of the grid already: nothing changes.
    assert np.array_equal(cases.pictures[5], generated.studies[5].pixels)
    assert np.array_equal(cases.picture_masks[5], generated.studies[5].mask)
    assert np.array_equal(cases.image(5), cases.pictures[5])
    mixed = gather_cases([picture("a", 40, 80), picture("b", 100, 30)], ONE, ImageConfig(size=32), 2)
    assert mixed.pictures.shape == (2, 3, 32, 32)
    assert mixed.picture_masks.reshape(2, -1).sum(axis=1).tolist() == [32 * 16, 32 * 10]
    assert mixed.num_pixels[:, 0].tolist() == [3200, 3000]


def test_volumes_lie_one_after_another_at_one_spacing(volumes):
    made = generate(
        DataConfig(num_patients=4, images_per_patient=2, generated_size=64, dimensions=3), seed=0
    ).studies
    assert volumes.dimensions == 3
    for number, study in enumerate(made):
        wanted = np.array(study.shape) * study.spacing_mm / (2.0, 1.0, 1.0)
        assert volumes.image(number).shape[1:] == pytest.approx(wanted, abs=0.51)
        assert volumes.mask(number).shape == volumes.image(number).shape[1:]
        share = (volumes.mask(number) > 0).mean() - (study.mask > 0).mean()
        assert abs(share) < 0.02
    assert len(volumes.masks) == volumes.offsets[-1]
    assert volumes.images.dtype == np.float32


def test_sizes_are_counted_in_the_pixels_of_the_file(generated, cases):
    counted = [[int((study.mask == number).sum()) for number in (1, 2)] for study in generated.studies]
    assert cases.num_pixels.tolist() == counted


def test_more_cases_than_promised_are_taken_too():
    found = gather_cases((picture(str(n), 32, 32) for n in range(7)), ONE, ImageConfig(size=32), 2)
    assert found.num_cases == 7
    assert np.array_equal(found.pictures[6], picture("6", 32, 32).pixels)


def test_another_form_and_unreadable_cases_are_refused_and_the_rest_kept():
    studies = [picture("a", 32, 32), picture("b", 32, 32, channels=1), Refused("c", "gone")]
    found = gather_cases(studies, ONE, ImageConfig(size=32), 3)
    assert found.names == ("a",)
    assert [one.name for one in found.refused] == ["b", "c"]
    assert (
        "pictures of 3 channels, as the first case. Received pictures of 1 channel" in found.refused[0].reason
    )


def test_no_usable_case_is_said_with_the_reasons():
    with pytest.raises(RequestError, match=r"Received none.\nc: gone"):
        gather_cases([Refused("c", "gone")], ONE, ImageConfig(size=32), 1).require()


def test_notes_are_summed_over_cases():
    noted = [replace(picture(name, 32, 32), notes={"masks were cut": 5}) for name in "abc"]
    assert gather_cases(noted, ONE, ImageConfig(size=32), 3).notes == ("Masks were cut: 3 cases, 15 pixels.",)


def test_cases_do_not_hold_the_images_that_they_were_made_of():
    found = gather_cases([picture("a", 500, 500)], ONE, ImageConfig(size=32), 1)
    assert found.images.nbytes == 3 * 32 * 32
    assert found.images.base is None or found.images.base.nbytes == found.images.nbytes


def test_cases_of_unknown_mask_grade_and_spacing_say_so():
    one = gather_cases([replace(picture("a", 32, 32), mask=None)], ONE, ImageConfig(size=32), 1)
    assert not one.has_mask[0]
    assert one.grades.tolist() == [-1]
    assert np.isnan(one.spacing_mm).all()
    assert not one.masks.any()


@pytest.mark.parametrize("name", ["cases", "volumes"])
def test_stored_cases_are_loaded_as_they_were_and_stored_the_same_each_time(request, tmp_path, name):
    original = request.getfixturevalue(name)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        save_cases(original, tmp_path / folder)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    loaded = load_cases(tmp_path / "a")
    for field in (
        "names",
        "patients",
        "parts",
        "modalities",
        "labels",
        "num_channels",
        "frames",
        "notes",
        "refused",
    ):
        assert getattr(loaded, field) == getattr(original, field)
    for field in (
        "images",
        "masks",
        "offsets",
        "spacing_mm",
        "has_mask",
        "num_pixels",
        "grades",
        "thumbnails",
    ):
        assert np.array_equal(
            getattr(loaded, field), getattr(original, field), equal_nan=field == "spacing_mm"
        )
    train = np.arange(3)
    assert loaded.fit_intensity(train, ImageConfig()) == original.fit_intensity(train, ImageConfig())


@pytest.mark.parametrize("file", ["cases.safetensors", "cases.json"])
def test_a_folder_that_lost_a_part_is_refused(cases, tmp_path, file):
    save_cases(cases, tmp_path)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:50])
    with pytest.raises(RequestError, match="Ingest again"):
        load_cases(tmp_path)


def test_transfers_fit_a_batch_on_the_device(cases):
    transfers = torch.from_numpy(cases.transfers(cases.fit_intensity(np.arange(36), ImageConfig())))
    assert transfers.shape == (36, 4, 3)
    low, high, mean, std = transfers[..., None, None].unbind(dim=1)
    batch = (torch.from_numpy(cases.pictures).float().clamp(low, high) - mean) / std
    assert batch.mean(dim=(0, 2, 3)).abs().max() < 1e-3
    assert batch.std(dim=(0, 2, 3)).numpy() == pytest.approx(np.ones(3), abs=1e-3)
