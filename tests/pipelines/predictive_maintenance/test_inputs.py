"""What the networks see: scaled channels and their distance from the machine's own beginning, never the future."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.predictive_maintenance.features import Preparation, Prepared
from pipelines.predictive_maintenance.inputs import Inputs, network_inputs

BEGINNING = 4


@pytest.fixture(scope="module")
def prepared(fleet) -> Prepared:
    return Preparation.fit(fleet, 0).apply(fleet)


def last_readings(inputs: Inputs) -> np.ndarray:
    return inputs.windows.gather(torch.arange(len(inputs.windows)))[:, -1].numpy()


def test_changes_are_from_the_mean_of_the_first_readings_of_the_life(prepared):
    inputs = network_inputs(prepared, 6, BEGINNING)
    found = last_readings(inputs)
    sensor = prepared.names.index("flow_1")
    change = inputs.names.index("flow_1 since its beginning")
    for life in (0, 3):
        begin, end = prepared.fleet.offsets[life : life + 2]
        for row in (begin, begin + 2, begin + BEGINNING, end - 1):
            first = prepared.values[begin : min(row + 1, begin + BEGINNING), sensor]
            expected = prepared.values[row, sensor] - first.mean(dtype=np.float64)
            assert found[row, change] == pytest.approx(expected, abs=1e-5)


def test_what_is_seen_at_a_reading_does_not_change_with_what_comes_later(prepared):
    row = int(prepared.fleet.offsets[5]) + 30
    changed = prepared.values.copy()
    changed[row + 1 :] += 5.0
    later = replace(prepared, fleet=replace(prepared.fleet, values=changed))
    before, after = (network_inputs(one, 6, BEGINNING).windows for one in (prepared, later))
    assert torch.equal(before.gather(torch.arange(row + 1)), after.gather(torch.arange(row + 1)))


def test_both_inputs_of_a_sensor_name_it_as_their_source_and_settings_have_one(prepared):
    inputs = network_inputs(prepared, 6, BEGINNING)
    sensors = [prepared.names[place] for place in prepared.columns_of("sensor")]
    assert len(inputs.names) == len(inputs.sources) == inputs.windows.num_channels
    assert inputs.sources == (*prepared.names, *sensors)
    assert {inputs.sources.count(name) for name in prepared.names if name not in sensors} <= {1}
