"""Means over folds with intervals over days: whole days of each fold are drawn anew, the same for all models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from shared.evaluation.bootstrap import Resampler, interval, replicates
from shared.evaluation.cells import BinaryStatistic
from shared.evaluation.compare import Comparison, excludes_zero, two_sided_p
from shared.evaluation.metric import Metric, undefined

NO_LABELS = "of no test transaction is it known whether it was fraud"


@dataclass(frozen=True, slots=True, eq=False)
class OverFolds:
    """One statistic of all models on all folds.

    values: model -> (folds,). drawn: model -> (folds, replicates), of the same resamples for all models. num_days: in
    all folds together.
    """

    statistic: BinaryStatistic
    values: Mapping[str, np.ndarray]
    drawn: Mapping[str, np.ndarray]
    num_days: int

    @classmethod
    def of(
        cls,
        table: pl.DataFrame,
        models: Sequence[str],
        statistic: BinaryStatistic,
        *,
        num_replicates: int,
        seed: int,
    ) -> "OverFolds":
        """From test transactions with fold, time, is_fraud (never null) and a column of scores for each model."""
        values: dict[str, list[float]] = {model: [] for model in models}
        drawn: dict[str, list[np.ndarray]] = {model: [] for model in models}
        for number, (_, fold) in enumerate(table.group_by("fold", maintain_order=True)):
            y = fold["is_fraud"].to_numpy()
            ranked = [merged(y, fold[model].to_numpy()) for model in models]
            resampler = Resampler(len(y), groups=fold["time"].dt.date().to_numpy(), seed=seed + number)
            found = replicates(statistic, [y], ranked, resampler, num_replicates)
            for model, score, row in zip(models, ranked, found, strict=True):
                values[model].append(statistic(y, score))
                drawn[model].append(row)
        return cls(
            statistic,
            {model: np.array(found) for model, found in values.items()},
            {model: np.array(found).reshape(-1, num_replicates) for model, found in drawn.items()},
            table["time"].dt.date().n_unique(),
        )

    def metric(self, model: str, name: str) -> Metric:
        """The mean over folds of a model with its 95 % interval; `n` counts days."""
        values = self.values[model]
        if not len(values) or not np.isfinite(values).all():
            reason = NO_LABELS if not len(values) else "a fold has transactions of one class only"
            return undefined(name, reason, higher_is_better=self.statistic.higher_is_better)
        value = float(values.mean())
        low, high = interval(value, self.drawn[model].mean(0))
        if not np.isfinite(low):
            low = high = float("nan")
        else:
            low, high = min(low, value), max(high, value)
        return Metric(name, value, low, high, "", self.statistic.higher_is_better, self.num_days)

    def compare(self, first: str, second: str) -> Comparison:
        """The mean over folds of the first model minus that of the second, paired by days."""
        name, better = self.statistic.name, self.statistic.higher_is_better
        differences = self.values[first] - self.values[second]
        difference = float(differences.mean()) if len(differences) else float("nan")
        drawn = (self.drawn[first] - self.drawn[second]).mean(0) if len(differences) else np.array([])
        low, high = interval(difference, drawn)
        if not np.isfinite(low):
            nan = float("nan")
            return Comparison(name, difference, nan, nan, self.num_days, False, nan, better)
        low, high = min(low, difference), max(high, difference)
        p_value = two_sided_p(drawn)
        return Comparison(
            name, difference, low, high, self.num_days, excludes_zero(low, high), p_value, better
        )


def merged(y: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Scores as ranks in which genuine transactions with no fraud between them are equal, float64 of shape (rows,).

    No order between a fraud and a genuine transaction changes, so average precision and ROC-AUC stay what they are,
    and a bootstrap runs over hundreds of distinct scores instead of tens of thousands.
    """
    distinct, place = np.unique(scores, return_inverse=True)
    has_fraud = np.bincount(place, weights=y, minlength=len(distinct)) > 0
    starts = has_fraud | np.append(True, has_fraud[:-1]) if len(distinct) else has_fraud
    ranks: np.ndarray = np.cumsum(starts)[place].astype(np.float64)
    return ranks
