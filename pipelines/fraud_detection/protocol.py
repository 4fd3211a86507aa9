"""Which transactions train and which test, as in practice: train, wait for the labels, test; then move on.

The protocol is that of the Fraud Detection Handbook (Le Borgne et al. 2022, chapter 5): prequential folds, a delay
between training and test in which labels become known, cards that are known to be compromised left out of the test,
and for each fold a validation fold whose labels are known before its test begins. Days are days in UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from pipelines.fraud_detection.config import ProtocolConfig
from pipelines.fraud_detection.labels import known_at
from shared.errors import RequestError

# With fewer, the scales of two dozen features and the place of a cut-off are chance.
MIN_GENUINE = 100
# Less likely than this by chance, at the rate of frauds before: labels are missing.
_MAX_CHANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Fold:
    """Training in [train_start, train_end), test in [test_start, test_end), all midnights in UTC.

    validation: the fold to tune on, None for one that is itself for validation. Its test ends with the training of
    this fold, so its labels are known when the test of this fold begins.
    """

    train_start: datetime
    train_end: datetime
    test_start: datetime
    test_end: datetime
    validation: "Fold | None" = None

    def earlier(self, days: int) -> "Fold":
        """This fold moved back, without a validation fold."""
        back = timedelta(days=days)
        return Fold(
            self.train_start - back, self.train_end - back, self.test_start - back, self.test_end - back
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """The transactions of a fold, with all columns of their table, and of its validation fold where it has one.

    is_fraud in `train`, and in the test of `validation`, is as it was known when the test of the fold began.
    """

    fold: Fold
    train: pl.DataFrame
    test: pl.DataFrame
    validation: "Parts | None" = None


@dataclass(frozen=True, slots=True)
class UnlabelledPeriod:
    """Days, both inclusive, with transactions and without frauds, and how likely that is at the rate before."""

    first_day: datetime
    last_day: datetime
    num_transactions: int
    chance: float


def days_needed(config: ProtocolConfig, delay_days: int) -> int:
    """Days that a table must cover for all folds and the validation fold of the first."""
    first = _validation_shift(config, delay_days) + config.train_days + delay_days
    return first + config.num_folds * config.test_days


def folds(times: pl.Series, config: ProtocolConfig, delay_days: int) -> list[Fold]:
    """Prequential folds, each `test_days` after the one before, that lie within the days of `times`.

    The first begins on `first_train_day`, or so that the last one ends with the last day. Raises RequestError, saying
    how many days are needed, when they do not fit.
    """
    begin, end = _midnight(times.min()), _midnight(times.max()) + timedelta(days=1)
    shift = _validation_shift(config, delay_days)
    length = config.train_days + delay_days + config.num_folds * config.test_days
    if config.first_train_day is None:
        start = end - timedelta(days=length)
    else:
        start = datetime.combine(config.first_train_day, datetime.min.time(), UTC)
    if start - timedelta(days=shift) < begin or start + timedelta(days=length) > end:
        raise RequestError(_too_short(begin, end, start, config, delay_days))
    train, wait, test = (timedelta(days=days) for days in (config.train_days, delay_days, config.test_days))
    found = []
    for number in range(config.num_folds):
        first = start + number * test
        fold = Fold(first, first + train, first + train + wait, first + train + wait + test)
        found.append(replace(fold, validation=fold.earlier(shift)))
    return found


def divide(frame: pl.DataFrame, fold: Fold, delay_days: int) -> Parts:
    """Training and test of a fold from a valid table, which may have further columns, such as features.

    Labels of training and validation are those that were known when the test began: a fraud whose label came later
    counts as genuine there. Without is_fraud, nothing is known of any transaction.
    """
    frame = _with_labels(frame)
    train = frame.filter(pl.col("time").is_between(fold.train_start, fold.train_end, closed="left"))
    test = without_compromised(frame, fold, delay_days)
    parts = Parts(fold, _as_known(train, fold.test_start, delay_days), test)
    if fold.validation is None:
        return parts
    validation = divide(frame, fold.validation, delay_days)
    known = _as_known(validation.test, fold.test_start, delay_days)
    return replace(parts, validation=replace(validation, test=known))


def require_enough(parts: Sequence[Parts]) -> None:
    """Raises RequestError, with the way out, when a part of a fold is too small to learn from or to judge by.

    Transactions that are not known to be fraud count: scales, autoencoder and explanations rest on them.
    """
    for fold in parts:
        assert fold.validation is not None, "folds for validation have none of their own"
        tuning = fold.validation
        for what, frame, start, end in (
            ("training of the validation", tuning.train, tuning.fold.train_start, tuning.fold.train_end),
            ("validation", tuning.test, tuning.fold.test_start, tuning.fold.test_end),
            ("training", fold.train, fold.fold.train_start, fold.fold.train_end),
            ("test", fold.test, fold.fold.test_start, fold.fold.test_end),
        ):
            genuine = frame.height - int(frame["is_fraud"].eq(1).sum())
            if genuine < MIN_GENUINE:
                raise RequestError(_too_few(genuine, what, start, end))


def _too_few(received: int, what: str, start: datetime, end: datetime) -> str:
    return (
        f"Expected at least {MIN_GENUINE} transactions that are not known to be fraud in every training, validation "
        f"and test, without cards known to be compromised. Received {received} in the {what} from {start:%Y-%m-%d} to "
        f"{end - timedelta(days=1):%Y-%m-%d}.\nGive more transactions, set protocol.train_days and test_days higher, "
        "or protocol.first_train_day so that no fold meets a gap."
    )


def without_compromised(frame: pl.DataFrame, fold: Fold, delay_days: int) -> pl.DataFrame:
    """The test transactions of a fold, each day without the customers of whom a fraud was known when it began.

    A card that is known to be compromised is blocked: to find its fraud again is no merit. Frauds count from the
    beginning of training on, from the day after the one on which they became known.
    """
    seen = _with_labels(frame).filter(
        pl.col("time").is_between(fold.train_start, fold.test_end, closed="left")
    )
    known = known_at(frame.columns, delay_days).min().alias("blocked_since")
    blocked = seen.filter(pl.col("is_fraud") == 1).group_by("customer_id").agg(known)
    return (
        seen.filter(pl.col("time") >= fold.test_start)
        .join(blocked, on="customer_id", how="left", maintain_order="left")
        .filter((pl.col("blocked_since") < pl.col("time").dt.truncate("1d")).fill_null(False).not_())
        .drop("blocked_since")
    )


def unlabelled_periods(frame: pl.DataFrame) -> list[UnlabelledPeriod]:
    """Stretches of days in which transactions run on but frauds stop, so that their labels must be missing.

    A stretch counts when so many transactions without any fraud have a probability under one in a million, at the
    rate of the labelled days before it (after it, for one at the start). Models would learn such days as genuine.
    Transactions whose is_fraud is null say themselves that they have no label and are not counted.
    """
    labelled = _with_labels(frame).filter(pl.col("is_fraud").is_not_null())
    days = labelled.group_by(pl.col("time").dt.truncate("1d").alias("day")).agg(
        rows=pl.len(), frauds=pl.col("is_fraud").sum()
    )
    days = days.sort("day").with_columns(stretch=(pl.col("frauds") == 0).rle_id())
    stretches = days.group_by("stretch", maintain_order=True).agg(
        first=pl.col("day").first(), last=pl.col("day").last(), rows=pl.col("rows").sum(),
        frauds=pl.col("frauds").sum(),
    )  # fmt: skip
    all_rows, all_frauds = int(stretches["rows"].sum()), int(stretches["frauds"].sum())
    periods: list[UnlabelledPeriod] = []
    rows_before = frauds_before = 0
    for _, first, last, rows, frauds in stretches.iter_rows():
        rate = frauds_before / rows_before if frauds_before else all_frauds / max(all_rows - rows, 1)
        chance = float(np.exp(rows * np.log1p(-rate))) if rate < 1 else 0.0
        if frauds == 0 and chance < _MAX_CHANCE:
            periods.append(UnlabelledPeriod(first, last, rows, chance))
        else:
            rows_before, frauds_before = rows_before + rows, frauds_before + frauds
    return periods


def _with_labels(frame: pl.DataFrame) -> pl.DataFrame:
    if "is_fraud" in frame.columns:
        return frame
    return frame.with_columns(is_fraud=pl.lit(None, dtype=pl.Int64))


def _as_known(frame: pl.DataFrame, moment: datetime, delay_days: int) -> pl.DataFrame:
    is_later = (pl.col("is_fraud") == 1) & (known_at(frame.columns, delay_days) > moment)
    return frame.with_columns(pl.when(is_later).then(0).otherwise("is_fraud").alias("is_fraud"))


def _validation_shift(config: ProtocolConfig, delay_days: int) -> int:
    """Days between a fold and its validation fold."""
    return config.test_days + delay_days


def _midnight(moment: object) -> datetime:
    assert isinstance(moment, datetime), "the contract has no table without times"
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _too_short(
    begin: datetime, end: datetime, start: datetime, config: ProtocolConfig, delay_days: int
) -> str:
    needed = days_needed(config, delay_days)
    asked = (
        f"Expected at least {needed} days of transactions: {config.num_folds} folds that test {config.test_days} days "
        f"each, after {config.train_days} days of training and {delay_days} days until labels are known, and the "
        "validation before."
    )
    have = f"Received {(end - begin).days}, from {begin:%Y-%m-%d} to {end - timedelta(days=1):%Y-%m-%d}"
    if config.first_train_day is None:
        return f"{asked} {have}.\nSet protocol.num_folds, train_days or test_days lower, or give more days."
    first = start - timedelta(days=_validation_shift(config, delay_days))
    return (
        f"{asked} {have}; with protocol.first_train_day={config.first_train_day} they must reach from "
        f"{first:%Y-%m-%d} to {first + timedelta(days=needed - 1):%Y-%m-%d}."
    )
