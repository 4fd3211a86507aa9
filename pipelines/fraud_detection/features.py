"""What is known of each transaction at the moment it comes in: recency, frequency, amount, risk of the terminal, and
of the categories that a table declares.

With windows of 1, 7 and 30 days these hold the 15 features of the Fraud Detection Handbook (Le Borgne et al. 2022,
chapter 3). Windows are half-open, (t - w, t]; the transaction itself counts; of equal times, the earlier row comes
first. 1.5 million transactions take 2 s of processor time (2026-11).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
import polars as pl

from pipelines.fraud_detection.config import FeatureConfig
from pipelines.fraud_detection.labels import has_labels, known_at
from pipelines.fraud_detection.windows import DAY_US, HOUR_US, Clock, History, PrefixSums, numbered
from shared.errors import RequestError

_FIRST_WEEKEND_DAY = 6  # ISO: Saturday
Columns = Iterator[tuple[str, np.ndarray]]


def feature_names(config: FeatureConfig, labelled: bool, categories: Sequence[str] = ()) -> tuple[str, ...]:
    """The features in their order; the risk of terminals and of categories only with labels.

    Raises RequestError for a category whose features would be called like others.
    """
    windows = config.windows_days
    of_categories = []
    for category in categories:
        of_categories.append(share_name(category))
        of_categories += [risk_name(category, windows[-1])] * labelled
    names = (
        "amount",
        "during_weekend",
        "during_night",
        "hours_since_last",
        *(f"customer_count_{days}d" for days in windows),
        *(f"customer_mean_amount_{days}d" for days in windows),
        "amount_to_customer_mean",
        *(f"terminal_count_{days}d" for days in windows),
        *(risk_name("terminal", days) for days in windows if labelled),
        *of_categories,
    )
    clashing = [name for name in categories if name in names or names.count(risk_name(name, windows[-1])) > 1]
    if clashing:
        raise RequestError(
            f"data.categories: Expected names that no feature has or begins with. Received {', '.join(clashing)}: "
            "rename the column."
        )
    return names


def share_name(category: str) -> str:
    """The feature that says how usual the value of a category is for the customer."""
    return f"customer_share_of_{category}"


def risk_name(place: str, days: int) -> str:
    """The feature that says how many frauds became known of a terminal, or of a value of a category."""
    return f"{place}_risk_{days}d"


def require_categories(given: Iterable[str], categories: Sequence[str]) -> None:
    """Raises RequestError when one of the categories that are features is not among the given columns."""
    missing = sorted(set(categories) - set(given))
    if missing:
        raise RequestError(
            f"Expected the categories {', '.join(categories)}, which are features of the model. Received transactions "
            f"without {', '.join(missing)}: give them, null where unknown, or train without them (data.categories)."
        )


def compute_features(
    frame: pl.DataFrame,
    config: FeatureConfig,
    labelled: bool | None = None,
    categories: Sequence[str] = (),
) -> pl.DataFrame:
    """Features of each transaction from what was known at its time: transaction_id and `feature_names`, float64.

    frame: valid under `card_transactions`, in any order, which the result keeps. labelled: with or without the risk of
    terminals and categories; None: with it when the table has labels. categories: columns of text. The features are:

    - amount; during_weekend and during_night (0 or 1), in the time zone of the configuration;
    - hours_since_last: since the customer's transaction before, at most (and for the first) the longest window;
    - customer_count_{w}d, customer_mean_amount_{w}d: of the customer in (t - w, t];
    - amount_to_customer_mean: amount / mean of the longest window; 1 where that is 0;
    - terminal_count_{w}d: of the terminal in (t - delay - w, t - delay];
    - terminal_risk_{w}d: frauds of the terminal that became known in (t - w, t], divided by terminal_count_{w}d, or by
      their own number where labels come faster than the delay and are more; from 0 to 1, 0 where there are none;
    - customer_share_of_{c}, for each category c: share of the customer's transactions in the longest window (t - w, t]
      that have the same value as this one, null being a value, too; small where a value is new to the customer;
    - {c}_risk_{w}d: for each category and the longest window, as for terminals, of all transactions with this value.

    Raises RequestError when a category is missing or has the name of something else.
    """
    require_categories(frame.columns, categories)
    if labelled is None:
        labelled = has_labels(frame)
    clock = Clock(frame["time"].dt.timestamp("us").to_numpy())
    columns = dict(_of_the_moment(frame, config))
    customers = History(numbered(frame["customer_id"]), clock)
    columns |= _of_the_customer(customers, frame["amount"].to_numpy(), config)
    frauds = _Frauds.of(frame, config) if labelled else None
    columns |= _of_the_terminal(History(numbered(frame["terminal_id"]), clock), frauds, config)
    count = columns[f"customer_count_{config.windows_days[-1]}d"]
    for category in categories:
        columns |= _of_the_category(frame, category, clock, count, frauds, config)
    names = feature_names(config, labelled, categories)
    return pl.DataFrame([frame["transaction_id"], *(pl.Series(name, columns[name]) for name in names)])


def _of_the_moment(frame: pl.DataFrame, config: FeatureConfig) -> Columns:
    local = frame["time"].dt.convert_time_zone(config.time_zone)
    first, last = config.night_hours
    hour = local.dt.hour().to_numpy()
    night = (hour >= first) & (hour <= last) if first <= last else (hour >= first) | (hour <= last)
    yield "amount", frame["amount"].to_numpy()
    yield "during_weekend", (local.dt.weekday().to_numpy() >= _FIRST_WEEKEND_DAY).astype(np.float64)
    yield "during_night", night.astype(np.float64)


def _of_the_customer(history: History, amounts: np.ndarray, config: FeatureConfig) -> Columns:
    cap_hours = 24.0 * config.windows_days[-1]
    since = np.minimum(history.since_previous() / HOUR_US, cap_hours)
    yield "hours_since_last", history.in_rows(since)

    amount = amounts[history.order]
    sums, end = PrefixSums(amount), history.until(0)
    for days in config.windows_days:
        start = history.until(days * DAY_US)
        count = end - start
        mean = sums.between(start, end) / count
        yield f"customer_count_{days}d", history.in_rows(count)
        yield f"customer_mean_amount_{days}d", history.in_rows(mean)
    ratio = np.divide(amount, mean, out=np.ones_like(amount), where=mean > 0)
    yield "amount_to_customer_mean", history.in_rows(ratio)


def _of_the_terminal(history: History, frauds: "_Frauds | None", config: FeatureConfig) -> Columns:
    for days, count, risk in _behind_the_delay(history, frauds, config.windows_days, config.label_delay_days):
        yield f"terminal_count_{days}d", history.in_rows(count)
        if risk is not None:
            yield risk_name("terminal", days), history.in_rows(risk)


def _of_the_category(
    frame: pl.DataFrame,
    category: str,
    clock: Clock,
    customer_count: np.ndarray,
    frauds: "_Frauds | None",
    config: FeatureConfig,
) -> Columns:
    """customer_count: transactions of the customer in the longest window, of shape (rows,)."""
    longest = config.windows_days[-1]
    alike = History(numbered(frame["customer_id"], frame[category]), clock)
    same = alike.in_rows(alike.until(0) - alike.until(longest * DAY_US))
    yield share_name(category), same / customer_count
    if frauds is not None:
        history = History(numbered(frame[category]), clock)
        [(_, _, risk)] = _behind_the_delay(history, frauds, (longest,), config.label_delay_days)
        assert risk is not None, "with frauds there is a risk"
        yield risk_name(category, longest), history.in_rows(risk)


def _behind_the_delay(
    history: History, frauds: "_Frauds | None", windows_days: Sequence[int], delay_days: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    """For each window its days, the transactions of (t - delay - w, t - delay] and, with labels, the risk of them."""
    known = None if frauds is None else history.events(frauds.rows, frauds.known_at)
    end = history.until(delay_days * DAY_US)
    for days in windows_days:
        count = end - history.until((delay_days + days) * DAY_US)
        risk = None
        if known is not None:
            num_known = known.until(0) - known.until(days * DAY_US)
            risk = num_known / np.maximum(np.maximum(count, num_known), 1)
        yield days, count, risk


class _Frauds(NamedTuple):
    """Which rows of the table are frauds, bool, and when each row's label became known, microseconds; (rows,)."""

    rows: np.ndarray
    known_at: np.ndarray

    @classmethod
    def of(cls, frame: pl.DataFrame, config: FeatureConfig) -> Self:
        known = frame.select(known_at(frame.columns, config.label_delay_days).dt.timestamp("us")).to_series()
        return cls(frame["is_fraud"].eq(1).fill_null(False).to_numpy(), known.to_numpy())
