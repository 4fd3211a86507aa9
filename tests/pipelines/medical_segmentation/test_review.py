"""What a reviewer sees is what was written: the list with those for a human first, masks, evidence, planes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.medical_segmentation.case_files import CaseFolder
from pipelines.medical_segmentation.data import read_studies
from pipelines.medical_segmentation.example import write_example
from pipelines.medical_segmentation.review import Reviewed, plane_of, steps_of, worklist
from pipelines.medical_segmentation.score import Scorer
from pipelines.medical_segmentation.score_files import to_score
from pipelines.medical_segmentation.studies import CONTRACT
from pipelines.medical_segmentation.tasks import task_of
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.errors import RequestError


@dataclass(frozen=True)
class Scored:
    scorer: Scorer
    source: Path
    output: Path
    results: pl.DataFrame

    def reviewed(self, case: str) -> Reviewed:
        return Reviewed.of(self.scorer, self.source, self.output, self.results, case)


def scored(scorer: Scorer, folder: Path) -> Scored:
    """Example images of a model and what it says of them."""
    source, output = write_example(scorer, folder), folder / "out" / "results.parquet"
    manifest = to_score(source, scorer)
    valid = check_table(manifest.frame, load(CONTRACT)).require()
    masks = CaseFolder.beside(output)
    rows = [
        row
        for study in read_studies(manifest, valid, scorer.config.data)
        for row in task_of(scorer.config).score(scorer, study, scorer.place(study), masks).rows
    ]
    return Scored(scorer, source, output, pl.DataFrame(rows, infer_schema_length=None))


@pytest.fixture(scope="module", params=["judged", "judged_volumes", "graded"])
def example(request, tmp_path_factory) -> Scored:
    judged = request.getfixturevalue(request.param)
    return scored(judged.fitted.scorer, tmp_path_factory.mktemp("example"))


def test_cases_for_a_human_come_first_and_the_least_sure_of_them_on_top():
    results = pl.DataFrame(
        {
            "case": ["a", "a", "b", "c", "d"],
            "structure": ["lesion", "core", "lesion", "lesion", "lesion"],
            "patient": ["p"] * 5,
            "refer": [True, True, False, True, False],
            "refer_reason": ["unlike", "unlike", None, "not sure", None],
            "confidence": [0.9, 0.4, 0.2, 0.3, 0.1],
            "grade": [None] * 5,
            "area_mm2": [12.0, 0.0, 115.0, None, None],
            "volume_ml": [None] * 5,
            "num_pixels": [30, 0, 200, 40, 0],
            "referable_probability": [None] * 5,
        },
        schema_overrides={"volume_ml": pl.Float64, "grade": pl.Int64, "referable_probability": pl.Float64},
    )
    found = worklist(results)
    assert found["case"].to_list() == ["c", "a", "d", "b"]
    assert found["confidence"].to_list() == [0.3, 0.4, 0.1, 0.2]
    words = ["lesion 40 pixels", "lesion 12 mm²; no core", "no lesion", "lesion 115 mm²"]
    assert found["found"].to_list() == words


def test_the_mask_that_is_seen_is_the_one_that_was_measured_and_written(example):
    for case in example.results["case"].unique(maintain_order=True):
        seen = example.reviewed(case)
        assert seen.levels.dtype == np.uint8
        assert seen.levels.shape[:3] == ((1,) * (3 - len(seen.study.shape)) + seen.study.shape)
        rows = example.results.filter(pl.col("case") == case)
        if seen.mask is None:
            assert rows["grade"].null_count() == 0
            continue
        assert seen.mask.shape == seen.levels.shape[:3]
        sizes = [int((seen.mask == number).sum()) for number in range(1, len(seen.names) + 1)]
        assert rows["num_pixels"].to_list() == sizes


def test_evidence_lies_on_the_image_and_there_is_none_where_nothing_was_found(example):
    explained = 0
    for case in example.results["case"].unique(maintain_order=True)[:3]:
        seen = example.reviewed(case)
        evidence = seen.evidence(example.scorer, 1)
        if evidence is None:
            assert seen.mask is not None
            continue
        assert evidence.shape == seen.levels.shape[:3]
        assert evidence.min() >= 0
        explained += 1
    assert explained


def test_the_first_slice_shown_has_most_of_what_was_found(example):
    seen = example.reviewed(example.results["case"][0])
    if seen.mask is None or not seen.mask.any():
        assert seen.fullest("axial") == seen.levels.shape[0] // 2
        return
    sums = (seen.mask > 0).sum((1, 2))
    assert sums[seen.fullest("axial")] == sums.max()


@pytest.mark.parametrize(
    ("plane", "corner"), [("axial", (0, -1, -1)), ("coronal", (-1, 0, -1)), ("sagittal", (-1, -1, 0))]
)
def test_head_or_front_is_up_and_the_right_of_the_patient_on_the_left(plane, corner):
    # slices to the head, rows to the front, columns to the right
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert plane_of(values, plane, 0)[0, 0] == values[corner]


def test_a_picture_is_shown_as_it_was_taken():
    values = np.arange(12).reshape(1, 3, 4)
    assert np.array_equal(plane_of(values, "axial", 0), values[0])


def test_pixels_of_a_plane_have_the_spacing_of_its_two_axes():
    assert steps_of((3.0, 1.0, 0.5), "axial") == (1.0, 0.5)
    assert steps_of((3.0, 1.0, 0.5), "sagittal") == (3.0, 1.0)


def test_an_image_that_is_gone_is_named(judged, tmp_path):
    found = scored(judged.fitted.scorer, tmp_path)
    case = found.results["case"][0]
    (tmp_path / f"{case}.png").unlink()
    with pytest.raises(RequestError, match=f"Expected the image of {case}"):
        found.reviewed(case)
