import numpy as np
import pytest

from shared.evaluation.binary import ece
from shared.evaluation.reliability import (
    calibration_table,
    wilson_interval,
)


def calibrated(n, seed=0):
    generator = np.random.default_rng(seed)
    probability = generator.beta(2, 5, size=n)
    return (generator.random(n) < probability).astype(int), probability


def test_table_accounts_for_every_row_and_gives_the_ece():
    y, probability = calibrated(1003)
    table = calibration_table(y, probability)
    assert sum(row.n for row in table) == 1003
    gaps = sum(row.n * abs(row.observed_rate - row.mean_predicted) for row in table) / 1003
    assert gaps == pytest.approx(ece(y, probability))
    assert all(row.low <= row.observed_rate <= row.high for row in table)


def test_equal_width_bins_leave_out_empty_ones():
    table = calibration_table([0, 1, 1], [0.05, 0.95, 1.0], equal_mass=False)
    assert [row.bin for row in table] == [0, 9]


def test_table_with_equal_weights_equals_the_one_without():
    y, probability = calibrated(200)
    plain, weighted = (calibration_table(y, probability, weight=w) for w in (None, np.full(200, 3.0)))
    for a, b in zip(plain, weighted, strict=True):
        assert (b.n, b.low, b.high) == pytest.approx((3 * a.n, a.low, a.high))


def test_table_of_nothing_is_empty():
    assert calibration_table([], []) == []
    assert calibration_table([0, 1], [0.1, 0.2], weight=[0, 0]) == []


def test_wilson_interval_matches_published_values():
    # Newcombe, Statistics in Medicine 1998, table I: 81/263 and 0/20.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(20, 20)[1] == 1.0
