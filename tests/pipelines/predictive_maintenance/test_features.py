"""What networks see: scaled within regimes by the training units alone, and 0 where nothing is known."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipelines.predictive_maintenance.features import Preparation
from pipelines.predictive_maintenance.scaling import Scaling
from shared.errors import RequestError


@pytest.fixture(scope="module")
def train(fleet):
    return fleet.of_units(np.arange(40))


@pytest.fixture(scope="module")
def preparation(train) -> Preparation:
    return Preparation.fit(train, 0)


def test_the_regimes_of_the_generator_are_found_and_the_sensor_that_stands_still_is_dropped(
    preparation, generated
):
    assert preparation.regimes.num_regimes == 3
    assert preparation.scaling.dropped == (generated.schema.channels[-1].name,)
    assert preparation.step == 1.0
    assert len(list(preparation.notes())) == 2


def test_scaled_training_values_have_mean_0_and_spread_1_in_every_regime(preparation, train):
    prepared = preparation.apply(train)
    for regime in range(3):
        rows = prepared.regime == regime
        np.testing.assert_allclose(prepared.values[rows].mean(axis=0), 0.0, atol=0.06)
        np.testing.assert_allclose(prepared.values[rows].std(axis=0), 1.0, atol=0.06)


def test_what_other_units_show_changes_nothing_that_is_fitted(fleet, train, preparation):
    others = fleet.of_units(np.arange(40, 60))
    others.values[:] = 1e6
    again = Preparation.fit(fleet.of_units(np.arange(40)), 0)
    assert again.to_json() == preparation.to_json()


def test_a_unit_is_prepared_alike_alone_and_among_others(fleet, preparation):
    together, alone = preparation.apply(fleet), preparation.apply(fleet.of_units(np.array([7])))
    rows = together.fleet.rows_of(np.array([7]))
    np.testing.assert_array_equal(together.values[rows], alone.values)
    np.testing.assert_array_equal(together.regime[rows], alone.regime)


def test_a_later_reading_changes_no_earlier_value(fleet, preparation):
    whole = fleet.of_units(np.array([3]))
    shorter = fleet.of_units(np.array([3]))
    shorter.values[-1] = 0.0
    np.testing.assert_array_equal(
        preparation.apply(whole).values[:-1], preparation.apply(shorter).values[:-1]
    )


def test_a_value_lost_in_one_regime_is_carried_as_a_deviation_not_as_a_level(make_fleet):
    """The sensor is at 0 or at 1000 by its regime; what is carried from one into the other must stay near 0."""
    rng = np.random.default_rng(0)
    loads = rng.integers(0, 2, 2000).astype(float)
    values = (loads * 1000 + rng.normal(0, 1, 2000)).tolist()
    values[1000] = None
    fleet = make_fleet([range(1000), range(1000)], sensor=values, load=loads)
    prepared = Preparation.fit(fleet, 0).apply(fleet)
    assert prepared.names == ("s",)
    assert np.abs(prepared.values).max() < 5
    assert prepared.values[1000] == 0.0


def test_a_row_of_unknown_regime_says_nothing(make_fleet):
    loads = [float(row % 2) for row in range(400)]
    values = [row % 2 * 1000 + row % 5 for row in range(400)]
    whole = make_fleet([range(200), range(200)], sensor=values, load=loads)
    preparation = Preparation.fit(whole, 0)
    loads[7] = loads[12] = None
    lost = preparation.apply(make_fleet([range(200), range(200)], sensor=values, load=loads))
    np.testing.assert_array_equal(lost.values[[7, 12]], lost.values[[6, 11]])
    np.testing.assert_array_equal(lost.values[[8, 13]], preparation.apply(whole).values[[8, 13]])


def test_units_run_as_no_training_unit_was_are_flagged(fleet, preparation):
    strange = fleet.of_units(np.array([50]))
    strange.values[-3:, strange.columns_of("setting")] = 500.0
    assert preparation.apply(strange).is_unseen[-3:].all()
    assert not preparation.apply(strange).is_unseen[:-3].any()


def test_a_fleet_whose_sensors_never_change_is_refused(make_fleet):
    with pytest.raises(RequestError, match="Expected a sensor that changes"):
        Preparation.fit(make_fleet([range(5), range(5)], sensor=[3.0] * 10), 0)


def test_json_gives_the_same_preparation_back(fleet, preparation):
    again = Preparation.from_json(json.loads(json.dumps(preparation.to_json())))
    np.testing.assert_array_equal(again.apply(fleet).values, preparation.apply(fleet).values)


def test_a_sparse_regime_is_scaled_by_all_rows_and_a_still_one_by_the_usual_spread():
    rng = np.random.default_rng(0)
    regime = np.repeat([0, 1, 2], [500, 500, 5])
    values = rng.normal(0, 2, (1005, 1))
    values[regime == 1] = 7.0
    scaling = Scaling.fit(values, regime, 3, ["s"], min_values=100)
    assert scaling.borrowed[:, 0].tolist() == [False, False, True]
    assert scaling.mean[:, 0] == pytest.approx([0, 7, values.mean()], abs=0.3)
    assert scaling.scale[2, 0] == pytest.approx(values.std())
    assert scaling.scale[1, 0] == pytest.approx(np.sqrt(2.0**2 / 2), rel=0.1)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 30), st.integers(1, 3)),
        elements=st.one_of(st.just(np.float32("nan")), st.floats(-1e6, 1e6, width=32)),
    ),
    st.integers(1, 3),
    st.integers(1, 20),
)
def test_scaling_is_finite_and_can_be_undone_whatever_is_missing(values, num_regimes, min_values):
    regime = np.arange(len(values)) % num_regimes
    names = [f"s{column}" for column in range(values.shape[1])]
    scaling = Scaling.fit(values, regime, num_regimes, names, min_values)
    assert sorted((*scaling.names, *scaling.dropped)) == names
    kept = values[:, [names.index(name) for name in scaling.names]]
    scaled = scaling.transform(kept, regime, limit=1e9)
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(kept))
    assert np.isfinite(scaled[~np.isnan(kept)]).all()
    there = ~np.isnan(kept)
    np.testing.assert_allclose(scaling.unscaled(scaled, regime)[there], kept[there], rtol=1e-4, atol=2.0)
