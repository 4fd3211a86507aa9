"""What is calibrated on was not learnt from, and a fit needs masks."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.medical_segmentation.audit import audit_fold
from pipelines.medical_segmentation.fitting import fit_fold
from pipelines.medical_segmentation.train import Trainer
from shared.errors import RequestError


def test_calibration_cases_are_other_patients_than_those_learnt_from(judged):
    fitted = fit_fold(Trainer(judged.config, judged.cases), judged.division, judged.fold, "f")
    groups = judged.division.groups
    assert not set(groups[fitted.learnt]) & set(groups[fitted.calibrated_on])
    assert np.array_equal(np.sort(np.concatenate([fitted.learnt, fitted.calibrated_on])), judged.fold.train)
    assert fitted.calibrated.num_cases == len(fitted.calibrated_on)
    assert fitted.predictor.temperature == fitted.calibrated.temperature


def test_the_scales_are_those_of_the_cases_learnt_from_and_the_audit_knows_it(judged):
    scorer, learnt = judged.fitted.scorer, judged.fitted.learnt
    arguments = (judged.cases, judged.fold, scorer.intensity, judged.config.image, judged.config.protocol)
    assert audit_fold(*arguments, learnt).clean
    assert not audit_fold(*arguments, judged.fold.train[:5]).clean


def test_too_few_masks_are_refused(judged):
    undrawn = replace(judged.cases, has_mask=np.arange(judged.cases.num_cases) < 2)
    with pytest.raises(RequestError, match="at least 4 training images with masks"):
        fit_fold(Trainer(judged.config, undrawn), judged.division, judged.fold, "f")
