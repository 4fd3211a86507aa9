"""The scorer gives what the evaluation gave, comes back from its folder, and says why a human must look."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.medical_segmentation.inference import Found
from pipelines.medical_segmentation.score import UNLIKE, Scorer
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.errors import RequestError


@pytest.fixture
def scorer(judged) -> Scorer:
    return judged.fitted.scorer


@pytest.fixture
def folder(scorer, tmp_path) -> Path:
    scorer.save(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["judged", "judged_volumes"])
def test_masks_and_confidence_of_test_cases_are_those_of_the_evaluation(name, request):
    judged = request.getfixturevalue(name)
    scorer = judged.fitted.scorer
    transfers = judged.cases.transfers(scorer.intensity)
    for case, study in zip(judged.fold.test, judged.tested, strict=True):
        evaluated = scorer.predictor.find(
            judged.cases.image(case), transfers[case], judged.cases.frames[case]
        )
        scored = scorer.find(study)
        np.testing.assert_allclose(scored.probabilities, evaluated.probabilities, atol=1e-6)
        np.testing.assert_allclose(scored.confidence, evaluated.confidence, atol=1e-6)
        assert np.array_equal(scored.mask, evaluated.mask)


def test_rows_say_what_the_table_of_the_evaluation_says(judged, scorer):
    evaluated = judged.tables["results"]
    rows = []
    for study in judged.tested:
        seen = scorer.place(study)
        rows += scorer.rows(study, seen, scorer.find_placed(seen), "masks/a.png")
    both = pl.DataFrame(rows, infer_schema_length=None).join(
        evaluated, on=["case", "structure"], suffix="_evaluated"
    )
    assert both.height == evaluated.height
    np.testing.assert_allclose(both["area_mm2"], both["size_found"], rtol=1e-6)
    np.testing.assert_allclose(both["confidence"], both["confidence_evaluated"], atol=1e-6)
    is_sure = pl.col("refer_reason").str.contains("not sure enough").fill_null(False)
    assert both.select(is_sure)["refer_reason"].equals(both["referred"], check_names=False)


def test_graded_rows_say_what_the_table_of_the_evaluation_says(graded):
    scorer, evaluated = graded.fitted.scorer, graded.tables["results"]
    placed = [(study, scorer.place(study)) for study in graded.tested]
    rows = pl.DataFrame([scorer.grade_row(study, seen, scorer.grade(seen)) for study, seen in placed])
    assert rows["grade"].to_list() == evaluated["predicted"].to_list()
    np.testing.assert_allclose(rows["referable_probability"], evaluated["referable"], atol=1e-6)
    assert rows["structure"].unique().to_list() == ["image"]
    assert rows["mask_file"].null_count() == rows.height


@pytest.mark.parametrize("name", ["judged", "judged_volumes", "graded"])
def test_a_scorer_comes_back_from_its_folder_as_it_was(name, request, tmp_path):
    judged = request.getfixturevalue(name)
    scorer, study = judged.fitted.scorer, judged.tested[0]
    scorer.save(tmp_path)
    back = Scorer.load(tmp_path, "7")
    assert back.version == "7"
    assert (back.form, back.labels, back.calibrated) == (scorer.form, scorer.labels, scorer.calibrated)
    if name == "graded":
        assert np.array_equal(back.grade(back.place(study)), scorer.grade(scorer.place(study)))
    else:
        assert np.array_equal(back.find(study).probabilities, scorer.find(study).probabilities)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"config.json", "model.safetensors", "features/scorer.json"}


def test_loading_does_not_touch_the_random_state(folder):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    Scorer.load(folder)
    assert torch.equal(torch.rand(1), expected)


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def without_a_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file({name: tensors[name] for name in list(tensors)[1:]}, path)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps({"network": 1}))


def without_facts(folder: Path) -> None:
    (folder / "features" / "scorer.json").unlink()


def with_other_facts(folder: Path) -> None:
    path = folder / "features" / "scorer.json"
    facts = json.loads(path.read_text())
    facts["form"]["patch"] = "wide"
    path.write_text(json.dumps(facts))


@pytest.mark.parametrize("change", [cut_off, without_a_tensor, pickled, without_facts, with_other_facts])
def test_a_changed_folder_is_refused_in_plain_words(folder, change):
    change(folder)
    with pytest.raises(RequestError, match="Expected the weights and facts of a segmentation model"):
        Scorer.load(folder)


def test_a_study_of_another_form_is_refused(scorer, judged, judged_volumes):
    with pytest.raises(RequestError, match=r"pictures of 3 channels.* Received volumes of 1 channel"):
        scorer.find(judged_volumes.tested[0])
    grey = judged.tested[0]
    with pytest.raises(RequestError, match="Received pictures of 1 channel"):
        scorer.find(replace(grey, pixels=grey.pixels[:1]))


def test_sizes_are_missing_where_the_spacing_is_unknown_and_that_alone_refers_nobody(scorer, judged):
    study = judged.tested[0]
    seen, found = scorer.place(study), scorer.find(study)
    known = list(scorer.rows(study, seen, found, "a.png"))
    unknown = list(scorer.rows(replace(study, spacing_mm=None), seen, found, "a.png"))
    assert [row["area_mm2"] for row in unknown] == [None, None]
    for row, other in zip(known, unknown, strict=True):
        pixel = study.spacing_mm[0] * study.spacing_mm[1]
        assert row["area_mm2"] == pytest.approx(row["num_pixels"] * pixel)
        assert row["refer"] == other["refer"]
        assert row["volume_ml"] is None


def test_pieces_are_counted_and_unsure_cases_referred_with_both_numbers(scorer, judged):
    study = judged.tested[0]
    mask = np.zeros(study.shape, dtype=np.uint8)
    mask[2:5, 2:5] = mask[20:25, 20:25] = 1
    sure = Found(np.zeros((3, 64, 64)), mask, np.array([1.0, 1.0]))
    unsure = Found(np.zeros((3, 64, 64)), mask, np.array([1.0, scorer.calibrated.refer_below - 0.01]))
    seen = scorer.place(study)
    first, second = scorer.rows(study, seen, sure, "a.png")
    assert (first["num_components"], first["num_pixels"]) == (2, 34)
    assert (second["num_components"], second["num_pixels"]) == (0, 0)
    assert not first["refer"]
    [reason] = {row["refer_reason"] for row in scorer.rows(study, seen, unsure, "a.png")}
    assert reason.startswith("not sure enough (confidence")
    assert f"below {scorer.calibrated.refer_below:.2f}" in reason


def test_results_keep_their_contract(judged, graded):
    for one in (judged, graded):
        scorer, study = one.fitted.scorer, one.tested[0]
        seen = scorer.place(study)
        rows = (
            [scorer.grade_row(study, seen, scorer.grade(seen))]
            if one is graded
            else list(scorer.rows(study, seen, scorer.find_placed(seen), "masks/a.png"))
        )
        table = pl.DataFrame(rows).with_columns(
            model_version=pl.lit("1"),
            contract=pl.lit("image_studies@1.0.0"),
            scored_at=pl.lit("2026-01-01").str.to_datetime(time_zone="UTC"),
        )
        check_table(table, load("segmentation_results")).require()


@pytest.mark.parametrize(
    "change",
    [lambda pixels: 255 - pixels, lambda pixels: pixels // 8, lambda pixels: pixels * 0],
    ids=["negative", "dark", "empty"],
)
def test_images_unlike_those_of_the_training_are_referred(scorer, judged, change):
    study = judged.tested[0]
    seen = scorer.place(replace(study, pixels=change(study.pixels)))
    assert UNLIKE in scorer.refer_reason(seen, scorer.find_placed(seen))


def test_hardly_any_test_case_is_called_unlike(judged, scorer):
    reasons = [
        scorer.familiar.has(seen.fingerprint, seen.transfer) for seen in map(scorer.place, judged.tested)
    ]
    assert np.mean(reasons) > 0.8
