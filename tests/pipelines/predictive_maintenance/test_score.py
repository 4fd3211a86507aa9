"""The scorer: what was saved, what is forecast from the last reading alone, and what is said about it."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.forecasts import FORECAST
from pipelines.predictive_maintenance.latest import Latest
from pipelines.predictive_maintenance.score import OUTPUT_CONTRACT, Scorer
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.interpretability.attribution import Attribution


@pytest.fixture(scope="module", params=["small", "unfailed"])
def either(request):
    """With and without failures to learn from."""
    return request.getfixturevalue(request.param)


def test_a_saved_scorer_says_the_same(either, tmp_path):
    either.scorer.save(tmp_path)
    again = Scorer.load(tmp_path)
    frame = either.test_frame()
    mine, theirs = either.scorer.score(frame), again.score(frame)
    assert mine.drop("scored_at").equals(theirs.drop("scored_at"))
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {
        "config.json", "model.safetensors", "scorer.json",
    }  # fmt: skip


def test_scores_keep_the_output_contract_and_name_each_machine_once(either):
    frame = either.test_frame()
    scored = either.scorer.score(frame)
    checked = check_table(scored, load(OUTPUT_CONTRACT)).require()
    assert checked.select(scored.columns).equals(scored)
    assert set(scored["unit_id"]) == set(frame["unit_id"])
    last = frame.group_by("unit_id").agg(pl.col("time").max().alias("latest"))
    assert scored.join(last, on="unit_id").select((pl.col("time") == pl.col("latest")).all()).item()


def test_a_forecast_does_not_depend_on_the_machines_beside_it_nor_on_the_order_of_rows(either):
    frame = either.test_frame()
    together = either.scorer.score(frame.sample(fraction=1.0, shuffle=True, seed=0))
    for unit in together["unit_id"][:3]:
        alone = either.scorer.score(frame.filter(unit_id=unit))
        beside = together.filter(unit_id=unit)
        for name in ("rul", "rul_low", "rul_high", "failure_probability", "anomaly_score"):
            assert alone[name].to_list() == pytest.approx(beside[name].to_list(), abs=1e-6), name


def test_the_last_reading_is_forecast_as_in_the_evaluation_of_all_readings(small):
    fleet = small.fleet.of_units(small.division.test)
    seen = small.scorer.seen(fleet)
    everything = small.scorer.forecasts(seen, np.arange(seen.prepared.fleet.num_rows))
    latest = small.scorer.latest(small.test_frame()).table
    both = everything.join(latest, on=("unit_id", "time"), suffix="_again")
    assert both.height == latest.height
    for name in (FORECAST, "low", "failure_probability", "anomaly_score"):
        np.testing.assert_allclose(both[name], both[f"{name}_again"], rtol=0, atol=1e-6)


def test_only_the_last_windows_pass_the_networks(small, monkeypatch):
    passed = []
    network = small.scorer.forecaster.network
    monkeypatch.setattr(
        network, "forward", lambda windows: passed.append(len(windows)) or torch.zeros(len(windows), 4)
    )
    small.scorer.score(small.test_frame())
    assert sum(passed) == len(small.division.test)


def test_later_readings_do_not_change_what_was_forecast_before(small):
    frame = small.test_frame()
    unit = frame["unit_id"][0]
    own = frame.filter(unit_id=unit, failed=0).sort("time")
    cut = own[:40]
    changed = pl.concat([cut, own[40:].with_columns(pl.col("flow_1") * 2)])
    seen = small.scorer.seen(Fleet.of(changed, small.schema))
    at = int(np.searchsorted(seen.prepared.fleet.time, cut["time"][-1]))
    there = small.scorer.forecasts(seen, np.array([at]))
    assert there[FORECAST].item() == pytest.approx(small.scorer.latest(cut).table[FORECAST].item(), abs=1e-6)


def test_with_failures_ends_are_in_order_and_an_open_end_is_null_and_said(small):
    scored = small.scorer.score(small.test_frame())
    assert (scored["rul_low"] <= scored["rul_high"].fill_null(np.inf)).all()
    is_open = scored["rul_high"].is_null()
    assert (scored["rul_text"].str.starts_with(">= ") == is_open).all()
    assert scored["rul"].is_between(0, small.trainer.scale.cap).all()


def test_without_failures_there_is_no_remaining_life_but_an_alarm(unfailed):
    scored = unfailed.scorer.score(unfailed.test_frame())
    for name in ("rul", "rul_low", "rul_high", "rul_text", "failure_probability"):
        assert scored[name].null_count() == scored.height
    alarm = unfailed.scorer.alarm
    loud = scored["anomaly_score"] > alarm.threshold
    assert (scored["action"] == "plan_service").equals(loud)
    strange = unfailed.test_frame().with_columns(pl.col("flow_1", "pressure_1") * 1.2)
    assert (unfailed.scorer.score(strange)["action"] == "plan_service").all()


def test_driving_sensors_are_named_strongest_first_with_their_direction(either):
    latest = either.scorer.latest(either.test_frame())
    scored, contributions = either.scorer.explained(latest, either.scorer.worded(latest))
    assert contributions["unit_id"].equals(scored["unit_id"])
    sums = contributions.drop("unit_id").sum_horizontal().to_numpy()
    words = {"shortens", "prolongs"} if either.scorer.forecaster else {"raises"}
    for text in scored["driving_sensors"]:
        sensors = json.loads(text)
        assert 0 < len(sensors) <= either.config.explanation.num_sensors
        sizes = [abs(one["contribution"]) for one in sensors]
        assert sizes == sorted(sizes, reverse=True)
        assert {one["direction"] for one in sensors} <= words
    if either.scorer.forecaster is None:
        np.testing.assert_allclose(sums, scored["anomaly_score"], rtol=1e-4)


def remarks_of(small, frame: pl.DataFrame) -> str:
    [reason] = small.scorer.score(frame)["action_reason"]
    return str(reason)


@pytest.fixture(scope="module")
def running(small) -> pl.DataFrame:
    """One machine in mid-life, longer than a window."""
    unit = small.test_frame()["unit_id"][0]
    return small.test_frame().filter(unit_id=unit, failed=0).sort("time")[:60]


def test_nothing_is_remarked_about_a_machine_like_those_of_the_training(small, running):
    assert remarks_of(small, running).count(".") == 1


def test_a_short_history_is_said(small, running):
    length = small.config.features.window_length
    assert f"Short history: 5 of {length} readings." in remarks_of(small, running[:5])


def test_an_operating_regime_that_training_did_not_have_is_said(small, running):
    assert "a way that training did not have" in remarks_of(small, running.with_columns(load=pl.lit(400.0)))


def test_sensors_without_a_recent_value_are_named_and_many_are_counted(small, running):
    late = pl.int_range(pl.len()) >= 52
    one = running.with_columns(flow_1=pl.when(late).then(None).otherwise("flow_1"))
    assert "No recent value of flow_1." in remarks_of(small, one)
    names = small.scorer.preparation.scaling.names[2:8]
    many = running.with_columns(
        pl.when(late).then(None).otherwise(pl.col(name)).alias(name) for name in names
    )
    assert "and 3 more." in remarks_of(small, many)


def test_a_machine_that_failed_at_its_last_reading_is_to_be_serviced(small):
    failed = small.test_frame().filter((pl.col("failed") == 1).any().over("unit_id"))
    unit = failed["unit_id"][0]
    last = failed.filter(unit_id=unit).sort("time")
    last = last[: int(last["failed"].arg_max()) + 1]
    assert small.scorer.score(last)["action"].to_list() == ["service_now"]
    assert remarks_of(small, last).startswith("It failed at this reading")


def test_reasons_never_outgrow_the_contract(small, running):
    names = {name: f"{name} {'x' * 150}" for name in small.scorer.preparation.scaling.names}
    fleet = small.scorer.seen(Fleet.of(running.head(3), small.schema))
    channels = tuple(
        channel.model_copy(update={"name": names[channel.name]}) for channel in fleet.prepared.fleet.channels
    )
    stale = np.full_like(fleet.prepared.fleet.values, 99.0)
    gridded = replace(fleet.prepared.fleet, channels=channels, steps_ago=stale)
    prepared = replace(fleet.prepared, fleet=gridded, is_unseen=np.ones(gridded.num_rows, dtype=bool))
    latest = Latest(replace(fleet, prepared=prepared), gridded.last_rows, pl.DataFrame())
    [found] = latest.remarks(10.0)
    assert len(" ".join(found)) < 350


def test_the_moment_of_the_last_reading_is_given_where_the_table_has_moments(small, running):
    assert small.scorer.score(running)["taken_at"].null_count() == 1
    moments = pl.datetime(2024, 1, 1, time_zone="UTC") + pl.duration(hours=pl.col("time"))
    dated = running.with_columns(taken_at=moments)
    assert small.scorer.score(dated)["taken_at"].item() == dated["taken_at"].max()


def test_explanations_are_those_of_the_scored_windows(small, running):
    latest = small.scorer.latest(running)
    attribution = small.scorer.explainer().explain(latest.windows)
    assert isinstance(attribution, Attribution)
    total = attribution.values.sum() + np.ravel(attribution.base_value)[0]
    assert total == pytest.approx(float(attribution.output[0]), abs=0.05 * small.trainer.scale.cap)
