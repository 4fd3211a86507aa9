"""The simulated fleet: as its description says, and with a truth that the readings show."""

import numpy as np
import polars as pl
import pytest

from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.generator import MODES, Generated, generate
from shared.contracts.table import check_table


@pytest.fixture(scope="module")
def large() -> Generated:
    return generate(400, 12, 1, 350, seed=2)


def test_the_table_keeps_the_contract(generated):
    checked = check_table(generated.frame, generated.schema.contract())
    assert checked.require().height == generated.frame.height


def test_the_same_arguments_give_the_same_table_and_another_seed_another(generated):
    assert generate(60, 12, 3, 200, seed=0).frame.equals(generated.frame)
    assert not generate(60, 12, 3, 200, seed=1).frame.head(100).equals(generated.frame.head(100))


@pytest.mark.parametrize("sizes", [(10, 5, 1, 60), (12, 200, 8, 60)], ids=str)
def test_the_smallest_and_widest_tables_can_be_made(sizes):
    made = generate(*sizes, seed=0)
    assert made.frame["unit_id"].n_unique() == sizes[0]
    assert len(made.schema.names_of("sensor")) == sizes[1]


def test_lives_last_from_28_to_100_percent_of_the_longest(large):
    gradual = large.truth.filter(life=1, is_sudden=False)["failure_time"]
    assert gradual.min() >= 0.28 * 350 - 2
    assert gradual.max() <= 350
    assert gradual.median() == pytest.approx(0.64 * 350, rel=0.05)


def test_shares_of_sudden_censored_repaired_and_missing_are_those_described(large):
    truth = large.truth
    assert truth["is_sudden"].mean() == pytest.approx(0.08, abs=0.04)
    assert truth["is_censored"].sum() / 400 == pytest.approx(0.15, abs=0.05)
    assert (truth["life"] == 2).sum() == 40
    sensors = large.frame.select(large.schema.names_of("sensor"))
    assert sensors.null_count().sum_horizontal()[0] / sensors.height / sensors.width == pytest.approx(
        0.01, rel=0.2
    )


def test_the_truth_agrees_with_the_labels(large):
    fleet = Fleet.of(large.frame, large.schema)
    truth = large.truth
    assert len(fleet.lives.unit) == truth.height
    np.testing.assert_array_equal(fleet.lives.failed, ~truth["is_censored"].to_numpy())
    ends = fleet.time[fleet.offsets[1:] - 1]
    failures = truth["failure_time"].to_numpy()
    np.testing.assert_array_equal(ends[fleet.lives.failed], failures[fleet.lives.failed])
    assert (ends[~fleet.lives.failed] < failures[~fleet.lives.failed]).all()
    before = truth["onset"] < truth["failure_time"]
    assert before.all()


def test_only_the_faulty_sensors_move_and_only_after_the_onset(large):
    """Shift of the last 5 readings before a failure against those before the onset, in spreads of the noise."""
    sensors = list(large.schema.names_of("sensor"))
    truth = large.truth.filter(is_censored=False, is_sudden=False, life=1)
    joined = large.frame.join(truth, on="unit_id")
    healthy = joined.filter(pl.col("time") < pl.col("onset")).group_by("unit_id").agg(pl.col(sensors).mean())
    noise = joined.filter(pl.col("time") < pl.col("onset")).group_by("unit_id").agg(pl.col(sensors).std())
    late = pl.col("time").is_between(pl.col("failure_time") - 4, pl.col("failure_time"))
    worn = joined.filter(late).group_by("unit_id").agg(pl.col(sensors).mean())
    order = truth.select("unit_id", "faulty_sensors")
    shift = {}
    for name in sensors[:-1]:
        columns = [
            table.rename({name: "value"}).select("unit_id", "value") for table in (healthy, noise, worn)
        ]
        one = order.join(columns[0], on="unit_id").join(columns[1], on="unit_id", suffix="_noise")
        one = one.join(columns[2], on="unit_id", suffix="_worn")
        size = ((pl.col("value_worn") - pl.col("value")) / pl.col("value_noise")).abs()
        faulty = pl.col("faulty_sensors").list.contains(name)
        shift[name] = (
            one.group_by(faulty=faulty).agg(size.median().alias("size")).sort("faulty")["size"].to_list()
        )
    driven = [sizes for sizes in shift.values() if len(sizes) == 2]
    assert len(driven) == 9
    assert all(still < 1.0 < 3.0 < moved for still, moved in driven)
    assert set(large.truth["mode"]) == set(MODES)


def test_regimes_are_far_apart_compared_with_what_wear_does(generated):
    temperature = generated.frame["temperature_1"].drop_nulls()
    single = generate(60, 12, 1, 200, seed=0).frame["temperature_1"].drop_nulls()
    assert temperature.std() > 3 * single.std()
