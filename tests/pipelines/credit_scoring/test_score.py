"""One scorer: the same numbers alone or in a crowd, before and after the disk, in points or in reasons."""

import dataclasses
import json

import numpy as np
import polars as pl
import pytest

from pipelines.credit_scoring.decide import APPROVE
from pipelines.credit_scoring.generator import SCHEMA, generate
from pipelines.credit_scoring.score import Scorer
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.evaluation.calibration import NoCalibration, PlattScaling, TemperatureScaling, logit

CALIBRATIONS = [NoCalibration(), TemperatureScaling(0.02), TemperatureScaling(3.0), PlattScaling(60.0, -1.3)]


def test_a_saved_scorer_scores_identically(small, tmp_path):
    small.scorer.save(tmp_path)
    again = Scorer.load(tmp_path)
    assert np.array_equal(again.probability(small.test), small.scorer.probability(small.test))
    rows = small.test[:40]
    assert again.reasons(rows, again.explain(rows)) == small.scorer.reasons(rows, small.scorer.explain(rows))
    assert again.schema == small.scorer.schema
    assert again.config == small.scorer.config


def test_nothing_in_a_saved_scorer_could_execute(small, tmp_path):
    small.scorer.save(tmp_path)
    kinds = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors", ".parquet"}


def test_one_row_alone_scores_as_in_the_batch_whatever_the_order(small):
    batch = small.scorer.probability(small.test)
    alone = np.concatenate([small.scorer.probability(small.test[row : row + 1]) for row in range(60)])
    assert alone == pytest.approx(batch[:60], abs=1e-6)
    order = np.random.default_rng(0).permutation(len(small.test))
    assert small.scorer.probability(small.test[order.tolist()]) == pytest.approx(batch[order], abs=1e-6)


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=repr)
def test_base_and_contributions_in_points_are_the_points_of_the_probability(small, calibration):
    """The golden test: what is explained is what is decided, to a ten-thousandth of a point."""
    scorer = dataclasses.replace(small.scorer, calibration=calibration)
    explained, rule = scorer.explain(small.test), scorer.rule
    log_odds = explained.base_value + explained.values.sum(axis=1)
    certain = np.abs(log_odds) > 20  # beyond, a double no longer holds the probability well enough
    points = rule.base_points - rule.points_per_log_odds * (log_odds + np.log(rule.base_odds))
    tolerance = 1e-4 * max(1.0, scorer.calibration_slope)
    assert points[~certain] == pytest.approx(
        rule.points(scorer.probability(small.test))[~certain], abs=tolerance
    )
    assert (~certain).sum() > 40


def test_contributions_in_points_add_up_for_the_fitted_calibration(small):
    explained, rule = small.scorer.explain(small.test), small.scorer.rule
    per_column = -rule.points_per_log_odds * explained.values
    base = rule.points(1 / (1 + np.exp(-np.array([explained.base_value]))))
    assert base + per_column.sum(axis=1) == pytest.approx(
        rule.points(small.scorer.probability(small.test)), abs=1e-4
    )
    assert explained.completeness_error < 1e-3
    assert np.allclose(small.scorer.log_odds(small.test), logit(small.scorer.probability(small.test)))


def test_decisions_keep_their_contract_and_their_order_in_slices_of_any_size(small, monkeypatch):
    whole = small.scorer.score(small.test)
    monkeypatch.setattr("pipelines.credit_scoring.score._ROWS_AT_ONCE", 123)
    decisions = small.scorer.score(small.test)
    checked = check_table(decisions, load("credit_decisions"))
    assert checked.valid.height == len(small.test)
    assert not checked.violations
    assert decisions["application_id"].to_list() == small.test["application_id"].to_list()
    assert decisions.drop("scored_at", "probability_of_default").equals(
        whole.drop("scored_at", "probability_of_default")
    )


def test_reasons_go_to_everyone_who_is_not_approved_and_to_nobody_else(small):
    decisions = small.scorer.score(small.test)
    approved = decisions.filter(pl.col("decision") == APPROVE)
    others = decisions.filter(pl.col("decision") != APPROVE)
    assert 0 < len(approved) < len(decisions)
    assert approved.select(pl.col("^reason_.*$").is_null().all()).row(0) == (True,) * 8
    assert others["reason_1_code"].is_not_null().mean() > 0.95


def test_unknown_levels_missing_values_and_extremes_score(small):
    frame = generate(8, seed=1)
    names = SCHEMA.feature_names
    empty = frame.with_columns(pl.lit(None).cast(frame.schema[name]).alias(name) for name in names)
    unseen = frame.with_columns(pl.lit("never seen").alias(column.name) for column in SCHEMA.categorical)
    extreme = frame.with_columns(pl.lit(1e15).alias(column.name) for column in SCHEMA.numeric)
    for odd in (empty, unseen, extreme):
        decisions = check_table(small.scorer.score(odd), load("credit_decisions")).require()
        assert decisions["probability_of_default"].is_between(0, 1, closed="none").all()
    assert "not stated" in " ".join(small.scorer.score(empty)["reason_1_text"].drop_nulls())


def test_no_rows_give_no_decisions_in_the_same_columns(small):
    none = small.scorer.score(small.test[:0])
    assert none.height == 0
    assert none.schema == small.scorer.score(small.test[:5]).schema


def test_a_free_text_category_does_not_break_the_output_contract(small):
    frame = small.test[:50].with_columns(purpose=pl.lit("a long story " * 500))
    assert check_table(small.scorer.score(frame), load("credit_decisions")).require().height == 50


def test_the_schema_that_travels_is_plain_json(small, tmp_path):
    small.scorer.save(tmp_path)
    document = json.loads((tmp_path / "features/schema.json").read_text())
    assert document["numeric"][6]["special_codes"] == {"-9.0": "never delinquent"}
    assert type(small.scorer.schema).model_validate(document) == small.scorer.schema
