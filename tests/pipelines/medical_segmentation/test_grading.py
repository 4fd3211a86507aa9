"""Grades are judged by quadratic kappa as scikit-learn has it, and rivals see training grades alone."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.medical_segmentation.config import tiny
from pipelines.medical_segmentation.grading import (
    BASELINES,
    grading_document,
    likeliest_grade,
    quadratic_kappa,
    referable,
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=60))
def test_kappa_is_that_of_scikit_learn(pairs):
    from sklearn.metrics import cohen_kappa_score

    truth, found = np.array(pairs).T
    if len(set(truth.tolist() + found.tolist())) < 2:
        assert np.isnan(quadratic_kappa(truth, found))
        return
    expected = cohen_kappa_score(truth, found, weights="quadratic", labels=range(5))
    assert quadratic_kappa(truth, found) == pytest.approx(expected, nan_ok=True)


def test_being_off_by_two_costs_four_times_being_off_by_one():
    truth = np.array([0, 1, 2, 3] * 10)
    by_one, by_two = truth.copy(), truth.copy()
    by_one[0], by_two[0] = 1, 2
    lost = [1 - quadratic_kappa(truth, found) for found in (by_one, by_two)]
    assert lost[1] / lost[0] == pytest.approx(4, rel=0.1)


def test_test_cases_have_a_grade_by_every_model(graded):
    results = graded.tables["results"]
    assert results.height == len(graded.fold.test)
    highest = int(graded.cases.grades.max())
    for name in ("predicted", *BASELINES):
        assert results[name].is_between(0, highest).all(), name
    assert results["referable"].is_between(0, 1).all()
    usual = np.bincount(graded.cases.grades[graded.fold.train]).argmax()
    assert results["usual_grade"].unique().to_list() == [usual]


def test_the_document_counts_every_case_in_its_cell(graded):
    document = grading_document(graded.tables["results"], graded.config)
    assert np.sum(document["confusion"]) == len(graded.fold.test)
    recalls = [name for name in document["metrics"]["network"] if "recall_grade" in name]
    assert len(recalls) == graded.tables["results"]["grade"].max() + 1


def test_a_grader_that_is_right_beats_its_rivals():
    rng = np.random.default_rng(0)
    grade = rng.integers(0, 4, 80)
    table = pl.DataFrame(
        {
            "fold": 0, "case": [f"c{n}" for n in range(80)], "patient": [f"p{n // 2}" for n in range(80)],
            "grade": grade, "predicted": grade, "mean_grade": grade.astype(float), "referable": grade / 4,
            **{name: rng.integers(0, 4, 80) for name in BASELINES},
        }
    )  # fmt: skip
    document = grading_document(table, tiny())
    assert document["metrics"]["network"]["test/quadratic_kappa"]["value"] == 1
    assert document["metrics"]["network"]["test/referable_auc"]["value"] == 1
    assert "beats" in document["verdict"]["sentence"]


def test_the_grade_given_is_the_one_next_to_the_mean():
    shares = np.array([[0.7, 0.2, 0.1], [0.3, 0.1, 0.6], [0.0, 0.0, 1.0]])
    assert likeliest_grade(shares).tolist() == [0, 1, 2]
    assert referable(shares, tiny()).tolist() == pytest.approx([0.1, 0.6, 1.0])
    assert referable(shares[:, :2], tiny()).tolist() == pytest.approx([0.2, 0.1, 0.0])
