"""What the sequence autoencoder reads: the customer's own last transactions, and nothing that comes later."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.fraud_detection.features import compute_features
from pipelines.fraud_detection.model import SequenceAutoencoder
from pipelines.fraud_detection.scaling import Scaling
from pipelines.fraud_detection.sequences import Sequences, sequence_scores
from pipelines.fraud_detection.train import Trainer
from shared.evaluation.binary import roc_auc

START = datetime(2024, 3, 1, tzinfo=UTC)
UNSCALED = Scaling(("amount",), np.zeros(1), np.ones(1))


@pytest.fixture(scope="module")
def trainer(small) -> Trainer:
    model = small.config.model.model_copy(update={"sequence_length": 3})
    return Trainer(small.config.model_copy(update={"model": model}), small.names)


@pytest.fixture(scope="module")
def table(small) -> pl.DataFrame:
    """All transactions with features."""
    features = compute_features(small.frame, small.config.features, labelled=True)
    return pl.concat([small.frame, features.drop("transaction_id", "amount")], how="horizontal")


@pytest.fixture(scope="module")
def scores(small, trainer, table) -> np.ndarray:
    return sequence_scores(trainer, table, small.parts)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), min_size=1, max_size=30),
    length=st.integers(1, 5),
    data=st.data(),
)
def test_a_sequence_is_the_customers_own_last_transactions_behind_zeros(rows, length, data):
    frame = pl.DataFrame(
        {
            "transaction_id": [f"t{number}" for number in range(len(rows))],
            "time": [START + timedelta(hours=hour) for hour, _ in rows],
            "customer_id": [f"c{customer}" for _, customer in rows],
            "amount": [float(number + 1) for number in range(len(rows))],
        }
    )
    asked = frame[data.draw(st.permutations(range(len(rows))))]
    sequences = Sequences(frame, UNSCALED, length, limit=1e6)
    found = sequences.at(sequences.places(asked), limit=1e6)
    assert found.shape == (len(rows), length, 1)
    in_order = frame.sort("time", maintain_order=True)
    for (own,), sequence in zip(asked.select("amount").iter_rows(), found.squeeze(2).tolist(), strict=True):
        customer = frame["customer_id"][int(own) - 1]
        amounts = in_order.filter(customer_id=customer)["amount"].to_list()
        expected = amounts[: amounts.index(own) + 1][-length:]
        assert sequence == [0.0] * (length - len(expected)) + expected


def test_values_are_cut_to_the_limit_asked_for():
    frame = pl.DataFrame({"transaction_id": ["t"], "time": [START], "customer_id": ["c"], "amount": [80.0]})
    sequences = Sequences(frame, UNSCALED, 1, limit=50.0)
    assert [sequences.at(torch.tensor([0]), limit).item() for limit in (10.0, 100.0)] == [10.0, 50.0]


def test_a_sequence_of_one_is_the_row_alone():
    torch.manual_seed(0)
    network = SequenceAutoencoder(7, 1, (16,), 2, num_members=3)
    rows = torch.randn(5, 7)
    assert network(rows[:, None]).shape == (3, 5, 7)
    expected = (network.decoder(network.encoder(rows.expand(3, -1, -1))) - rows).square().mean(0)
    torch.testing.assert_close(network.errors(rows[:, None]), expected)


def test_earlier_transactions_change_what_is_expected_of_the_newest():
    torch.manual_seed(0)
    network = SequenceAutoencoder(7, 3, (16,), 2, num_members=3)
    sequences = torch.randn(5, 3, 7)
    other = sequences.clone()
    other[:, 0] += 1
    assert not torch.allclose(network(sequences), network(other))


def test_it_finds_fraud_and_is_the_same_every_time(small, trainer, table, scores):
    assert roc_auc(small.parts.test["is_fraud"].to_numpy(), scores) > 0.7
    assert np.median(scores) < 1
    np.testing.assert_array_equal(sequence_scores(trainer, table, small.parts), scores)


def test_nothing_of_later_transactions_reaches_a_score(small, trainer, table, scores):
    moment = small.parts.fold.test_start + timedelta(days=3)
    later = table.with_columns(pl.when(pl.col("time") < moment).then("amount").otherwise(1e9).alias("amount"))
    before = (small.parts.test["time"] < moment).to_numpy()
    changed = sequence_scores(trainer, later, small.parts)
    np.testing.assert_array_equal(changed[before], scores[before])
    assert (changed[~before] != scores[~before]).all()


def test_no_label_reaches_a_score_except_that_known_frauds_are_not_learnt(small, trainer, table, scores):
    blank = table.with_columns(is_fraud=pl.lit(None, dtype=pl.Int64))
    np.testing.assert_array_equal(sequence_scores(trainer, blank, small.parts), scores)
