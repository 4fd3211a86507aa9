"""Whether the division leaks: what would make the test too easy, looked for before anybody believes it."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain

import numpy as np
import polars as pl

from pipelines.fraud_detection.config import FeatureConfig
from pipelines.fraud_detection.features import compute_features, feature_names
from pipelines.fraud_detection.labels import known_at
from pipelines.fraud_detection.protocol import Parts
from shared.data.audit import AuditReport, Finding

CHECKS = ("repeated_transactions", "time_order", "later_labels", "later_knowledge")
# Transactions of a fold whose features are computed anew: a leak touches many of them or does not matter.
_NUM_SAMPLED = 400
_TOLERANCE = 1e-9
_NUM_EXAMPLES = 5


def audit_folds(
    parts: Sequence[Parts],
    frame: pl.DataFrame,
    features: pl.DataFrame,
    config: FeatureConfig,
    categories: Sequence[str] = (),
) -> AuditReport:
    """Look for leaks in folds (`divide`) of a table and in its features (`compute_features`).

    repeated_transactions: one that is in the test and in what the model learnt or was tuned on; time_order: training
    or validation so late that its labels were not known when the test began; later_labels: frauds in them that became
    known later; later_knowledge: features of the first day of each test that differ when they are computed again from
    the table as it was at the end of that day. `require()` of the report refuses a leak.
    """
    findings = chain.from_iterable(_audited(one, config) for one in parts)
    knowledge = chain.from_iterable(
        _later_knowledge(one, frame, features, config, categories) for one in parts
    )
    return AuditReport(CHECKS, (*findings, *knowledge))


def _audited(parts: Parts, config: FeatureConfig) -> Iterator[Finding]:
    learnt = {"training": parts.train}
    if parts.validation is not None:
        learnt |= {"validation": parts.validation.test, "training of the validation": parts.validation.train}
        yield from _audited(parts.validation, config)
    for name, earlier in learnt.items():
        where = f"{name} of the fold with the test from {parts.fold.test_start:%Y-%m-%d} on"
        yield from _repeated(where, earlier, parts.test)
        yield from _too_late(where, earlier, parts.test, config.label_delay_days)
        yield from _later_labels(where, earlier, parts, config.label_delay_days)


def _repeated(where: str, earlier: pl.DataFrame, test: pl.DataFrame) -> Iterator[Finding]:
    common = test.join(earlier, on="transaction_id", how="semi")
    if common.height:
        yield _finding("repeated_transactions", common, f"transactions of the test are in the {where}")


def _too_late(where: str, earlier: pl.DataFrame, test: pl.DataFrame, delay_days: int) -> Iterator[Finding]:
    if test.is_empty():
        return
    wait = timedelta(days=delay_days)
    late = earlier.filter(pl.col("time") + wait > test["time"].min())
    if late.height:
        message = f"transactions in the {where} are less than {delay_days} days before the first of the test"
        yield _finding("time_order", late, message)


def _later_labels(where: str, earlier: pl.DataFrame, parts: Parts, delay_days: int) -> Iterator[Finding]:
    known = known_at(earlier.columns, delay_days)
    later = earlier.filter((pl.col("is_fraud") == 1) & (known > parts.fold.test_start))
    if later.height:
        yield _finding("later_labels", later, f"frauds in the {where} were not known yet when the test began")


def _later_knowledge(
    parts: Parts,
    frame: pl.DataFrame,
    features: pl.DataFrame,
    config: FeatureConfig,
    categories: Sequence[str],
) -> Iterator[Finding]:
    end = parts.fold.test_start + timedelta(days=1)
    day = parts.test.filter(pl.col("time") < end)
    if day.is_empty():
        return
    sample = day.gather_every(max(1, day.height // _NUM_SAMPLED))
    labelled = any(name.startswith("terminal_risk_") for name in features.columns)
    known = _as_it_was(frame, end, sample, config, all_customers=bool(categories))
    anew = compute_features(known, config, labelled, categories)
    names = [name for name in feature_names(config, labelled, categories) if name in features.columns]
    given, fresh = (_rows_of(sample, one).select(names).to_numpy() for one in (features, anew))
    differs: np.ndarray = ~np.isclose(given, fresh, rtol=_TOLERANCE, atol=_TOLERANCE)
    rows, columns = np.nonzero(differs)
    if len(rows):
        which = ", ".join(names[column] for column in np.unique(columns))
        message = f"of {sample.height} transactions of {parts.fold.test_start:%Y-%m-%d} have features that use later"
        yield _finding("later_knowledge", sample[np.unique(rows)], f"{message} knowledge: {which}")


def _as_it_was(
    frame: pl.DataFrame, moment: datetime, sample: pl.DataFrame, config: FeatureConfig, *, all_customers: bool
) -> pl.DataFrame:
    """What was known before a moment as far back as windows reach, of the customers and terminals of a sample or, for
    features that look at everybody, of all."""
    reach = timedelta(days=config.windows_days[-1] + config.label_delay_days + 1)
    known = known_at(frame.columns, config.label_delay_days)
    within = pl.col("time") > moment - reach
    if "is_fraud" in frame.columns:
        within |= (pl.col("is_fraud") == 1) & (known > moment - reach)
        frame = frame.with_columns(pl.when(known < moment).then("is_fraud").alias("is_fraud"))
    before = frame.filter(within & (pl.col("time") < moment))
    return before.filter(
        pl.lit(all_customers)
        | pl.col("customer_id").is_in(sample["customer_id"].implode())
        | pl.col("terminal_id").is_in(sample["terminal_id"].implode())
    )


def _rows_of(sample: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
    """The rows of a table of features that belong to the transactions of a sample, in their order."""
    ids = sample.select("transaction_id")
    # The first join leaves a few rows of a large table without building a hash table of it.
    few = features.join(ids, on="transaction_id", how="semi")
    return ids.join(few, on="transaction_id", how="left", maintain_order="left")


def _finding(check: str, rows: pl.DataFrame, message: str) -> Finding:
    examples = rows["transaction_id"].head(_NUM_EXAMPLES).to_list()
    return Finding(check, "leak", rows.height, f"{rows.height:,} {message}.", tuple(examples))
