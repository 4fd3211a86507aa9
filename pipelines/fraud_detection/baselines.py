"""The models that the networks have to beat, on the same features and the same training rows.

Without labels: `mahalanobis` (distance from genuine transactions, waiting times in logarithms), `max_z` (the feature
that is farthest out), `isolation_forest`, `pca` (what as many principal components as the autoencoder's code miss).
With labels: `logistic_regression` and `gradient_boosting`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl

from pipelines.fraud_detection.config import FraudConfig
from pipelines.fraud_detection.scaling import Scaling
from pipelines.fraud_detection.train import not_known_as_fraud

Score = Callable[[pl.DataFrame], np.ndarray]

UNSUPERVISED = {
    "mahalanobis": "Mahalanobis",
    "max_z": "Largest z-score",
    "isolation_forest": "Isolation forest",
    "pca": "PCA reconstruction",
}
SUPERVISED = {"logistic_regression": "Logistic regression", "gradient_boosting": "Gradient boosting"}
# Means and covariances cannot bear the raw ones: average precision 0.356, with logarithms 0.467 (2026-11).
_IN_LOGARITHMS = "hours_since_last"
# 256 bins, the usual number, cost 0.06 of average precision where 0.8 % are frauds (2026-11).
_MAX_BIN = 4095


def fit_baselines(
    training: pl.DataFrame, names: Sequence[str], config: FraudConfig, *, supervised: bool
) -> Mapping[str, Score]:
    """Each baseline as a function from a table with features to scores of shape (rows,), higher is more suspicious."""
    genuine = not_known_as_fraud(training)
    scaling = Scaling.fit(genuine, names)
    design = _design(scaling, config.model.scoring_limit)
    usual = design(genuine)
    fitted = {
        "mahalanobis": _mahalanobis(genuine, names),
        "max_z": lambda frame: np.abs(design(frame)).max(1),
        "isolation_forest": _isolation_forest(usual, design, config),
        "pca": _pca(usual, design, config.model.code_size),
    }
    if supervised:
        known = training.filter(pl.col("is_fraud").is_not_null())
        fitted["logistic_regression"] = _logistic_regression(known, design)
        fitted["gradient_boosting"] = gradient_boosting(known, names, config)
    return fitted


def _design(scaling: Scaling, limit: float) -> Score:
    return lambda frame: scaling.transform(frame, limit).double().numpy()


def _mahalanobis(genuine: pl.DataFrame, names: Sequence[str]) -> Score:
    columns = [pl.col(name).log1p() if name == _IN_LOGARITHMS else pl.col(name) for name in names]
    values = genuine.select(columns).to_numpy()
    mean = values.mean(0)
    # features that never change have no spread to divide by: the pseudo-inverse leaves them out
    precision = np.linalg.pinv(np.cov(values, rowvar=False), hermitian=True)

    def score(frame: pl.DataFrame) -> np.ndarray:
        centred = frame.select(columns).to_numpy() - mean
        squared: np.ndarray = np.einsum("ri,ij,rj->r", centred, precision, centred, optimize=True)
        return squared

    return score


def _isolation_forest(usual: np.ndarray, design: Score, config: FraudConfig) -> Score:
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=config.evaluation.num_trees, random_state=config.seed).fit(usual)
    return lambda frame: -forest.score_samples(design(frame))


def _pca(usual: np.ndarray, design: Score, num_components: int) -> Score:
    centre = usual.mean(0)
    _, vectors = np.linalg.eigh(np.cov(usual, rowvar=False))
    rest = vectors[:, :-num_components]

    def score(frame: pl.DataFrame) -> np.ndarray:
        missed: np.ndarray = np.square((design(frame) - centre) @ rest).sum(1)
        return missed

    return score


def _logistic_regression(known: pl.DataFrame, design: Score) -> Score:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=2000).fit(design(known), known["is_fraud"].to_numpy())
    return lambda frame: np.asarray(model.decision_function(design(frame)))


def gradient_boosting(known: pl.DataFrame, names: Sequence[str], config: FraudConfig) -> Score:
    """LightGBM on rows with labels; its settings are fixed, not chosen on any of these data."""
    import lightgbm

    data = lightgbm.Dataset(
        known.select(names).to_numpy(),
        known["is_fraud"].to_numpy(),
        params={"max_bin": _MAX_BIN, "verbosity": -1},
    )
    parameters = {
        "objective": "binary", "learning_rate": 0.05, "num_leaves": 15, "max_depth": 4, "min_data_in_leaf": 20,
        "feature_fraction": 0.5, "bagging_fraction": 0.8, "bagging_freq": 1, "max_bin": _MAX_BIN,
        "seed": config.seed, "deterministic": True, "num_threads": 1, "verbosity": -1,
    }  # fmt: skip
    booster = lightgbm.train(parameters, data, config.evaluation.boosting_rounds)
    return lambda frame: np.asarray(
        booster.predict(frame.select(names).to_numpy(), raw_score=True, num_threads=1)
    )
