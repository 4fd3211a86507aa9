"""The leak audit passes an honest fold and finds each planted leak."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.medical_segmentation.audit import CHECKS, audit_fold
from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.config import ImageConfig, ProtocolConfig
from pipelines.medical_segmentation.intensity import Intensity
from pipelines.medical_segmentation.protocol import Fold, divide
from shared.errors import FieldworkError

IMAGE, PROTOCOL = ImageConfig(), ProtocolConfig(num_folds=4)


@pytest.fixture(scope="module")
def fold(cases) -> Fold:
    return divide(cases, PROTOCOL, 0).folds[0]


def found(cases: Cases, fold: Fold, intensity: Intensity | None = None) -> list[str]:
    intensity = intensity or cases.fit_intensity(np.setdiff1d(fold.train, fold.test), IMAGE)
    return [finding.check for finding in audit_fold(cases, fold, intensity, IMAGE, PROTOCOL).findings]


def test_an_honest_fold_is_clean(cases, volumes, fold):
    report = audit_fold(cases, fold, cases.fit_intensity(fold.train, IMAGE), IMAGE, PROTOCOL).require()
    assert report.findings == ()
    assert report.checks == CHECKS
    assert found(volumes, divide(volumes, PROTOCOL, 0).folds[0]) == []


def test_a_case_on_both_sides_is_found_with_its_patient(cases, fold):
    leaking = replace(fold, train=np.sort(np.append(fold.train, fold.test[0])))
    assert found(cases, leaking) == ["case_overlap", "patient_overlap"]


def test_a_patient_on_both_sides_is_found_by_name(cases, fold):
    patients = list(cases.patients)
    patients[fold.test[0]] = patients[fold.train[0]]
    same = replace(cases, patients=tuple(patients))
    report = audit_fold(same, fold, same.fit_intensity(fold.train, IMAGE), IMAGE, PROTOCOL)
    assert [finding.check for finding in report.findings] == ["patient_overlap"]
    assert report.findings[0].examples == (cases.patients[fold.train[0]],)
    with pytest.raises(FieldworkError, match="divide by patient"):
        report.require()


def test_a_copy_of_a_test_image_in_training_is_found_by_name(cases, fold):
    thumbnails = cases.thumbnails.copy()
    thumbnails[fold.train[0]] = thumbnails[fold.test[2]]
    report = audit_fold(
        replace(cases, thumbnails=thumbnails), fold, cases.fit_intensity(fold.train, IMAGE), IMAGE, PROTOCOL
    )
    assert [finding.check for finding in report.findings] == ["near_duplicates"]
    assert report.findings[0].examples == (cases.names[fold.test[2]],)


def test_statistics_of_all_cases_are_found(cases, fold):
    assert found(cases, fold, cases.fit_intensity(np.arange(cases.num_cases), IMAGE)) == ["later_statistics"]
