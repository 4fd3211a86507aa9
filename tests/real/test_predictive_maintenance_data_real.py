"""C-MAPSS FD001 and FD003: read whole, one regime each, the published facts about engines and remaining lives."""

import os

import numpy as np
import pytest

from pipelines.predictive_maintenance.audit import audit_division
from pipelines.predictive_maintenance.config import DataConfig
from pipelines.predictive_maintenance.data import load_readings
from pipelines.predictive_maintenance.features import Preparation
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.protocol import Division, divide, forecast_rows
from shared.contracts.table import check_table

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("FIELDWORK_DATA" not in os.environ, reason="needs FIELDWORK_DATA"),
]

# Rows of train and test; engines in each; longest training life.
FACTS = {"FD001": (20_631, 13_096, 100, 100, 362), "FD003": (24_720, 16_596, 100, 100, 525)}


@pytest.fixture(scope="module", params=FACTS)
def subset(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def fleet(subset) -> Fleet:
    readings = load_readings("cmapss", DataConfig(subset=subset), seed=0)
    checked = check_table(readings.frame, readings.schema.contract())
    assert checked.quarantined.is_empty()
    return Fleet.of(checked.require(), readings.schema, readings.given_rul)


@pytest.fixture(scope="module")
def division(fleet) -> Division:
    return divide(fleet, 0.2, 5, 0)


def test_the_published_files_are_read_whole(subset, fleet):
    train_rows, test_rows, train_engines, test_engines, longest = FACTS[subset]
    is_test_row = fleet.is_test[fleet.row_unit]
    assert ((~is_test_row).sum(), is_test_row.sum()) == (train_rows, test_rows)
    assert ((~fleet.is_test).sum(), fleet.is_test.sum()) == (train_engines, test_engines)
    assert fleet.remaining()[~is_test_row].max() == longest - 1
    assert not fleet.is_censored().any()


def test_engines_are_asked_once_at_their_last_cycle_with_the_published_answer(subset, fleet, division):
    rows = forecast_rows(fleet, division.test, 0)
    answers = np.loadtxt(os.path.join(os.environ["FIELDWORK_DATA"], "cmapss", f"RUL_{subset}.txt"))
    numbers = [int(fleet.unit_names[unit].removeprefix("test-")) for unit in division.test]
    np.testing.assert_array_equal(fleet.remaining()[rows], answers[np.array(numbers) - 1])


def test_the_given_test_engines_are_kept_and_the_division_does_not_leak(fleet, division):
    assert division.is_given
    assert [len(units) for units in division.parts().values()] == [20] * 5 + [100]
    preparation = Preparation.fit(fleet.of_units(division.train), 0)
    assert audit_division(fleet, division, preparation, division.train, 0).require().findings == ()


def test_one_operating_condition_is_one_regime_and_constant_sensors_are_left_out(fleet, division):
    preparation = Preparation.fit(fleet.of_units(division.train), 0)
    assert preparation.regimes.num_regimes == 1
    assert preparation.step == 1.0
    assert {"T2", "P2", "farB", "Nf_dmd", "PCNfR_dmd"} <= set(preparation.scaling.dropped)
    nearly_constant = {"T2", "P2", "P15", "epr", "farB", "Nf_dmd", "PCNfR_dmd"}
    sensors = {channel.name for channel in fleet.channels if channel.role == "sensor"}
    assert sensors - nearly_constant <= set(preparation.scaling.names)
    assert preparation.apply(fleet).is_unseen.mean() < 0.001
