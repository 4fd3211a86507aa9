"""A small generated table, one fold of it, and networks fitted to that fold."""

from dataclasses import dataclass, replace

import polars as pl
import pytest
import torch

from pipelines.fraud_detection.config import FraudConfig, tiny
from pipelines.fraud_detection.explain import usual_rows
from pipelines.fraud_detection.features import compute_features, feature_names
from pipelines.fraud_detection.generator import generate
from pipelines.fraud_detection.protocol import Parts, divide, folds
from pipelines.fraud_detection.score import Scorer
from pipelines.fraud_detection.train import FittedFold, Trainer, not_known_as_fraud


@dataclass(frozen=True)
class Small:
    """Transactions in the contract's shape, the same with features, a fold, and what was fitted to it."""

    config: FraudConfig
    frame: pl.DataFrame
    parts: Parts
    fitted: FittedFold
    scorer: Scorer

    @property
    def names(self) -> tuple[str, ...]:
        return self.scorer.scaling.names


def _small(*, labelled: bool) -> Small:
    config = tiny()
    config = config.model_copy(update={"protocol": config.protocol.model_copy(update={"num_folds": 1})})
    frame = generate(400, 800, 70, seed=3).frame
    if not labelled:
        frame = frame.drop("is_fraud", "scenario")
    features = compute_features(frame, config.features, labelled)
    table = pl.concat([frame, features.drop("transaction_id", "amount")], how="horizontal")
    delay = config.features.label_delay_days
    [fold] = folds(table["time"], config.protocol, delay)
    parts = divide(table, fold, delay)
    names = feature_names(config.features, labelled)
    fitted = Trainer(config, names).fit_fold(parts, with_head=labelled)
    usual = usual_rows(not_known_as_fraud(parts.train), names, 20, seed=0)
    history = frame.filter(pl.col("time") < fold.test_start)
    scorer = Scorer.of(fitted, usual, history, config, labelled=labelled)
    return Small(config, frame, parts, fitted, scorer)


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads that wait for each other take longer than these networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small() -> Small:
    """With labels: an autoencoder and a head."""
    return _small(labelled=True)


@pytest.fixture(scope="session")
def unlabelled() -> Small:
    """Without labels: the autoencoder alone."""
    return _small(labelled=False)


@pytest.fixture(scope="session")
def alone(small: Small) -> Scorer:
    """The scorer with labels as if there were no head: its score is that of the autoencoder."""
    detector = type(small.scorer.detector)(
        small.scorer.detector.autoencoder, small.scorer.detector.mean_error
    )
    return replace(small.scorer, detector=detector.eval(), calibration=None)
