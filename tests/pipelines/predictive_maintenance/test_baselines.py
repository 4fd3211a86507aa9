"""Baselines: the statistics that they learn from, and what each of them is."""

import numpy as np
import pytest
import torch

from pipelines.predictive_maintenance.baselines import TITLES, fit_baselines, window_statistics
from pipelines.predictive_maintenance.windows import Windows
from shared.training.runtime import single_thread


def test_window_statistics_are_those_of_each_window_alone():
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    first_row = np.repeat([0, 25], [25, 15])
    windows = Windows.of(values, first_row, 10)
    found = window_statistics(windows)
    for row in (0, 4, 24, 25, 39):
        window = windows.gather(torch.tensor([row]))[0].numpy().astype(np.float64)
        slope = np.polyfit(np.arange(10), window, 1)[0]
        expected = [window[-1], window.mean(0), window.std(0), window[-1] - window[0], slope]
        np.testing.assert_allclose(found[row], np.concatenate(expected), atol=1e-5)


def test_baselines_stay_between_zero_and_the_cap_and_are_what_they_are_called(small):
    data = small.trainer.learnable(small.fleet.of_units(small.division.train), small.scorer.preparation)
    scale = small.trainer.scale
    with single_thread():
        fitted = fit_baselines(data.fleet, data.targets, data.inputs.windows, scale, small.config)
    assert fitted.keys() == TITLES.keys()
    statistics, age = window_statistics(data.inputs.windows), data.fleet.age()
    target = data.targets.rul
    errors = {}
    for name, forecast in fitted.items():
        found = forecast(statistics, age)
        assert found.min() >= 0
        assert found.max() <= scale.cap
        errors[name] = np.sqrt(np.mean((found - target)[~data.targets.is_bound] ** 2))
    assert errors["gradient_boosting"] < errors["linear"] < errors["constant"]
    lives = data.fleet.lives
    spans = data.fleet.time[data.fleet.offsets[1:] - 1] - lives.start
    by_age = fitted["age"](statistics[:1], np.array([spans[lives.failed].mean() - 3.0]))
    assert by_age.item() == pytest.approx(3.0)
