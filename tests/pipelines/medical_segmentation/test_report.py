"""The report: every part is there, for each kind of image and task, and it says at once what it is not for."""

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pipelines.medical_segmentation import explain, explainer
from pipelines.medical_segmentation.audit import CHECKS
from pipelines.medical_segmentation.evidence import EvidenceDocuments, first_summary
from pipelines.medical_segmentation.explain import explain_test
from pipelines.medical_segmentation.report import run_report
from pipelines.medical_segmentation.report_cases import referral_section
from pipelines.medical_segmentation.report_data import image_facts
from pipelines.medical_segmentation.report_pictures import explanation_section, pictures_section
from pipelines.medical_segmentation.tasks import PIXELS, RESULTS, task_of
from pipelines.medical_segmentation.wording import number
from shared.publishing.blocks import Report, Section
from shared.publishing.plain import plain
from shared.publishing.report import render

_SEGMENTATION = (
    "Results",
    "Case by case",
    "Which cases must a human look at",
    "What it looks like",
    "Where the network looked",
    "Data",
    "Training",
    "Run",
    "Limits and misuse",
)
_GRADING = ("Results", "Grades", *_SEGMENTATION[3:])


def evidence_of(judged) -> EvidenceDocuments:
    scorer = judged.fitted.scorer
    explanation, explained = explain_test([scorer], judged.cases, judged.tables[RESULTS])
    return EvidenceDocuments(
        evaluation=plain(task_of(judged.config).document(judged.tables, judged.config)),
        explanation=plain(explanation),
        training=plain(judged.fitted.record),
        calibrated=None if scorer.calibrated is None else scorer.calibrated.to_json(),
        cases=judged.cases,
        results=judged.tables[RESULTS],
        pixels=judged.tables.get(PIXELS),
        explained=explained,
        quarantine=None,
        notes=("A note.",),
        split="2 folds of whole patients",
        audit={"clean": True, "checks": list(CHECKS), "findings": []},
    )


def page_of(config, evidence: EvidenceDocuments) -> str:
    summary = first_summary("synthetic", "image_studies@1.0.0", {"in": 36}, evidence, config)
    return run_report(config, summary, evidence)


def text_of(section: Section) -> str:
    return render(Report("Title", "Subtitle", [section]))


def headings(page: str) -> list[str]:
    return [part.split("</h2>")[0].split(">")[-1].strip() for part in page.split("<h2")[1:]]


@pytest.fixture(scope="module")
def evidence(judged) -> EvidenceDocuments:
    return evidence_of(judged)


@pytest.fixture(scope="module")
def page(judged, evidence) -> str:
    return page_of(judged.config, evidence)


def test_report_has_every_section_and_figure(page):
    assert headings(page) == list(_SEGMENTATION)
    assert "Not drawn" not in page
    assert not re.search(r">\s*(nan|None)\s*<", page)


def test_report_says_at_once_that_it_is_no_medical_device(page):
    assert page.index("Not a medical device") < page.index("<h2")


def test_pictures_are_in_the_page_itself(page):
    assert page.count("data:image/jpeg;base64,") > 10
    assert "image/png" not in page
    assert not re.search(r'(src|href)="(?!#|data:image/jpeg)', page)
    assert len(page) < 3_000_000


@pytest.mark.parametrize(
    ("name", "expected"), [("judged_volumes", _SEGMENTATION), ("graded", _GRADING)], ids=["volumes", "grades"]
)
def test_volumes_and_grades_have_a_report(name, expected, request, monkeypatch):
    # each case, and each cell of it, takes seconds
    monkeypatch.setattr(explain, "_MOST_VOLUMES", 2)
    monkeypatch.setitem(explainer._CELLS, 3, (1, 1, 2))
    judged = request.getfixturevalue(name)
    page = page_of(judged.config, evidence_of(judged))
    assert headings(page) == list(expected)
    assert not re.search(r">\s*(nan|None)\s*<", page)
    assert ("coronal" in page) == (name == "judged_volumes")


def test_share_referred_stands_beside_the_share_that_was_set(judged, evidence):
    referred = evidence.evaluation["metrics"]["network"]["test/referred"]["value"]
    text = text_of(referral_section(judged.config, evidence))
    assert "so that 10 % of the calibration cases are referred" in text
    assert "are few for that" in text
    assert f"Of the test cases {100 * referred:.1f} % were referred" in text


def test_the_confidence_of_one_view_is_that_of_its_probabilities(judged, evidence):
    inference = judged.config.inference.model_copy(update={"views": 1})
    config = judged.config.model_copy(update={"inference": inference})
    assert "agrees with its probabilities" in text_of(referral_section(config, evidence))


def test_maps_that_fail_their_check_are_shown_as_such(evidence):
    attribution = {
        **evidence.explanation["attribution"],
        "warning": "Not faithful for this model",
        "faithful": False,
    }
    failed = replace(evidence, explanation={**evidence.explanation, "attribution": attribution})
    text = text_of(explanation_section(failed))
    assert "Not faithful for this model" in text
    assert "callout warning" in text


def test_report_says_what_maps_of_masks_cannot_tell(evidence):
    text = text_of(explanation_section(evidence))
    assert "What it cannot tell" in text
    assert "The found mask alone" in text


def test_worst_cases_come_first_with_their_dice(evidence):
    worst = evidence.evaluation["worst"][0]
    text = text_of(pictures_section(evidence))
    titles = re.findall(r"patient-\d\d-\d\d", text)
    assert titles[0] == worst


def test_test_cases_without_a_structure_have_a_report(judged, evidence):
    results = evidence.results.with_columns(
        **{
            name: pl.lit(float("nan"))
            for name in ("dice", "iou", "hd95", "nsd", "threshold", "mean_mask", "nearest_case")
        },
        size_truth=pl.lit(0.0),
    )
    explanation, explained = explain_test([judged.fitted.scorer], judged.cases, results)
    empty = replace(evidence, results=results, explanation=plain(explanation), explained=explained)
    empty = replace(
        empty, evaluation={**empty.evaluation, "counts": {**empty.evaluation["counts"], "shown": 0}}
    )
    page = page_of(judged.config, empty)
    assert "No test case shows a structure" in page
    assert headings(page) == list(_SEGMENTATION)


def test_facts_say_what_the_images_are(judged):
    facts = image_facts(judged.cases)
    assert facts["Cases"] == "36 of 12 patients"
    assert facts["Size of the files"] == "64 x 64"
    assert "mm" in facts["Spacing"]
    assert facts["Shows lesion"].endswith("of 36 cases with a mask")


def test_unknown_spacing_is_said(judged):
    spacing = judged.cases.spacing_mm.copy()
    spacing[:3] = np.nan
    assert "unknown for 3 cases" in image_facts(replace(judged.cases, spacing_mm=spacing))["Spacing"]
    spacing[:] = np.nan
    assert "sizes are in pixels" in image_facts(replace(judged.cases, spacing_mm=spacing))["Spacing"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (114.93, "115"), (0.86512, "0.865"), (-97.43, "−97.4"), (12345.6, "12,300"), (1.0, "1")],
)
def test_sizes_have_three_digits_that_count(value, text):
    assert number(value) == text
