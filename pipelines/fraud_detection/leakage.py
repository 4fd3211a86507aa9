"""How much careless protocols would have flattered: the same model on the same weeks, divided in three ways."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from pipelines.fraud_detection.baselines import gradient_boosting
from pipelines.fraud_detection.config import FraudConfig
from pipelines.fraud_detection.protocol import Parts
from shared.evaluation.binary import average_precision, roc_auc


def leakage(
    table: pl.DataFrame, parts: Parts, names: Sequence[str], config: FraudConfig
) -> list[dict[str, Any]] | None:
    """Average precision and ROC-AUC of gradient boosting under the protocol and under two that leak.

    strict: the test of the fold; compromised_kept: with the cards that are known to be compromised left in;
    random_split: transactions of the fold's weeks, wait included, divided at random into as many for training as in the
    fold, and the rest. table: transactions with features and labels. None when the test, or one half of the
    random division, has transactions of one class only: no labels are known yet of the newest week, for example.
    """
    fold = parts.fold
    train, test = (one.filter(pl.col("is_fraud").is_not_null()) for one in (parts.train, parts.test))
    weeks = table.filter(
        pl.col("time").is_between(fold.train_start, fold.test_end, closed="left")
        & pl.col("is_fraud").is_not_null()
    )
    shuffled = weeks.sample(fraction=1.0, shuffle=True, seed=config.seed)
    random, rest = shuffled[: train.height], shuffled[train.height :]
    if any(one["is_fraud"].n_unique() < 2 for one in (test, random, rest)):
        return None
    strict = gradient_boosting(train, names, config)
    tested = {
        "strict": (strict, test),
        "compromised_kept": (strict, weeks.filter(pl.col("time") >= fold.test_start)),
        "random_split": (gradient_boosting(random, names, config), rest),
    }
    found = []
    for protocol, (score, rows) in tested.items():
        y, scores = rows["is_fraud"].to_numpy().astype(np.int64), score(rows)
        found.append(
            {
                "protocol": protocol,
                "rows": rows.height,
                "frauds": int(y.sum()),
                "average_precision": average_precision(y, scores),
                "roc_auc": roc_auc(y, scores),
            }
        )
    return found
