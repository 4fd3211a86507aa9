"""The leak audit passes an honest fold and finds each planted leak."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.ecg_anomaly.audit import CHECKS, audit_fold
from pipelines.ecg_anomaly.config import BeatConfig, SignalConfig
from pipelines.ecg_anomaly.features import Preparation
from pipelines.ecg_anomaly.protocol import Fold, divide
from pipelines.ecg_anomaly.recordings import Recordings
from shared.errors import FieldworkError

CONFIG, MIN_QUALITY = BeatConfig(), 0.5


@pytest.fixture(scope="module")
def fold(recordings) -> Fold:
    return divide(recordings, 4, 0).folds[0]


def fitted(recordings: Recordings, records: np.ndarray) -> Preparation:
    return Preparation.fit(recordings, recordings.windows(CONFIG), records, MIN_QUALITY)


def found(recordings: Recordings, fold: Fold, preparation: Preparation | None = None) -> list[str]:
    preparation = preparation or fitted(recordings, np.setdiff1d(fold.train, fold.test))
    return [one.check for one in audit_fold(recordings, fold, preparation, CONFIG, MIN_QUALITY).findings]


def test_an_honest_fold_is_clean(recordings, fold):
    preparation = fitted(recordings, fold.train)
    report = audit_fold(recordings, fold, preparation, CONFIG, MIN_QUALITY).require()
    assert report.findings == ()
    assert report.checks == CHECKS


def test_a_recording_on_both_sides_is_found_with_its_patient(recordings, fold):
    leaking = replace(fold, train=np.sort(np.append(fold.train, fold.test[0])))
    assert found(recordings, leaking) == ["record_overlap", "patient_overlap"]


def test_a_patient_on_both_sides_is_found_by_name(recordings, fold):
    patients = list(recordings.patients)
    patients[fold.test[0]] = patients[fold.train[0]]
    same = replace(recordings, patients=tuple(patients))
    report = audit_fold(same, fold, fitted(same, fold.train), CONFIG, MIN_QUALITY)
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


def test_scales_of_all_recordings_are_found(recordings, fold):
    everything = fitted(recordings, np.arange(recordings.num_records))
    assert found(recordings, fold, everything) == ["later_statistics"]
