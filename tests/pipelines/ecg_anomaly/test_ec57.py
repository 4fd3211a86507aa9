"""Beat-by-beat results against examples that were computed by hand."""

import numpy as np
import polars as pl
import pytest

from pipelines.ecg_anomaly.ec57 import accuracy, confusion, ec57_card, jk_index, predictivity, sensitivity

# Rows: marked N, S, V, F; columns: called so.
COUNTS = np.array([[80, 10, 5, 5], [4, 16, 0, 0], [2, 0, 18, 0], [1, 0, 1, 8]])


def test_counts_are_of_marked_rows_and_called_columns():
    marked, found = np.array(["N", "N", "S", "V", "F", "Q"]), np.array(["N", "S", "S", "N", "V", "N"])
    expected = np.zeros((4, 4), dtype=int)
    for row, column in ((0, 0), (0, 1), (1, 1), (2, 0), (3, 2)):
        expected[row, column] = 1
    assert np.array_equal(confusion(marked, found), expected)


def test_sensitivity_and_predictivity_are_shares_of_rows_and_columns():
    np.testing.assert_allclose(sensitivity(COUNTS), [0.8, 0.8, 0.9, 0.8])
    np.testing.assert_allclose(predictivity(COUNTS), [80 / 87, 16 / 26, 18 / 24, 8 / 13])


def test_jk_index_is_that_of_the_hand_computed_example():
    by_chance = (100 * 87 + 20 * 26 + 20 * 24 + 10 * 13) / 150**2
    kappa = (122 / 150 - by_chance) / (1 - by_chance)
    j = 0.8 + 0.9 + 16 / 26 + 18 / 24
    assert accuracy(COUNTS) == pytest.approx(122 / 150)
    assert jk_index(COUNTS) == pytest.approx(kappa / 2 + j / 8)


def test_a_perfect_classifier_has_a_jk_index_of_one():
    assert jk_index(np.diag([50, 5, 7, 2])) == pytest.approx(1)


def test_a_class_that_is_never_called_costs_its_predictivity_and_one_without_beats_leaves_nothing_to_say():
    never = np.array([[90, 0, 0, 0], [10, 0, 0, 0], [0, 0, 10, 0], [0, 0, 0, 0]])
    assert 0 < jk_index(never) < 1
    assert np.isnan(predictivity(never)[1])
    absent = np.array([[90, 0, 0, 0], [0, 0, 0, 0], [0, 0, 10, 0], [0, 0, 0, 0]])
    assert np.isnan(jk_index(absent))


def test_gross_results_count_beats_and_average_ones_recordings():
    table = pl.DataFrame(
        {
            "record": ["a"] * 4 + ["b"],
            "beat_class": ["V", "V", "V", "V", "V"],
            "predicted_class": ["V", "V", "V", "V", "N"],
        }
    )
    card = ec57_card(table)
    assert card["classes"]["V"]["sensitivity"] == pytest.approx(0.8)
    assert card["classes"]["V"]["average_sensitivity"] == pytest.approx(0.5)
    assert card["records"] == 2


def test_beats_that_nobody_could_tell_do_not_count_and_without_any_other_there_is_no_card():
    table = pl.DataFrame({"record": ["a"], "beat_class": ["Q"], "predicted_class": ["N"]})
    assert ec57_card(table) == {}
