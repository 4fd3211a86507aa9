"""The models that a network has to beat, fitted on training and validation rows together: they need neither.

- `logistic_regression`: standardised amounts, one-hot categories, indicators for missing and special codes;
- `scorecard`: weight of evidence on quantile bins, then logistic regression: what lenders run today;
- `gradient_boosting`: scikit-learn's histogram boosting, categories as such, missing values as such.
"""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from pipelines.credit_scoring.config import ModelConfig
from pipelines.credit_scoring.features import Features, floats
from pipelines.credit_scoring.schema import LenderSchema

Predict = Callable[[pl.DataFrame], np.ndarray]

NAMES = {
    "logistic_regression": "logistic regression",
    "scorecard": "the scorecard",
    "gradient_boosting": "gradient boosting",
}
_SCORECARD_BINS = 8
_MANY_ROWS = 10_000


def fit_baselines(
    frame: pl.DataFrame,
    target: np.ndarray,
    schema: LenderSchema,
    config: ModelConfig,
    iterations: int,
    seed: int,
) -> Mapping[str, Predict]:
    """Each baseline as a function from a contract table to the probability of default, of shape (rows,)."""
    features = Features.fit(frame, schema, config)
    coarse = config.model_copy(update={"num_bins": min(_SCORECARD_BINS, config.num_bins)})
    return {
        "logistic_regression": _logistic_regression(frame, target, features),
        "scorecard": _scorecard(frame, target, Features.fit(frame, schema, coarse)),
        "gradient_boosting": _gradient_boosting(frame, target, features, iterations, seed),
    }


def _logistic_regression(frame: pl.DataFrame, target: np.ndarray, features: Features) -> Predict:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    design = _one_hot_design(features)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(design(frame), target)
    return lambda table: model.predict_proba(design(table))[:, 1]


def _one_hot_design(features: Features) -> Callable[[pl.DataFrame], np.ndarray]:
    def design(table: pl.DataFrame) -> np.ndarray:
        columns = []
        for encoding in features.numeric:
            values = floats(table[encoding.name])
            states = encoding.encode(values)[:, encoding.num_bins :]
            amount = np.where(states.any(axis=1), 0.0, np.nan_to_num(values))
            # amounts are skewed over orders of magnitude; bills may be negative
            skewed = encoding.num_bins > 0 and encoding.edges[-1] > 1000
            columns += [np.sign(amount) * np.log1p(np.abs(amount)) if skewed else amount, *states.T]
        for category in features.categorical:
            columns += list(np.eye(category.num_codes)[category.encode(table[category.name])].T)
        return np.stack(columns, axis=1)

    return design


def _scorecard(frame: pl.DataFrame, target: np.ndarray, features: Features) -> Predict:
    from sklearn.linear_model import LogisticRegression

    bins = _bins(features, frame)
    evidence = [_weight_of_evidence(codes, target) for codes in bins.T]

    def weighed(bins: np.ndarray) -> np.ndarray:
        return np.stack([weights[codes] for weights, codes in zip(evidence, bins.T, strict=True)], axis=1)

    model = LogisticRegression(max_iter=2000).fit(weighed(bins), target)
    return lambda table: model.predict_proba(weighed(_bins(features, table)))[:, 1]


def _bins(features: Features, table: pl.DataFrame) -> np.ndarray:
    """Bin of every value, of shape (rows, columns): quantile bins, then one a special code, then missing."""
    columns = []
    for encoding in features.numeric:
        values = floats(table[encoding.name])
        states = encoding.encode(values)[:, encoding.num_bins :]
        amounts = np.searchsorted(np.array(encoding.edges[1:-1]), np.nan_to_num(values), side="left")
        # a column whose amounts are constant has no pieces, and still one bin of amounts
        first_state = max(encoding.num_bins, 1)
        columns.append(np.where(states.any(axis=1), first_state + states.argmax(axis=1), amounts))
    columns += [category.encode(table[category.name]) for category in features.categorical]
    return np.stack(columns, axis=1)


def _weight_of_evidence(codes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Log of the bin's odds over the table's, half a case added to each count; 0 for bins never seen."""
    size = int(codes.max()) + 64
    bad = np.bincount(codes, weights=target, minlength=size)
    good = np.bincount(codes, weights=1 - target, minlength=size)
    weights = np.log((bad + 0.5) / (target.sum() + 0.5)) - np.log((good + 0.5) / ((1 - target).sum() + 0.5))
    return np.where(bad + good > 0, weights, 0.0)


def _gradient_boosting(
    frame: pl.DataFrame, target: np.ndarray, features: Features, iterations: int, seed: int
) -> Predict:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    def design(table: pl.DataFrame) -> np.ndarray:
        numbers = [floats(table[encoding.name]) for encoding in features.numeric]
        codes = [category.encode(table[category.name]).astype(float) for category in features.categorical]
        return np.stack([*numbers, *codes], axis=1)

    # On few rows the threads of boosting wait for each other longer than they work (0.2 s or 3 s a fit, 2026-11).
    num_threads = 1 if len(frame) < _MANY_ROWS else None
    # boosting takes at most 255 levels as categories; more are ordered by their code
    categorical = [False] * len(features.numeric) + [e.num_codes <= 255 for e in features.categorical]
    model = HistGradientBoostingClassifier(
        max_iter=iterations,
        learning_rate=0.05,
        max_leaf_nodes=15,
        min_samples_leaf=20,
        l2_regularization=1.0,
        categorical_features=categorical,
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(num_threads):
        model.fit(design(frame), target)

    def predict(table: pl.DataFrame) -> np.ndarray:
        with threadpool_limits(num_threads):
            return np.asarray(model.predict_proba(design(table))[:, 1])

    return predict
