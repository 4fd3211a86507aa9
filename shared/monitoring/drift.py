"""Does a batch look like the reference? Alarms at a stated false-alarm rate, whatever the size of the batch.

Fixed limits such as "PSI above 0.2" cry wolf on 100 rows and sleep on a million. Here the limits come from
simulated batches of the same size without drift: the true shares are drawn given the reference (which is a
sample too), a batch is drawn from them, and each statistic is computed as for the real batch. Over all
columns and statistics together, at most `false_alarm_rate` of such batches raise any alarm. Columns are
simulated independently; dependent ones make alarms rarer, not more frequent.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from shared.errors import RequestError
from shared.evaluation.arrays import FloatArray
from shared.evaluation.metric import finite_or_none
from shared.monitoring.bins import UNSEEN_PRIOR, level_bins, numeric_bins, range_prior
from shared.monitoring.profile import (
    NUM_BINS,
    CategoryProfile,
    NumericProfile,
    ReferenceProfile,
    bin_counts,
    checked_scores,
    is_category,
)
from shared.monitoring.simulation import Family, Simulated, cumulative_gap, psi, simulate_counts

# So many simulated false alarms fix the limit: its own error is then about a fifth of the stated rate.
MIN_SIMULATED_ALARMS = 20
MIN_SIMULATIONS = 2000


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column of a batch against the reference. PSI is 0 without drift; NaN when the batch has no values.

    `new_levels` counts the rows of levels that the reference never had: news, but an alarm only through PSI.
    """

    column: str
    psi: float
    psi_limit: float
    missing_share: float
    missing_change: float
    missing_limit: float
    new_levels: Mapping[str, int] = field(default_factory=dict)

    @property
    def drifted(self) -> bool:
        return self.psi > self.psi_limit or abs(self.missing_change) > self.missing_limit


@dataclass(frozen=True, slots=True)
class ScoreDrift:
    """The scores of a batch against the reference's: PSI over about ten bins, KS over a hundred steps."""

    psi: float
    psi_limit: float
    ks: float
    ks_limit: float
    mean: float
    reference_mean: float

    @property
    def drifted(self) -> bool:
        return self.psi > self.psi_limit or self.ks > self.ks_limit


@dataclass(frozen=True, slots=True)
class DriftReport:
    """A batch against the reference; without drift, any alarm has at most the chance `false_alarm_rate`."""

    num_rows: int
    false_alarm_rate: float
    columns: tuple[ColumnDrift, ...]
    scores: ScoreDrift | None

    @property
    def drifted(self) -> bool:
        return bool(self.drifted_columns) or (self.scores is not None and self.scores.drifted)

    @property
    def drifted_columns(self) -> tuple[str, ...]:
        return tuple(column.column for column in self.columns if column.drifted)

    @property
    def sentence(self) -> str:
        """Return the finding in one sentence, new levels included."""
        what = list(self.drifted_columns)
        if self.scores is not None and self.scores.drifted:
            what.insert(0, "the scores")
        rate = f"false-alarm rate {self.false_alarm_rate:.2%} per batch"
        finding = f"Drift in {', '.join(what)}" if what else "No drift"
        new = [f"{level!r} in {c.column}" for c in self.columns for level in c.new_levels]
        news = f" New levels: {', '.join(new[:5])}{' and more' if len(new) > 5 else ''}." if new else ""
        return f"{finding} among {self.num_rows:,} rows ({rate}).{news}"

    def to_json(self) -> dict[str, Any]:
        return {
            "num_rows": self.num_rows,
            "false_alarm_rate": self.false_alarm_rate,
            "drifted": self.drifted,
            "columns": [_plain(column) | {"drifted": column.drifted} for column in self.columns],
            "scores": _plain(self.scores) | {"drifted": self.scores.drifted} if self.scores else None,
        }


def _plain(result: ColumnDrift | ScoreDrift) -> dict[str, Any]:
    return {
        key: finite_or_none(value) if isinstance(value, float) else value
        for key, value in asdict(result).items()
    }


def drift(
    profile: ReferenceProfile,
    frame: pl.DataFrame,
    scores: ArrayLike | None = None,
    *,
    false_alarm_rate: float = 0.01,
    seed: int = 0,
) -> DriftReport:
    """Compare a batch (table and scores, shape (n,)) with the reference profile.

    Columns that the profile does not know are ignored. Raises RequestError for an empty batch, a missing
    column, a column of another kind (text instead of numbers), or scores that are not finite.
    """
    if not 0 < false_alarm_rate <= 0.5:
        raise RequestError(f"Expected a false-alarm rate above 0, up to 0.5. Received {false_alarm_rate!r}.")
    _check_batch(profile, frame)
    num_simulations = max(MIN_SIMULATIONS, round(MIN_SIMULATED_ALARMS / false_alarm_rate))
    family = Family(num_simulations)
    generator = np.random.default_rng(seed)
    pending = [
        _column_tests(name, reference, frame[name], profile.num_rows, family, generator)
        for name, reference in profile.columns.items()
    ]
    pending_scores = None
    if profile.scores is not None and scores is not None:
        pending_scores = _score_tests(profile.scores, checked_scores(scores, frame.height), family, generator)
    family.close(false_alarm_rate)
    columns = tuple(column.finished() for column in pending)
    score_drift = pending_scores.finished() if pending_scores else None
    return DriftReport(frame.height, false_alarm_rate, columns, score_drift)


def _check_batch(profile: ReferenceProfile, frame: pl.DataFrame) -> None:
    if frame.height == 0:
        raise RequestError("Expected a batch with rows. Received an empty table.")
    if missing := [name for name in profile.columns if name not in frame.columns]:
        raise RequestError(f"Expected the columns of the reference. Missing: {', '.join(missing)}.")
    for name, reference in profile.columns.items():
        dtype = frame.schema[name]
        fits = dtype.is_numeric() if isinstance(reference, NumericProfile) else is_category(dtype)
        if not fits and dtype != pl.Null:
            raise RequestError(f"Expected column {name} as {reference.kind}. Received type {dtype}.")


@dataclass(frozen=True, slots=True)
class _PendingColumn:
    """A column's statistics, waiting for the limits of the whole family."""

    column: str
    psi: Simulated
    missing_share: float
    missing_change: float
    missing: Simulated
    new_levels: dict[str, int]

    def finished(self) -> ColumnDrift:
        missing_limit = float(np.sqrt(self.missing.limit()))
        return ColumnDrift(
            self.column,
            self.psi.observed,
            self.psi.limit(),
            self.missing_share,
            self.missing_change,
            missing_limit,
            self.new_levels,
        )


def _column_tests(
    name: str,
    reference: NumericProfile | CategoryProfile,
    column: pl.Series,
    num_reference_rows: int,
    family: Family,
    generator: np.random.Generator,
) -> _PendingColumn:
    new_levels: dict[str, int] = {}
    if isinstance(reference, NumericProfile):
        reference_counts, prior, counts = numeric_bins(reference, column)
    else:
        reference_counts, prior, counts, new_levels = level_bins(reference, column)
    simulated = simulate_counts(reference_counts + prior, int(counts.sum()), family.size, generator)
    psi_test = family.add(psi(reference_counts, counts), psi(reference_counts, simulated))

    num_missing = column.len() - int(counts.sum())
    reference_share = reference.num_missing / num_reference_rows
    alpha = np.array([reference.num_missing, num_reference_rows - reference.num_missing]) + UNSEEN_PRIOR
    simulated_share = simulate_counts(alpha, column.len(), family.size, generator)[:, 0] / column.len()
    change = num_missing / column.len() - reference_share
    missing_test = family.add(change**2, (simulated_share - reference_share) ** 2)
    return _PendingColumn(name, psi_test, num_missing / column.len(), change, missing_test, new_levels)


@dataclass(frozen=True, slots=True)
class _PendingScores:
    psi: Simulated
    ks: Simulated
    mean: float
    reference_mean: float

    def finished(self) -> ScoreDrift:
        ks, ks_limit = float(np.sqrt(self.ks.observed)), float(np.sqrt(self.ks.limit()))
        return ScoreDrift(self.psi.observed, self.psi.limit(), ks, ks_limit, self.mean, self.reference_mean)


def _score_tests(
    reference: NumericProfile, score_n: FloatArray, family: Family, generator: np.random.Generator
) -> _PendingScores:
    """Test the scores on the fine steps (KS) and on about ten groups of them (PSI)."""
    steps = np.asarray(reference.counts)
    counts = bin_counts(score_n, reference.edges)
    simulated = simulate_counts(steps + range_prior(reference), score_n.size, family.size, generator)
    middle = (np.cumsum(steps) - 0.5 * steps) / steps.sum()
    starts = np.unique((middle * NUM_BINS).astype(np.int64), return_index=True)[1]
    coarse, coarse_counts, coarse_simulated = (
        np.add.reduceat(table, starts, axis=-1) for table in (steps, counts, simulated)
    )
    return _PendingScores(
        family.add(psi(coarse, coarse_counts), psi(coarse, coarse_simulated)),
        family.add(cumulative_gap(steps, counts) ** 2, cumulative_gap(steps, simulated) ** 2),
        float(score_n.mean()),
        float("nan") if reference.mean is None else reference.mean,
    )
