import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.evaluation.binary import brier, ece
from shared.evaluation.reliability import (
    brier_decomposition,
    calibration_table,
    hosmer_lemeshow,
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


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10), st.integers(1, 3)), min_size=1, max_size=30))
def test_brier_decomposition_adds_up_exactly(rows):
    y, tenths, weight = (np.array(column) for column in zip(*rows, strict=True))
    parts = brier_decomposition(y, tenths / 10, weight)
    assert parts.brier == pytest.approx(brier(y, tenths / 10, weight))
    total = parts.miscalibration - parts.discrimination + parts.uncertainty
    assert total == pytest.approx(parts.brier, abs=1e-12)
    assert parts.miscalibration >= -1e-12
    assert parts.discrimination >= -1e-12


def test_decomposition_tells_miscalibration_from_lack_of_ranking():
    y, probability = calibrated(5000)
    good, squeezed = brier_decomposition(y, probability), brier_decomposition(y, 0.5 + 0.1 * probability)
    assert squeezed.miscalibration > good.miscalibration + 0.05
    assert squeezed.discrimination == pytest.approx(good.discrimination)
    constant = brier_decomposition(y, np.full(5000, 0.5))
    assert constant.discrimination == 0
    assert np.isnan(brier_decomposition([], []).brier)


def test_hosmer_lemeshow_keeps_its_level_and_finds_miscalibration():
    rejected = [hosmer_lemeshow(*calibrated(500, seed)).p_value < 0.05 for seed in range(200)]
    assert 0.02 <= np.mean(rejected) <= 0.09
    y, probability = calibrated(2000)
    assert hosmer_lemeshow(y, probability**2).p_value < 1e-6


def test_hosmer_lemeshow_at_the_edges():
    assert hosmer_lemeshow([1, 1], [0.0, 0.0]).p_value == 0
    assert hosmer_lemeshow([1, 1], [1.0, 1.0]).p_value == 1
    assert np.isnan(hosmer_lemeshow([], []).p_value)
