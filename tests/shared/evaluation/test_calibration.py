import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from shared.errors import RequestError
from shared.evaluation.binary import log_loss
from shared.evaluation.calibration import (
    MIN_ISOTONIC_ROWS,
    IsotonicCalibration,
    NoCalibration,
    PlattScaling,
    TemperatureScaling,
    TooFewRows,
    calibration_from_json,
    logit,
    sigmoid,
)
from shared.evaluation.choose_calibration import choose_calibration


def validation(n=2000, seed=0, slope=1.0, intercept=0.0):
    """Return logits and labels whose true log-odds are slope * logit + intercept."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=n) * 2
    return logits, (generator.random(n) < sigmoid(slope * logits + intercept)).astype(int)


def test_temperature_recovers_overconfidence():
    assert TemperatureScaling.fit(*validation(20_000, slope=0.5)).temperature == pytest.approx(2, rel=0.05)


def test_platt_recovers_slope_and_base_rate():
    fitted = PlattScaling.fit(*validation(20_000, slope=0.5, intercept=-1))
    assert (fitted.slope, fitted.intercept) == pytest.approx((0.5, -1), abs=0.05)


def test_platt_is_at_the_optimum_whatever_the_unit_of_the_logits():
    logits, y = validation(500)
    base = PlattScaling.fit(logits, y)
    for scale, shift in ((1e-3, 0), (100, 0), (1, 50)):
        fitted = PlattScaling.fit(logits * scale + shift, y)
        np.testing.assert_allclose(
            fitted.probability(logits * scale + shift), base.probability(logits), atol=2e-5
        )


@pytest.mark.parametrize("method", [TemperatureScaling, PlattScaling])
@pytest.mark.parametrize(
    ("logits", "y"),
    [
        ([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1]),
        ([-2.0, -1.0, 1.0, 2.0], [1, 1, 0, 0]),
        ([0.3, 0.3, 0.3], [0, 1, 1]),
        ([0.0, 0.0], [0, 1]),
        ([1.0, 2.0], [1, 1]),
        ([5.0], [0]),
        ([-800.0, 800.0], [0, 1]),
    ],
)
def test_separable_reversed_constant_and_one_class_data_stay_finite_and_increasing(method, logits, y):
    fitted = method.fit(logits, y)
    probability = fitted.probability([-10.0, 0.0, 10.0])
    assert np.isfinite(probability).all()
    assert (np.diff(probability) >= 0).all()
    assert fitted.probability(logits).min() >= 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 3), st.floats(-2, 2))
def test_scaling_keeps_the_ranking_and_never_hurts_the_data_it_saw(seed, slope, intercept):
    logits, y = validation(200, seed, slope, intercept)
    raw = log_loss(y, NoCalibration().probability(logits))
    for method in (TemperatureScaling, PlattScaling):
        probability = method.fit(logits, y).probability(logits)
        np.testing.assert_array_equal(
            np.argsort(probability, kind="stable"), np.argsort(logits, kind="stable")
        )
        # Platt's smoothed targets cost a little likelihood on purpose.
        assert log_loss(y, probability) <= raw + 0.01


def test_isotonic_equals_the_reference_implementation():
    logits, y = validation(3000)
    logits = logits.round(2)
    reference = IsotonicRegression(out_of_bounds="clip").fit(logits, y)
    ours = IsotonicCalibration.fit(logits, y)
    grid = np.linspace(-9, 9, 500)
    np.testing.assert_allclose(
        ours.probability(grid), np.clip(reference.predict(grid), 1 / 3002, 1 - 1 / 3002), atol=1e-9
    )
    assert len(ours.knots) < 300


def test_isotonic_of_constant_logits_is_the_base_rate():
    y = np.arange(MIN_ISOTONIC_ROWS) % 4 == 0
    fitted = IsotonicCalibration.fit(np.zeros(MIN_ISOTONIC_ROWS), y)
    assert fitted.probability([-1.0, 0.0, 1.0]) == pytest.approx(0.25)


def test_isotonic_refuses_few_rows_as_a_wrong_request():
    with pytest.raises(TooFewRows, match="1000") as caught:
        IsotonicCalibration.fit(*validation(MIN_ISOTONIC_ROWS - 1))
    assert isinstance(caught.value, RequestError)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(TooFewRows):
        PlattScaling.fit([], [])


@pytest.mark.parametrize("method", [NoCalibration, TemperatureScaling, PlattScaling, IsotonicCalibration])
def test_json_round_trip_is_exact(method):
    logits, y = validation()
    fitted = method.fit(logits, y)
    again = calibration_from_json(json.loads(json.dumps(fitted.to_json(), allow_nan=False)))
    assert again == fitted
    np.testing.assert_array_equal(again.probability(logits), fitted.probability(logits))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"method": "os.system"},
        {"method": "temperature"},
        {"method": "temperature", "temperature": -1},
        {"method": "temperature", "temperature": None},
        {"method": "platt", "slope": float("nan"), "intercept": 0},
        {"method": "isotonic", "knots": [1, 0], "values": [0.1, 0.2]},
        {"method": "isotonic", "knots": [0, 1], "values": [0.2, 0.1]},
        {"method": "isotonic", "knots": [0, 1], "values": [0.2, 1.1]},
        {"method": "isotonic", "knots": [], "values": []},
        {"method": "isotonic", "knots": [0, 1], "values": [0.1]},
    ],
)
def test_damaged_json_is_refused(fields):
    with pytest.raises(ValueError, match="Expected"):
        calibration_from_json(fields)


def test_logit_inverts_sigmoid_and_survives_the_ends():
    logits = np.linspace(-30, 30, 101)
    np.testing.assert_allclose(logit(sigmoid(logits)), logits, rtol=1e-3)
    assert np.isfinite(logit([0.0, 1.0])).all()
    assert sigmoid(np.array([-1e6, 1e6])).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"), [(1.0, 0.0, "none"), (0.4, 0.0, "temperature"), (0.5, -1.5, "platt")]
)
def test_choice_takes_the_simplest_that_suffices(slope, intercept, expected):
    choice = choose_calibration(*validation(1200, 1, slope, intercept))
    assert choice.calibration.method == expected, choice.reason
    json.dumps(choice.to_json(), allow_nan=False)


def test_choice_takes_isotonic_when_nothing_simpler_fits():
    generator = np.random.default_rng(0)
    logits = generator.uniform(-4, 4, size=8000)
    y = generator.random(8000) < np.where(logits < -1, 0.05, np.where(logits < 2, 0.3, 0.9))
    assert choose_calibration(logits, y).calibration.method == "isotonic"


def test_choice_never_tries_isotonic_on_few_rows():
    assert set(choose_calibration(*validation(1200)).log_loss) == {"none", "temperature", "platt"}


def test_choice_is_deterministic_and_independent_of_one_class_or_few_groups():
    logits, y = validation(400)
    assert choose_calibration(logits, y) == choose_calibration(logits, y)
    assert choose_calibration(logits, np.zeros(400)).calibration.method == "none"
    assert choose_calibration([], []).calibration.method == "none"
    few_groups = choose_calibration(logits * 5, y, groups=np.arange(400) % 3)
    assert "groups" in few_groups.reason
    grouped = choose_calibration(logits * 5, y, groups=np.arange(400) // 2)
    assert grouped.calibration.method == "temperature"
