"""The leak audit passes an honest division and finds each planted leak."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.predictive_maintenance.audit import CHECKS, audit_division
from pipelines.predictive_maintenance.features import Preparation
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.protocol import Division, divide
from pipelines.predictive_maintenance.schema import Channel
from shared.errors import FieldworkError


@pytest.fixture(scope="module")
def division(fleet) -> Division:
    return divide(fleet, 0.2, 4, 0)


@pytest.fixture(scope="module")
def preparation(fleet, division) -> Preparation:
    return Preparation.fit(fleet.of_units(division.train), 0)


def with_channel(fleet: Fleet, values: np.ndarray) -> Fleet:
    together = np.hstack([fleet.values, values[:, None].astype(np.float32)])
    return replace(fleet, values=together, channels=(*fleet.channels, Channel(name="planted")))


def found(fleet: Fleet, division: Division, preparation: Preparation | None = None) -> list[str]:
    preparation = preparation or Preparation.fit(fleet.of_units(division.train), 0)
    report = audit_division(fleet, division, preparation, division.train, 0)
    return [finding.check for finding in report.findings]


def test_an_honest_division_is_clean(fleet, division, preparation):
    report = audit_division(fleet, division, preparation, division.train, 0).require()
    assert report.findings == ()
    assert report.checks == CHECKS


def test_a_unit_in_two_parts_is_found_by_name(fleet, division, preparation):
    leaking = replace(division, test=np.sort(np.append(division.test, division.train[0])))
    report = audit_division(fleet, leaking, preparation, division.train, 0)
    assert [finding.check for finding in report.findings] == ["unit_overlap"]
    assert report.findings[0].examples == (fleet.unit_names[division.train[0]],)
    with pytest.raises(FieldworkError, match=r"units of test are in fold \d too"):
        report.require()


def test_scaling_by_all_units_is_found(fleet, division, preparation):
    everything = Preparation.fit(fleet, 0)
    assert found(fleet, division, replace(preparation, scaling=everything.scaling)) == ["later_statistics"]
    assert found(fleet, division, replace(preparation, regimes=everything.regimes)) == ["later_statistics"]
    assert found(fleet, division, replace(preparation, step=2.0)) == ["later_statistics"]


@pytest.mark.parametrize("cap", [1e9, 60.0], ids=["label", "capped label"])
@pytest.mark.parametrize("jitter", [0.0, 0.3], ids=["regular", "irregular"])
def test_the_label_among_the_sensors_is_found(fleet, division, cap, jitter):
    time = fleet.time + jitter * np.random.default_rng(0).random(fleet.num_rows)
    moved = replace(fleet, time=time)
    leaking = with_channel(moved, np.minimum(moved.remaining(), cap))
    assert found(leaking, division) == ["answer_in_channel"]


@pytest.mark.parametrize("noise", [0.0, 5.0], ids=["clock", "worn sensor"])
def test_a_clock_and_a_sensor_that_follows_wear_closely_are_no_answers(fleet, division, noise):
    rng = np.random.default_rng(0)
    close = (
        -np.minimum(fleet.remaining(), 100) + rng.normal(0, noise, fleet.num_rows) if noise else fleet.time
    )
    assert found(with_channel(fleet, close), division) == []
