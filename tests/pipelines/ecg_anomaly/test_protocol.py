"""Whole patients on one side, kinds of beats in every fold, a given division kept without its shared patient."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.ecg_anomaly.config import BeatConfig, SignalConfig
from pipelines.ecg_anomaly.generator import generate
from pipelines.ecg_anomaly.labels import SUPRAVENTRICULAR, UNKNOWN, VENTRICULAR
from pipelines.ecg_anomaly.protocol import divide, patient_folds
from pipelines.ecg_anomaly.recordings import Recordings
from shared.errors import RequestError


@pytest.fixture(scope="module")
def many() -> Recordings:
    return Recordings.of(generate(20, 1.0, seed=0).records, SignalConfig(), BeatConfig())


def with_patients(recordings: Recordings, numbers: list[int]) -> Recordings:
    return replace(recordings, patients=tuple(f"p{number}" for number in numbers))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=20, max_size=20).filter(lambda p: len(set(p)) >= 4))
def test_every_recording_is_tested_once_and_never_beside_its_patient(many, numbers):
    shared = with_patients(many, numbers)
    division = divide(shared, 4, 0)
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in division.folds])), np.arange(20))
    for fold in division.folds:
        assert np.array_equal(np.sort(np.concatenate([fold.train, fold.test])), np.arange(20))
        assert not set(shared.patient_of_record[fold.train]) & set(shared.patient_of_record[fold.test])


def test_each_fold_has_ventricular_and_supraventricular_beats(many):
    for fold in divide(many, 5, 0).folds:
        kinds = many.beats.beat_class[many.beats_of(fold.test)]
        assert (kinds == VENTRICULAR).any()
        assert (kinds == SUPRAVENTRICULAR).any()
        assert len(fold.test) == pytest.approx(4, abs=2)


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 19), min_size=5), st.sets(st.integers(0, 19), min_size=5), st.integers(0, 99))
def test_a_kind_that_enough_patients_have_is_in_every_fold(many, ventricular, supraventricular, seed):
    classes = np.zeros(len(many.beats), dtype=np.int8)
    first = np.searchsorted(many.beats.record, np.arange(20))
    classes[first[list(ventricular)]] = VENTRICULAR
    classes[first[list(supraventricular)] + 1] = SUPRAVENTRICULAR
    marked = replace(many, beats=replace(many.beats, beat_class=classes))
    for fold in divide(marked, 5, seed).folds:
        assert {VENTRICULAR, SUPRAVENTRICULAR} <= set(classes[marked.beats_of(fold.test)].tolist())


def test_another_seed_gives_other_folds_and_the_same_one_the_same(many):
    tests = [{tuple(fold.test) for fold in divide(many, 5, seed).folds} for seed in (0, 0, 1)]
    assert tests[0] == tests[1] != tests[2]


def test_beats_that_few_patients_have_do_not_stop_the_division(many):
    classes = many.beats.beat_class.copy()
    classes[(classes == SUPRAVENTRICULAR) & (many.beats.record > 1)] = 0
    rare = replace(many, beats=replace(many.beats, beat_class=classes))
    assert len(divide(rare, 5, 0).folds) == 5


def test_recordings_without_marked_beats_are_divided_too(many):
    unknown = replace(many.beats, beat_class=np.full(len(many.beats), UNKNOWN, dtype=np.int8))
    assert sorted(len(fold.test) for fold in divide(replace(many, beats=unknown), 5, 0).folds) == [4] * 5


def test_a_given_division_is_kept_and_the_shared_patient_only_tested(many):
    parts = ("train",) * 12 + ("test",) * 8
    given_parts = with_patients(replace(many, parts=parts), [*range(12), 3, *range(13, 20)])
    division = divide(given_parts, 5, 0)
    assert division.is_given
    (fold,) = division.folds
    assert fold.test.tolist() == list(range(12, 20))
    assert fold.train.tolist() == [number for number in range(12) if number != 3]
    assert division.left_out.tolist() == [3]


def test_folds_within_the_training_part_deal_out_its_recordings_alone(many):
    records = np.arange(0, 20, 2)
    folds = patient_folds(many, records, 3, 0)
    assert len(folds) == 10
    assert set(folds.tolist()) == {0, 1, 2}


def test_too_few_patients_and_a_missing_part_are_refused(many):
    with pytest.raises(RequestError, match=r"at least 5 patients.* Received 2.*protocol\.num_folds"):
        divide(with_patients(many, [0, 1] * 10), 5, 0)
    with pytest.raises(RequestError, match="Received 0 and 20"):
        divide(replace(many, parts=("test",) * 20), 5, 0)
