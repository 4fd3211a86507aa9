"""Out-of-fold forecasts: every reading once, by a network that has never met its machine."""

import numpy as np
import pytest
import torch

from pipelines.predictive_maintenance.forecasts import FORECAST, facts, forecast, out_of_fold
from pipelines.predictive_maintenance.model import RUL
from pipelines.predictive_maintenance.train import Trainer


def test_no_network_forecasts_a_machine_that_it_was_fitted_to(small, monkeypatch):
    learnt: list[tuple[str, ...]] = []

    class Marked(torch.nn.Module):
        """Says the number of the fit."""

        def forward(self, windows):
            return torch.full((len(windows), 4), 0.1 * len(learnt))

    def forecaster(self, data, seed, name):
        learnt.append(data.fleet.unit_names)
        assert data.inputs.windows.num_channels
        return Marked(), None

    monkeypatch.setattr(Trainer, "forecaster", forecaster)
    table, _ = out_of_fold(small.fleet, small.division.folds, small.trainer)
    units = {small.fleet.unit_names[unit] for unit in small.division.train}
    assert set(table["unit_id"]) == units
    for number, names in enumerate(learnt):
        rows = table.filter(fold=number)
        assert rows.height > 0
        assert not set(names) & set(rows["unit_id"])
        assert set(names) | set(rows["unit_id"]) == units
        assert rows[FORECAST].to_list() == pytest.approx(
            [0.1 * (number + 1) * small.trainer.scale.cap] * rows.height
        )


def test_scaling_of_a_fold_is_fitted_without_its_machines(small, monkeypatch):
    """A sensor of the held-out machines that is far out must not move what the others are scaled by."""
    prepared: list[tuple[str, ...]] = []
    original = Trainer.prepare

    def prepare(self, train):
        prepared.append(train.unit_names)
        return original(self, train)

    monkeypatch.setattr(Trainer, "prepare", prepare)
    out_of_fold(small.fleet, small.division.folds, small.trainer)
    for number, names in enumerate(prepared):
        assert names == tuple(small.fleet.unit_names[unit] for unit in small.division.others(number))


def test_every_reading_of_the_training_machines_is_forecast_once(small):
    table = small.outcome.out_of_fold
    assert table.select("unit_id", "life", "time").is_unique().all()
    assert table.height >= small.fleet.of_units(small.division.train).num_rows
    assert table[FORECAST].is_between(0, small.trainer.scale.cap).all()


def test_facts_of_some_rows_are_those_of_all_rows(small):
    fleet, rows = small.fleet, np.array([3, 50, 700])
    whole = facts(fleet, np.arange(fleet.num_rows))
    assert facts(fleet, rows).equals(whole[rows.tolist()])
    assert whole["remaining"].to_numpy() == pytest.approx(fleet.remaining())


def test_outputs_are_cut_to_what_can_be_said(small):
    class Wild(torch.nn.Module):
        def forward(self, windows):
            found = torch.full((len(windows), 4), 7.0)
            found[::2, RUL] = -7.0
            return found

    fleet = small.fleet.of_units(small.division.test)
    table = forecast(Wild(), fleet, small.scorer.preparation, small.trainer)
    assert set(table[FORECAST].unique()) == {0.0, small.trainer.scale.cap}
