"""What analysts care about, day by day: how many of the cards that they look at are compromised, and what they miss.

Values of days are the unit of intervals: the transactions of a day share its customers and frauds.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

# The Handbook's number of cards that can be looked at on a day.
CARDS_A_DAY = 100


@dataclass(frozen=True, slots=True, eq=False)
class DailyValues:
    """One value for each day that has one: days (midnights in UTC), float64 values from 0 to 1, higher is better."""

    days: tuple[datetime, ...]
    values: np.ndarray

    @property
    def mean(self) -> float:
        """Mean over days; NaN without any."""
        return float(self.values.mean()) if len(self.values) else float("nan")


def card_precision_at_k(
    times: pl.Series, customer_ids: pl.Series, scores: np.ndarray, is_fraud: np.ndarray, k: int = CARDS_A_DAY
) -> DailyValues:
    """Share of the `k` highest-scored cards of each day that have a fraud on that day.

    scores and is_fraud (0 or 1) of shape (transactions,), higher scores are more suspicious. The score of a card is
    that of its most suspicious transaction of the day; equal ones go in the order of customer ids. Cards that were
    found are left out on later days: they are blocked. A day with fewer than `k` cards is still divided by `k`.

    Source: Fraud Detection Handbook (Le Borgne et al. 2022), chapter 4.
    """
    table = pl.DataFrame(
        {"day": times.dt.truncate("1d"), "customer": customer_ids, "score": scores, "is_fraud": is_fraud}
    )
    cards = (
        table.group_by("day", "customer")
        .agg(pl.col("score").max(), pl.col("is_fraud").max())
        .sort("day", "score", "customer", descending=[False, True, False])
    )
    found: set[str] = set()
    values = {}
    for (day,), ranked in cards.group_by("day", maintain_order=True):
        open_cards = ranked.filter(pl.col("customer").is_in(list(found)).not_()).head(k)
        hits = open_cards.filter(pl.col("is_fraud") == 1)["customer"]
        found.update(hits)
        values[day] = len(hits) / k
    return DailyValues(tuple(values), np.array(list(values.values()), dtype=np.float64))


def recall_at_budget(
    times: pl.Series, scores: np.ndarray, is_fraud: np.ndarray, alerts_a_day: int
) -> DailyValues:
    """Share of each day's frauds that are among its `alerts_a_day` most suspicious transactions.

    scores and is_fraud (0 or 1) of shape (transactions,), higher scores are more suspicious. Days without any fraud
    have no value.
    """
    table = pl.DataFrame(
        {
            "day": times.dt.truncate("1d"),
            "is_alert": ranks_of_day(times, scores) <= alerts_a_day,
            "is_fraud": is_fraud,
        }
    )
    days = table.filter(pl.col("is_fraud") == 1).group_by("day").agg(pl.col("is_alert").mean()).sort("day")
    return DailyValues(tuple(days["day"]), days["is_alert"].to_numpy())


def ranks_of_day(times: pl.Series, scores: np.ndarray) -> np.ndarray:
    """Rank of each transaction among those of its day in UTC, int64; 1 is the most suspicious, equal ones by row."""
    table = pl.DataFrame({"day": times.dt.truncate("1d"), "score": scores})
    ranks = table.select(pl.col("score").rank("ordinal", descending=True).over("day"))
    return ranks.to_series().to_numpy().astype(np.int64)
