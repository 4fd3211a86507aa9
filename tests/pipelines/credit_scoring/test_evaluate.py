"""The numbers are about the same rows for every model, with intervals that hold them and groups that are there."""

import json

import numpy as np
import polars as pl
import pytest

from pipelines.credit_scoring import baselines
from pipelines.credit_scoring.config import ModelConfig
from pipelines.credit_scoring.evaluate import (
    NETWORK,
    STATISTICS,
    audit_fairness,
    compare_on_test,
    evaluation_document,
    predict_test,
    repeat_splits,
)
from pipelines.credit_scoring.evaluate import test_metrics as metrics_on_test
from pipelines.credit_scoring.generator import SCHEMA, generate, true_log_odds
from pipelines.credit_scoring.schema import CategoricalColumn, LenderSchema, NumericColumn
from shared.evaluation.binary import ece, ece_noise_floor, roc_auc
from shared.publishing.plain import plain


@pytest.fixture(scope="module")
def predictions(small):
    return predict_test(small.scorer, pl.concat([small.training, small.validation]), small.test, small.config)


def test_network_and_baselines_are_judged_on_the_same_rows(small, predictions):
    assert predictions["application_id"].to_list() == small.test["application_id"].to_list()
    assert predictions["defaulted"].to_list() == small.test["defaulted"].to_list()
    assert predictions.columns[2:] == [NETWORK, *baselines.NAMES]
    for model in predictions.columns[2:]:
        assert predictions[model].is_between(0, 1).all()
        assert roc_auc(predictions["defaulted"].to_numpy(), predictions[model].to_numpy()) > 0.6, model


def test_the_evaluation_reads_the_scores_that_the_scorer_gives(small, predictions):
    decisions = small.scorer.score(small.test)
    assert predictions[NETWORK].to_numpy() == pytest.approx(
        decisions["probability_of_default"].to_numpy(), abs=1e-6
    )


def test_baselines_do_not_know_the_test_outcomes(small, predictions):
    turned = small.test.with_columns(defaulted=1 - pl.col("defaulted"))
    again = predict_test(small.scorer, pl.concat([small.training, small.validation]), turned, small.config)
    assert again.drop("defaulted").equals(predictions.drop("defaulted"))


def test_every_interval_holds_its_value(small, predictions):
    found = metrics_on_test(predictions, small.config)
    assert set(found) == {NETWORK, *baselines.NAMES}
    for by_name in found.values():
        assert set(by_name) == {f"test/{name}" for name in STATISTICS}
        for metric in by_name.values():
            assert metric.low <= metric.value <= metric.high, metric
            assert metric.n == len(small.test)


def test_a_comparison_is_the_difference_of_the_two_models(small, predictions):
    y = predictions["defaulted"].to_numpy()
    for name, by_statistic in compare_on_test(predictions, small.config).items():
        for statistic, compared in by_statistic.items():
            expected = STATISTICS[statistic](y, predictions[NETWORK].to_numpy()) - STATISTICS[statistic](
                y, predictions[name].to_numpy()
            )
            assert compared.difference == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("states", [{}, {-9: "none"}])
def test_the_scorecard_tells_states_from_the_one_amount_of_a_constant_column(states):
    """The baseline must not be weakened: where an amount is constant, its absence is all that the column says."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 600)
    stated = np.where(target == 1, rng.random(600) < 0.1, rng.random(600) < 0.9)
    absent = -9.0 if states else None
    x = pl.Series([7.0 if known else absent for known in stated], dtype=pl.Float64)
    frame = pl.DataFrame({"x": x, "k": ["a"] * 600})
    schema = LenderSchema(
        name="t",
        numeric=(NumericColumn(name="x", special_codes=states),),
        categorical=(CategoricalColumn(name="k"),),
    )
    for name, predict in baselines.fit_baselines(frame, target, schema, ModelConfig(), 20, 0).items():
        assert roc_auc(target, predict(frame)) > 0.85, name


def test_baselines_take_missing_values_unseen_levels_and_codes(small):
    odd = generate(20, 3).with_columns(
        purpose=pl.lit("yacht"), savings=pl.lit(None, pl.Float64), months_since_delinquency=pl.lit(-9.0),
        monthly_income=pl.lit(1e12),
    )  # fmt: skip
    y = small.training["defaulted"].to_numpy()
    for predict in baselines.fit_baselines(small.training, y, SCHEMA, small.config.model, 10, 0).values():
        assert np.isfinite(predict(odd)).all()


def test_calibration_error_of_a_calibrated_model_is_noise():
    frame = generate(20_000, 9)
    probability = 1 / (1 + np.exp(-true_log_odds(frame)))
    assert ece(frame["defaulted"].to_numpy(), probability) < 2 * ece_noise_floor(probability)
    assert ece(frame["defaulted"].to_numpy(), np.clip(probability + 0.08, 0, 1)) > 5 * ece_noise_floor(
        probability
    )


def test_the_fitted_calibration_is_not_worse_than_twice_the_noise(small, predictions):
    probability = predictions[NETWORK].to_numpy()
    assert ece(predictions["defaulted"].to_numpy(), probability) < 2.5 * ece_noise_floor(probability)


def test_fairness_is_audited_for_each_group_and_the_unknown(small):
    test = small.test.with_columns(
        sex=pl.when(pl.int_range(len(small.test)) < 40).then(None).otherwise("sex"),
        age=pl.when(pl.int_range(len(small.test)) < 40).then(None).otherwise("age"),
    )
    audits = {
        audit["attribute"]: audit
        for audit in audit_fairness(test, small.scorer.probability(test), small.scorer, small.config)
    }
    assert {group["group"] for group in audits["sex"]["groups"]} == {"female", "male", "missing"}
    bands = {group["group"] for group in audits["age"]["groups"]}
    assert bands == {"up to 25", "over 25 to 40", "over 40 to 60", "over 60", "missing"}
    for audit in audits.values():
        assert sum(group["n"] for group in audit["groups"]) == len(test)
        assert {"selection_ratio", "equalised_odds"} <= set(audit["gaps"])


def test_the_favourable_decision_of_the_audit_is_approval(small):
    (sex, _) = audit_fairness(small.test, np.zeros(len(small.test)), small.scorer, small.config)
    assert all(group["selection_rate"]["value"] == 1.0 for group in sex["groups"])


def test_an_attribute_that_is_not_in_the_table_is_not_audited(small):
    probability = small.scorer.probability(small.test)
    assert audit_fairness(small.test.drop("sex", "age"), probability, small.scorer, small.config) == []
    (age,) = audit_fairness(small.test.drop("sex"), probability, small.scorer, small.config)
    assert age["attribute"] == "age"


def test_one_group_alone_and_one_of_two_rows_do_not_break_the_audit(small):
    probability = small.scorer.probability(small.test)
    for sex in (
        pl.lit("f"),
        pl.when(pl.int_range(len(small.test)) < 2).then(pl.lit("m")).otherwise(pl.lit("f")),
    ):
        audits = audit_fairness(small.test.with_columns(sex=sex), probability, small.scorer, small.config)
        assert plain(audits)


def test_repeated_splits_compare_all_models_on_all_rows(small):
    settings = small.config.evaluation.model_copy(update={"num_repeats": 2, "repeat_below_rows": 601})
    model = small.config.model.model_copy(update={"num_members": 1})
    training = small.config.training.model_copy(update={"epochs": 3})
    config = small.config.model_copy(update={"evaluation": settings, "model": model, "training": training})
    repeated = repeat_splits(small.training[:600], SCHEMA, config)
    assert repeated["splits"] == 4
    assert set(repeated["metrics"]) == {NETWORK, *baselines.NAMES}
    assert set(repeated["comparisons"]) == set(baselines.NAMES)
    for by_name in repeated["metrics"].values():
        metric = by_name["cv/roc_auc"].metric
        assert metric.low <= metric.value <= metric.high
    assert repeat_splits(small.training[:601], SCHEMA, config) is None, "large enough for one test part"


def test_the_document_is_plain_and_its_counts_add_up(small, predictions):
    document = evaluation_document(
        small.scorer, small.validation, small.test, predictions, None, small.config
    )
    assert sum(document["cut_off"]["decisions"].values()) == len(small.test)
    approved = small.scorer.rule.decide(predictions[NETWORK].to_numpy()) == "approve"
    assert document["cut_off"]["default_rate_of_approved"] == pytest.approx(
        predictions["defaulted"].to_numpy()[approved].mean()
    )
    assert document["repeated"] is None
    assert "network" in document["verdict"]["sentence"].lower()
    json.dumps(plain(document), allow_nan=False)
