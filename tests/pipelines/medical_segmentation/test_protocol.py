"""Folds keep patients and copies together and spread what is rare; a given division is kept, without its leaks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.config import ProtocolConfig
from pipelines.medical_segmentation.protocol import divide, group_folds
from shared.errors import RequestError

FOUR = ProtocolConfig(num_folds=4)


def with_patients(cases: Cases, numbers: list[int]) -> Cases:
    return replace(cases, patients=tuple(f"p{number}" for number in numbers))


def with_copy(cases: Cases, original: int, copy: int) -> Cases:
    thumbnails = cases.thumbnails.copy()
    thumbnails[copy] = thumbnails[original]
    return replace(cases, thumbnails=thumbnails)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 11), min_size=36, max_size=36).filter(lambda p: len(set(p)) >= 6),
    st.tuples(st.integers(0, 35), st.integers(0, 35)),
)
def test_every_case_is_tested_once_and_never_beside_its_patient_or_its_copy(cases, numbers, pair):
    shared = with_copy(with_patients(cases, numbers), *pair)
    division = divide(shared, FOUR, 0)
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in division.folds])), np.arange(36))
    for fold in division.folds:
        assert np.array_equal(np.sort(np.concatenate([fold.train, fold.test])), np.arange(36))
        assert not {shared.patients[case] for case in fold.train} & {
            shared.patients[case] for case in fold.test
        }
        assert (pair[0] in fold.test) == (pair[1] in fold.test)


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 35), min_size=4), st.sets(st.integers(0, 35), min_size=4), st.integers(0, 99))
def test_rare_structures_and_grades_are_in_every_fold(cases, with_core, with_grade, seed):
    num_pixels = np.tile([9, 0], (36, 1))
    num_pixels[list(with_core), 1] = 5
    grades = np.zeros(36, dtype=np.int64)
    grades[list(with_grade)] = 3
    marked = replace(with_patients(cases, list(range(36))), num_pixels=num_pixels, grades=grades)
    rarest = with_core if len(with_core) <= len(with_grade) else with_grade
    for fold in divide(marked, FOUR, seed).folds:
        assert rarest & set(fold.test.tolist())


def test_folds_are_alike_in_size_structures_and_empty_masks(cases):
    is_empty = ~(cases.num_pixels > 0).any(axis=1)
    tests = [fold.test for fold in divide(cases, FOUR, 0).folds]
    assert [len(test) for test in tests] == pytest.approx([9] * 4, abs=3)
    assert [int(is_empty[test].sum()) for test in tests] == pytest.approx([is_empty.sum() / 4] * 4, abs=2)
    assert all((cases.num_pixels[test, 1] > 0).any() for test in tests)


def test_another_seed_gives_other_folds_and_the_same_one_the_same(cases):
    tests = [{tuple(fold.test) for fold in divide(cases, FOUR, seed).folds} for seed in (0, 0, 1)]
    assert tests[0] == tests[1] != tests[2]


def test_copies_within_training_are_named_and_stay_together(cases):
    division = divide(with_copy(cases, 0, 35), FOUR, 0)
    assert division.groups[0] == division.groups[35]
    assert division.notes == (
        "1 pair of nearly equal images kept together: patient-01-01 and patient-12-03.",
    )


def test_a_given_division_loses_training_cases_of_tested_patients_and_their_copies(cases):
    parts = ("train",) * 24 + ("test",) * 9 + (None,) * 3
    patients = list(range(36))
    patients[30] = 5
    given_parts = with_copy(with_patients(replace(cases, parts=parts), patients), 25, 2)
    division = divide(given_parts, FOUR, 0)
    assert division.is_given
    (fold,) = division.folds
    assert fold.test.tolist() == list(range(24, 33))
    assert fold.train.tolist() == [case for case in range(24) if case not in (2, 5)]
    assert division.left_out.tolist() == [2, 5]
    assert division.notes == (
        "1 training case left out, because a test case is of the same patient: patient-02-03.",
        "1 training case left out, because a test case looks nearly the same: patient-01-03.",
    )


def test_copies_of_a_tested_case_do_not_join_training_patients(cases):
    parts = ("train",) * 24 + ("test",) * 12
    copied = with_copy(with_copy(with_patients(replace(cases, parts=parts), list(range(36))), 30, 2), 30, 3)
    division = divide(copied, FOUR, 0)
    assert division.left_out.tolist() == [2, 3]
    assert len(set(division.groups.tolist())) == 36


def test_folds_within_training_deal_out_its_cases_alone(cases):
    division = divide(cases, FOUR, 0)
    train = division.folds[0].train
    inner = group_folds(cases, division.groups, train, 3, 0)
    assert len(inner) == len(train)
    assert set(inner.tolist()) == {0, 1, 2}
    for number in range(3):
        inside, outside = division.groups[train[inner == number]], division.groups[train[inner != number]]
        assert not set(inside.tolist()) & set(outside.tolist())


def test_too_few_patients_and_a_missing_part_are_refused(cases):
    with pytest.raises(RequestError, match=r"at least 4 patients.* Received 2.*protocol\.num_folds"):
        divide(with_patients(cases, [0, 1] * 18), FOUR, 0)
    with pytest.raises(RequestError, match="Received 0 and 36"):
        divide(replace(cases, parts=("test",) * 36), FOUR, 0)
