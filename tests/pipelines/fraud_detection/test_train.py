"""What is learnt from which rows, and that it is the same every time."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from pipelines.fraud_detection.train import MIN_FRAUDS, Trainer, can_be_supervised, not_known_as_fraud
from shared.errors import RequestError
from shared.evaluation.binary import roc_auc


def _weights(fitted):
    return torch.cat([parameter.flatten() for parameter in fitted.detector.parameters()])


def test_same_seed_and_data_give_the_same_networks(small):
    again = Trainer(small.config, small.names).fit_fold(small.parts, with_head=True)
    assert torch.equal(_weights(again), _weights(small.fitted))
    assert again.decision == small.fitted.decision


def test_other_seed_gives_other_networks(small):
    config = small.config.model_copy(update={"seed": 1})
    other = Trainer(config, small.names).fit_fold(small.parts, with_head=True)
    assert not torch.equal(_weights(other), _weights(small.fitted))


def test_known_frauds_reach_neither_scaling_nor_autoencoder(small):
    """Whatever known frauds look like, the unsupervised part stays what it is."""
    is_fraud = pl.col("is_fraud") == 1

    def distorted(frame):
        return frame.with_columns(pl.when(is_fraud).then(1e6).otherwise("amount").alias("amount"))

    validation = small.parts.validation
    parts = replace(
        small.parts,
        train=distorted(small.parts.train),
        validation=replace(validation, train=distorted(validation.train), test=distorted(validation.test)),
    )
    other = Trainer(small.config, small.names).fit_fold(parts, with_head=False)
    assert other.scaling.mean.tolist() == small.fitted.scaling.mean.tolist()
    assert other.scaling.scale.tolist() == small.fitted.scaling.scale.tolist()
    theirs, ours = (one.detector.autoencoder.state_dict() for one in (other, small.fitted))
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_nothing_is_learnt_from_the_test(small):
    blank = small.parts.test.with_columns(is_fraud=pl.lit(None, dtype=pl.Int64), amount=pl.lit(0.0))
    other = Trainer(small.config, small.names).fit_fold(replace(small.parts, test=blank), with_head=True)
    assert torch.equal(_weights(other), _weights(small.fitted))
    assert other.decision == small.fitted.decision


def test_final_networks_train_as_many_epochs_as_validation_chose(small):
    for name in ("autoencoder", "head"):
        record = small.fitted.record[name]
        assert record["epochs"] == record["selection"]["best_epoch"] + 1


def test_mean_anomaly_of_genuine_training_rows_is_about_one(small):
    genuine = not_known_as_fraud(small.parts.train)
    assert np.median(small.scorer.anomalies(genuine)) < 1
    assert small.scorer.anomalies(genuine).mean() == pytest.approx(1, abs=0.5)


def test_both_scores_find_fraud_far_better_than_chance(small):
    test = small.parts.test
    y = test["is_fraud"].to_numpy()
    assert roc_auc(y, small.scorer.anomalies(test)) > 0.7
    assert roc_auc(y, small.scorer.scores(test)) > 0.7


def test_code_as_wide_as_the_data_is_refused(small):
    config = small.config.model_copy(
        update={"model": small.config.model.model_copy(update={"code_size": 17})}
    )
    with pytest.raises(RequestError, match=r"below the number of features, 17\. Received 17"):
        Trainer(config, small.names).fit_fold(small.parts, with_head=False)


def test_too_few_known_frauds_are_no_ground_for_a_head(small):
    assert can_be_supervised(small.parts)
    frauds = small.parts.train.filter(pl.col("is_fraud") == 1)[: MIN_FRAUDS - 1]
    few = pl.concat([small.parts.train.filter(pl.col("is_fraud") == 0), frauds])
    assert not can_be_supervised(replace(small.parts, train=few))


def test_unlabelled_fold_gets_an_autoencoder_and_a_cut_off_from_the_budget(unlabelled):
    assert unlabelled.fitted.detector.head is None
    assert unlabelled.fitted.calibration is None
    assert unlabelled.fitted.decision.cost_cut_off == -np.inf
    assert unlabelled.fitted.record["head"] is None
