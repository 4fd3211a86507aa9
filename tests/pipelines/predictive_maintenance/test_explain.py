"""Explanations: they add up, name the sensors that a failure drives, and are checked on windows near and far."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from pipelines.predictive_maintenance.explain import (
    agreement_with_truth,
    explain_test,
    rows_to_check,
    rows_to_show,
)
from pipelines.predictive_maintenance.explainer import normal_window
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.predictions import forecast_test
from pipelines.predictive_maintenance.windows import Windows
from shared.publishing.plain import plain


def held_out(small) -> Fleet:
    return small.fleet.of_units(small.division.test)


@pytest.fixture(scope="module")
def table(small) -> pl.DataFrame:
    return forecast_test(small.scorer, small.fleet.of_units(small.division.train), held_out(small))


@pytest.fixture(scope="module")
def seen(small):
    return small.scorer.seen(held_out(small))


@pytest.fixture(scope="module")
def windows(small, seen, table) -> torch.Tensor:
    rows = rows_to_check(small.scorer.explainer(), table, 30)
    return seen.inputs.windows.gather(torch.from_numpy(rows))


@pytest.fixture(scope="module")
def explained(small, table, generated):
    return explain_test(
        small.scorer.explainer(),
        held_out(small),
        small.scorer.preparation,
        table,
        small.config,
        generated.truth,
    )


def test_contributions_sum_to_the_distance_from_a_healthy_machine(small, windows):
    explainer = small.scorer.explainer()
    attribution = explainer.explain(windows)
    with torch.inference_mode():
        output, healthy = explainer.output(windows).numpy(), float(explainer.output(explainer.normal))
    moved = np.abs(output - healthy).mean()
    assert attribution.base_value == pytest.approx(healthy, abs=1e-4)
    np.testing.assert_allclose(attribution.values.sum(1), output - healthy, rtol=0, atol=0.03 * moved)


def test_both_inputs_of_a_sensor_are_one_contribution(small, windows):
    explainer = small.scorer.explainer()
    by_reading, by_sensor = explainer.by_reading(windows), explainer.explain(windows)
    assert by_sensor.names == small.scorer.preparation.scaling.names
    for at, name in enumerate(by_sensor.names):
        inputs = [place for place, source in enumerate(explainer.sources) if source == name]
        assert len(inputs) == (1 if name in small.schema.names_of("setting") else 2)
        summed = by_reading.values[:, :, inputs].sum((1, 2))
        np.testing.assert_allclose(by_sensor.values[:, at], summed, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fleet_name", ["small", "unfailed"])
def test_errors_of_the_sensors_sum_to_the_anomaly_score(fleet_name, request):
    scorer = request.getfixturevalue(fleet_name).scorer
    latest = scorer.latest(request.getfixturevalue(fleet_name).test_frame())
    errors = scorer.explainer().errors(latest.windows)
    assert (errors.values >= 0).all()
    np.testing.assert_allclose(errors.values.sum(1), latest.table["anomaly_score"], rtol=1e-4)
    assert errors.completeness_error < 1e-9


def test_without_failures_the_errors_are_the_explanation(unfailed):
    scorer = unfailed.scorer
    windows = scorer.latest(unfailed.test_frame()).windows
    explainer = scorer.explainer()
    np.testing.assert_array_equal(explainer.explain(windows).values, explainer.errors(windows).values)


def test_explanation_is_better_than_a_random_order_and_than_random_weights(explained):
    attribution = explained[0]["attribution"]
    assert attribution["faithful"], attribution["warning"]
    assert attribution["faithfulness"]["randomisation_spearman"] is not None


def test_strongest_sensor_is_one_that_the_failure_drives_in_nine_of_ten_windows(explained):
    truth = explained[0]["truth"]
    assert truth["windows"] >= 50
    assert truth["share"] >= 0.9


def test_strongest_error_is_of_a_sensor_that_the_failure_drives(small, seen, table, generated):
    explainer = replace(small.scorer.explainer(), network=None)
    found = agreement_with_truth(explainer, seen.inputs, table, generated.truth)
    assert found is not None
    assert found["share"] >= 0.8


def test_sudden_failures_are_no_clear_cases(small, seen, table, generated):
    sudden = generated.truth.with_columns(is_sudden=pl.lit(True))
    assert agreement_with_truth(small.scorer.explainer(), seen.inputs, table, sudden) is None


def test_windows_near_and_far_from_failure_are_checked(small, table):
    explainer = small.scorer.explainer()
    rows = rows_to_check(explainer, table, 30)
    near = table["forecast"].to_numpy()[rows] <= explainer.cap / 3
    assert len(np.unique(rows)) == 30
    assert near.sum() == 15


@pytest.mark.parametrize("num_rows", [1, 7, 29])
def test_fewer_windows_than_asked_for_are_all_checked(num_rows, small, table):
    rows = rows_to_check(small.scorer.explainer(), table[:num_rows], 30)
    np.testing.assert_array_equal(rows, np.arange(num_rows))


def test_machines_nearest_to_failure_are_shown_first(small, table):
    rows = rows_to_show(small.scorer.explainer(), table)
    shown, last = table[rows], table.filter("is_last").sort("forecast")
    assert shown["forecast"].to_list() == last["forecast"][:3].to_list()


def test_examples_add_up_over_sensors_and_time(explained, small):
    document, _ = explained
    assert len(document["examples"]) == 3
    for example in document["examples"]:
        contributions = np.array([channel["contribution"] for channel in example["channels"]])
        assert contributions.sum() == pytest.approx(example["output"] - example["base_value"], abs=2)
        np.testing.assert_allclose(np.array(example["over_time"]).sum(1), contributions, atol=1e-4)
        assert len(example["evidence"]) == small.config.features.window_length
        assert min(example["evidence"]) >= 0


def test_readings_of_an_example_are_in_the_units_of_the_table(explained, small):
    example = explained[0]["examples"][0]
    given = small.frame.filter(pl.col("unit_id") == example["unit_id"], pl.col("time") == example["time"])
    fresh = [channel for channel in example["channels"] if channel["steps_ago"] == 0]
    assert fresh
    for channel in fresh:
        assert channel["value"] == pytest.approx(given[channel["name"]][0], rel=1e-4)


def test_contributions_hold_each_channel_of_each_checked_window(explained, small):
    _, contributions = explained
    names = small.scorer.preparation.scaling.names
    assert contributions["channel"].to_list()[: len(names)] == list(names)
    assert contributions.height == small.config.explanation.num_checked * len(names)


def test_document_survives_json(explained):
    document = plain(explained[0])
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_explanation_is_the_same_again(explained, small, table, generated):
    again = explain_test(
        small.scorer.explainer(),
        held_out(small),
        small.scorer.preparation,
        table,
        small.config,
        generated.truth,
    )
    assert plain(again[0]) == plain(explained[0])


def test_normal_window_is_the_mean_of_the_chosen_ones():
    values = np.arange(10, dtype=np.float32)[:, None]
    windows = Windows.of(values, np.zeros(10, dtype=np.int64), 2)
    np.testing.assert_array_equal(normal_window(windows, np.array([3, 5]))[0, :, 0], [3.0, 4.0])
