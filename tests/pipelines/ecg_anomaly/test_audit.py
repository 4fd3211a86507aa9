"""The leak audit passes an honest fold and finds each planted leak."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.ecg_anomaly.audit import CHECKS, audit_fold
from pipelines.ecg_anomaly.config import BeatConfig, SignalConfig
from pipelines.ecg_anomaly.protocol import Fold, divide
from pipelines.ecg_anomaly.recordings import Recordings
from shared.errors import FieldworkError


@pytest.fixture(scope="module")
def fold(recordings) -> Fold:
    return divide(recordings, 4, 0).folds[0]


def calibration(fold: Fold) -> tuple[Fold, ...]:
    """Two folds within the training part."""
    train = np.setdiff1d(fold.train, fold.test)
    half = len(train) // 2
    return Fold(0, train[half:], train[:half]), Fold(1, train[:half], train[half:])


def found(recordings: Recordings, fold: Fold, folds: tuple[Fold, ...] | None = None) -> list[str]:
    report = audit_fold(recordings, fold, calibration(fold) if folds is None else folds)
    return [one.check for one in report.findings]


def test_an_honest_fold_is_clean(recordings, fold):
    report = audit_fold(recordings, fold, calibration(fold)).require()
    assert report.findings == ()
    assert report.checks == CHECKS


def test_a_recording_on_both_sides_is_found_with_its_patient(recordings, fold):
    leaking = replace(fold, train=np.sort(np.append(fold.train, fold.test[0])))
    assert found(recordings, leaking) == ["record_overlap", "patient_overlap"]


def test_a_patient_on_both_sides_is_found_by_name(recordings, fold):
    patients = list(recordings.patients)
    patients[fold.test[0]] = patients[fold.train[0]]
    same = replace(recordings, patients=tuple(patients))
    report = audit_fold(same, fold, calibration(fold))
    assert [finding.check for finding in report.findings] == ["patient_overlap"]
    assert report.findings[0].examples == (recordings.patients[fold.train[0]],)
    with pytest.raises(FieldworkError, match="divide by patient"):
        report.require()


def test_a_recording_under_two_names_is_found(generated):
    first = generated.records[0]
    half = replace(
        first, name="copy", patient="somebody else", signal=first.signal[: 60 * 360], annotation=None
    )
    both = Recordings.of([*generated.records, half], SignalConfig(), BeatConfig(peaks="detected"))
    fold = Fold(0, np.arange(len(generated.records)), np.array([len(generated.records)]))
    assert found(both, fold) == ["same_signal"]


def test_a_threshold_from_patients_that_its_network_had_seen_is_found(recordings, fold):
    assert found(recordings, fold, (Fold(0, fold.train, fold.train[:2]),)) == ["calibration_overlap"]


def test_a_threshold_from_test_patients_is_found(recordings, fold):
    assert found(recordings, fold, (Fold(0, fold.train, fold.test),)) == ["calibration_overlap"]
