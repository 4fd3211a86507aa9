"""ROC-AUC intervals and paired differences in closed form: DeLong's covariance, in O(n log n) and without
draws.

Source: DeLong, DeLong, Clarke-Pearson, Biometrics 1988; midrank form of Sun and Xu, IEEE SPL 2014. Rows must
be independent: for grouped rows use the bootstrap over groups.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from shared.evaluation import arrays
from shared.evaluation.arrays import FloatArray
from shared.evaluation.binary import roc_auc
from shared.evaluation.metric import Metric, undefined


def delong(y: ArrayLike, variants: Sequence[ArrayLike]) -> tuple[FloatArray, FloatArray]:
    """Return the ROC-AUCs of several scores for the same rows, (k,), and their covariance, (k, k).

    The covariance is NaN with fewer than two rows of a class, both are NaN without one.
    """
    from scipy.stats import rankdata

    y_n = arrays.labels(y)
    positive = y_n == 1
    num_positives, num_negatives = int(positive.sum()), int((~positive).sum())
    num_variants = len(variants)
    if min(num_positives, num_negatives) == 0:
        return np.full(num_variants, np.nan), np.full((num_variants, num_variants), np.nan)
    wins_of_positive = np.empty((num_variants, num_positives))
    wins_over_negative = np.empty((num_variants, num_negatives))
    for index, variant in enumerate(variants):
        score = arrays.scores(variant, y_n.size)
        rank = rankdata(score)
        wins_of_positive[index] = (rank[positive] - rankdata(score[positive])) / num_negatives
        wins_over_negative[index] = 1 - (rank[~positive] - rankdata(score[~positive])) / num_positives
    auc = wins_of_positive.mean(axis=1)
    if min(num_positives, num_negatives) < 2:
        return auc, np.full((num_variants, num_variants), np.nan)
    covariance = np.cov(wins_of_positive) / num_positives + np.cov(wins_over_negative) / num_negatives
    return auc, np.asarray(covariance).reshape(num_variants, num_variants)


def auc_metric(name: str, y: ArrayLike, score: ArrayLike, *, confidence: float = 0.95) -> Metric:
    """Measure ROC-AUC with DeLong's interval on the logit scale, which keeps it inside 0 to 1.

    Under perfect separation every resample separates too, so neither DeLong nor a bootstrap shows any doubt.
    Then min(positives, negatives) independent pairs were all ranked right, and the exact binomial bound of
    that is used.
    """
    from scipy.stats import norm

    y_n = arrays.labels(y)
    if reason := roc_auc.undefined(y_n):
        return undefined(name, reason, n=y_n.size)
    aucs, covariance = delong(y_n, [score])
    auc = float(aucs[0])
    tail = (1 - arrays.confidence_level(confidence)) / 2
    if auc in (0.0, 1.0):
        bound = tail ** (1 / min(int(y_n.sum()), int((1 - y_n).sum())))
        low, high = (bound, 1.0) if auc else (0.0, 1 - bound)
        return Metric(name, auc, low, high, n=y_n.size)
    standard_error = float(np.sqrt(covariance[0, 0])) / (auc * (1 - auc))
    half_width = float(norm.isf(tail)) * standard_error
    logit = np.log(auc / (1 - auc))
    low, high = (float(1 / (1 + np.exp(-end))) for end in (logit - half_width, logit + half_width))
    return Metric(name, auc, low, high, n=y_n.size)
