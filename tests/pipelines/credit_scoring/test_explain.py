"""Explanations are checked against what is known: the true equation, sampled Shapley values, retrained networks."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from pipelines.credit_scoring import explain
from pipelines.credit_scoring.generator import SCHEMA
from pipelines.credit_scoring.score import Scorer


def test_explanations_agree_with_the_true_equation_far_better_than_shuffled_ones(small, monkeypatch):
    found = explain.truth_agreement(small.scorer, small.test, seed=0)
    assert found["per_applicant"] > 0.75
    assert found["importance"] > 0.8
    honest = Scorer.explain

    def shuffled(scorer, frame):
        explained = honest(scorer, frame)
        order = np.random.default_rng(0).permutation(len(explained.names))
        return dataclasses.replace(explained, values=explained.values[:, order])

    monkeypatch.setattr(Scorer, "explain", shuffled)
    control = explain.truth_agreement(small.scorer, small.test, seed=0)
    assert control["per_applicant"] < found["per_applicant"] - 0.4


def test_the_explanation_passes_its_own_checks(small):
    checked = explain.checked_explanation(small.scorer, small.test[:60], seed=0)
    assert checked.completeness_error < 1e-3
    assert checked.faithful, checked.warning


def test_contributions_without_meaning_fail_the_checks(small, monkeypatch):
    honest = Scorer.explain

    def noise(scorer, frame):
        explained = honest(scorer, frame)
        rng = np.random.default_rng(1)
        return dataclasses.replace(explained, values=rng.permuted(explained.values, axis=1))

    monkeypatch.setattr(Scorer, "explain", noise)
    assert not explain.checked_explanation(small.scorer, small.test[:60], seed=0).faithful


def test_the_fast_explanation_is_close_to_sampled_shapley_values(small):
    found = explain.shapley_agreement(small.scorer, small.test, seed=0)
    assert found["spearman"] > 0.9
    assert found["same_first"] > 0.7


def test_an_additive_network_is_explained_exactly(small):
    from pipelines.credit_scoring.train import train_network

    model = small.config.model.model_copy(update={"kind": "additive"})
    config = small.config.model_copy(update={"model": model})
    features, result = train_network(small.training[:600], None, SCHEMA, config, seed=0)
    scorer = dataclasses.replace(small.scorer, config=config, features=features, network=result.model)
    found = explain.shapley_agreement(scorer, small.test, seed=0)
    assert found["relative_difference"] < 1e-3
    rows = small.test[:2].with_columns(pl.lit(12_000.0).alias("savings"))
    first, second = scorer.explain(rows).values[:, scorer.explain(rows).names.index("savings")]
    assert first == pytest.approx(second, abs=1e-5)


def test_the_same_network_trained_again_gives_the_same_reasons(small, monkeypatch):
    config = small.config.model_copy(
        update={"explanation": small.config.explanation.model_copy(update={"stability_seeds": 1})}
    )
    real = explain.train_network
    monkeypatch.setattr(
        explain,
        "train_network",
        lambda *parts, seed: real(*parts, seed=0),  # as the scorer was trained
    )
    same = explain.reason_stability(small.scorer, small.training, small.validation, small.test, config)
    assert same["flip_rate"] == 0.0
    assert same["overlap"] == 1.0


def test_another_seed_flips_some_first_reasons_and_not_most(small):
    found = explain.reason_stability(small.scorer, small.training, small.validation, small.test, small.config)
    assert 0.0 < found["flip_rate"] < 0.5
    assert 0.5 < found["overlap"] < 1.0
    assert found["applicants"] <= small.config.explanation.num_checked


def test_nobody_to_ask_means_no_stability(small):
    none = small.test.filter(pl.Series(small.scorer.probability(small.test) < 0))
    assert (
        explain.reason_stability(small.scorer, small.training, small.validation, none, small.config) is None
    )


def test_reference_rows_come_from_training_and_are_the_same_each_time(small):
    probability = small.scorer.probability(small.training)
    first, second = (
        explain.reference_rows(small.training, probability, small.config, small.scorer.rule.cut_off)
        for _ in range(2)
    )
    assert first.equals(second)
    assert set(first["application_id"]) <= set(small.training["application_id"])
    assert len(first) == small.config.explanation.num_background


def test_approved_reference_holds_approved_applicants_alone(small):
    explanation = small.config.explanation.model_copy(update={"reference": "approved"})
    config = small.config.model_copy(update={"explanation": explanation})
    probability, cut_off = small.scorer.probability(small.training), small.scorer.rule.cut_off
    approved = explain.reference_rows(small.training, probability, config, cut_off)
    assert (small.scorer.probability(approved) < cut_off).all()


def test_examples_go_from_high_to_low_risk(small):
    probability = small.scorer.probability(small.test)
    cut_off = small.scorer.rule.cut_off
    places = explain.example_rows(probability, cut_off)
    assert (
        probability[places["high risk"]]
        > probability[places["near the cut-off"]]
        > probability[places["low risk"]]
    )
    assert abs(probability[places["near the cut-off"]] - cut_off) == np.abs(probability - cut_off).min()
    assert set(explain.example_rows(np.array([0.5]), cut_off).values()) == {0}
