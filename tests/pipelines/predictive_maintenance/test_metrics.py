"""The metrics of the field, against values counted by hand."""

import math

import numpy as np
import pytest

from pipelines.predictive_maintenance.metrics import covered, mae, nasa_score, rmse


def test_nasa_score_has_its_published_scale_and_counts_late_forecasts_more():
    target = np.array([50.0, 50.0, 50.0])
    assert nasa_score(target, target) == 0.0
    assert nasa_score(target[:1], np.array([60.0])) == pytest.approx(math.e - 1)
    assert nasa_score(target[:1], np.array([37.0])) == pytest.approx(math.e - 1)
    assert nasa_score(target, np.array([60.0, 37.0, 50.0])) == pytest.approx(2 * (math.e - 1))
    assert nasa_score(target, target + 20) > nasa_score(target, target - 20)


def test_rmse_is_over_all_rows_at_once_and_no_mean_over_batches():
    target, forecast = np.zeros(4), np.array([0.0, 0.0, 6.0, 8.0])
    assert rmse(target, forecast) == pytest.approx(5.0)
    batches = np.mean([rmse(target[:2], forecast[:2]), rmse(target[2:], forecast[2:])])
    assert batches < rmse(target, forecast), "which is why papers that do that look better"
    assert mae(target, forecast) == pytest.approx(3.5)


def test_an_open_end_holds_everything_above_the_low_end():
    low, high = np.array([10.0, 10.0, 10.0, 10.0]), np.array([np.nan, np.nan, 20.0, 20.0])
    assert covered(np.array([9.0, 500.0, 20.0, 21.0]), low, high).tolist() == [0, 1, 1, 0]
