"""What the networks see of each reading: every scaled channel, and how far it is from the machine's own beginning.

Machines leave the factory different. A sensor far out in the fleet may be normal for its machine, and one that is in
the middle of the fleet may have come a long way: so both views are given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.predictive_maintenance.features import Prepared
from pipelines.predictive_maintenance.schema import Channel
from pipelines.predictive_maintenance.windows import Windows

_CHANGE = " since its beginning"


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """windows: of every row of a prepared fleet. sources: the channel behind each input, so that what two inputs say of
    one sensor can be added up."""

    windows: Windows
    names: tuple[str, ...]
    sources: tuple[str, ...]


def network_inputs(prepared: Prepared, window_length: int, beginning_length: int) -> Inputs:
    """Windows of the scaled channels followed by the sensors' differences from the mean of the life's first readings.

    Only readings up to each row are used: until there are `beginning_length` of them, the mean of those that are there.
    """
    sensors = prepared.columns_of("sensor")
    changes = prepared.values[:, sensors] - _beginnings(prepared, sensors, beginning_length)
    values = np.concatenate([prepared.values, changes], axis=1)
    sources = input_sources(prepared.fleet.channels)
    names = (*prepared.names, *(name + _CHANGE for name in sources[len(prepared.names) :]))
    return Inputs(Windows.of(values, prepared.fleet.first_row, window_length), names, sources)


def input_sources(channels: Sequence[Channel]) -> tuple[str, ...]:
    """The channel behind each input, from the channels kept: every channel, then the sensors again."""
    return tuple(channel.name for channel in (*channels, *(one for one in channels if one.role == "sensor")))


def _beginnings(prepared: Prepared, columns: np.ndarray, length: int) -> np.ndarray:
    """Mean of the first readings of the life of each row, float32 of shape (rows, columns)."""
    offsets = prepared.fleet.offsets
    first = offsets[prepared.fleet.row_life]
    end = np.minimum(np.arange(len(first)) + 1, first + length)
    sums = np.zeros((len(first) + 1, len(columns)))
    np.cumsum(prepared.values[:, columns], axis=0, dtype=np.float64, out=sums[1:])
    means: np.ndarray = (sums[end] - sums[first]) / (end - first)[:, None]
    return means.astype(np.float32)
