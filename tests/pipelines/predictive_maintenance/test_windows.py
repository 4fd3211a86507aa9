"""Windows: the last readings of every row, never those of another life, padded with the first."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.predictive_maintenance.windows import Windows


def stretches(lengths: list[int]) -> np.ndarray:
    return np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 7))
def test_a_window_holds_the_last_readings_of_its_own_stretch_and_copies_of_the_first_before(lengths, length):
    first = stretches(lengths)
    values = np.arange(len(first) * 2, dtype=np.float32).reshape(-1, 2)
    windows = Windows.of(values, first, length)
    found = windows.gather(torch.arange(len(windows))).numpy()
    for row, window in enumerate(found):
        rows = np.maximum(np.arange(row - length + 1, row + 1), first[row])
        np.testing.assert_array_equal(window, values[rows])
        assert windows.num_observed[row] == len(set(rows.tolist()))


def test_windows_of_a_fleet_never_cross_lives(fleet):
    life = fleet.row_life.astype(np.float32)[:, None]
    windows = Windows.of(life, fleet.first_row, 30)
    found = windows.gather(torch.arange(len(windows))).numpy()[:, :, 0]
    np.testing.assert_array_equal(found, np.broadcast_to(life, found.shape))


def test_windows_come_in_the_order_asked_for_and_are_contiguous(fleet):
    windows = Windows.of(fleet.values, fleet.first_row, 30)
    chosen = torch.tensor([5, 5, 900, 0])
    batch = windows.gather(chosen)
    assert batch.shape == (4, 30, windows.num_channels)
    assert batch.is_contiguous()
    torch.testing.assert_close(batch[0], batch[1], equal_nan=True)
    np.testing.assert_array_equal(batch[:, -1].numpy(), fleet.values[chosen.numpy()])


def test_long_windows_take_the_memory_of_readings(fleet):
    length = 30
    windows = Windows.of(fleet.values, fleet.first_row, length)
    padding = (length - 1) * len(fleet.lives.unit)
    assert windows.rows.shape == (fleet.num_rows + padding, fleet.values.shape[1])
    assert windows.rows.numel() < fleet.values.size * length / 20
