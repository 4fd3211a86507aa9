"""The same features for one incoming transaction, from a state that keeps what windows still need.

The state survives a restart (`save`, `load`) and is bounded: what is older than the longest window, for terminals and
categories the longest window and the label delay, is dropped. One observation takes a few dozen microseconds (2026-11).
"""

import math
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.fraud_detection import state_file
from pipelines.fraud_detection.config import FeatureConfig
from pipelines.fraud_detection.features import feature_names, require_categories, risk_name, share_name
from pipelines.fraud_detection.windows import DAY_US, HOUR_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SATURDAY = 5  # of datetime.weekday
_SWEPT_AT_ONCE = 2
# What lies before a window is dropped once it is this share of all: dropping always would move the rest always.
_OLD_SHARE = 1 / 8
NO_CATEGORIES: Mapping[str, str | None] = MappingProxyType({})


class Transaction(NamedTuple):
    """One incoming transaction; `time` with its offset. categories: name -> value, None where unknown."""

    time: datetime
    customer_id: str
    terminal_id: str
    amount: float
    categories: Mapping[str, str | None] = NO_CATEGORIES


@dataclass(slots=True)
class _Customer:
    """Microseconds, ascending, amounts and values of categories of the transactions of the longest window."""

    times: array = field(default_factory=lambda: array("q"))
    amounts: array = field(default_factory=lambda: array("d"))
    values: list[Sequence[str | None]] = field(default_factory=list)

    def drop(self, horizon: int) -> bool:
        """Forget what lies up to and including the horizon; whether nothing is left."""
        old = bisect_right(self.times, horizon)
        del self.times[:old], self.amounts[:old], self.values[:old]
        return not self.times


@dataclass(slots=True)
class _Place:
    """A terminal or a value of a category: microseconds, ascending, of transactions and of frauds becoming known."""

    times: array = field(default_factory=lambda: array("q"))
    known: array = field(default_factory=lambda: array("q"))

    def drop(self, transactions_horizon: int, frauds_horizon: int) -> bool:
        """Forget what lies up to and including the horizons, once it is much; whether nothing is left."""
        _drop(self.times, transactions_horizon)
        _drop(self.known, frauds_horizon)
        return not (self.times or self.known)


class FeatureState:
    """What is known of customers, terminals and categories now. For one thread.

    labelled: whether the features hold the risk of terminals and categories, which `learn_label` feeds.
    """

    def __init__(self, config: FeatureConfig, labelled: bool, categories: Sequence[str] = ()) -> None:
        self._config, self._labelled, self._categories = config, labelled, tuple(categories)
        self._windows = [(days, days * DAY_US) for days in config.windows_days]
        self._longest_us = self._windows[-1][1]
        self._delay_us = config.label_delay_days * DAY_US
        self._zone = ZoneInfo(config.time_zone)
        self._names = feature_names(config, labelled, categories)
        self._now = -(1 << 62)
        self._customers: OrderedDict[str, _Customer] = OrderedDict()
        self._places: OrderedDict[tuple[str, str | None], _Place] = OrderedDict()

    @property
    def num_events(self) -> int:
        """How many transactions and known frauds are kept, counted once for each that remembers them."""
        customers = sum(len(one.times) for one in self._customers.values())
        return customers + sum(len(one.times) + len(one.known) for one in self._places.values())

    def observe(self, transaction: Transaction) -> dict[str, float]:
        """Features of a transaction, by `feature_names`, equal to those of `compute_features`; it is then known.

        Transactions come in the order of time. One that comes late gets its features of what was known by its time,
        as far as the state reaches back, and counts for those that come after it. Raises RequestError when a category
        is missing.
        """
        require_categories(transaction.categories, self._categories)
        moment = _microseconds(transaction.time)
        self._now = max(self._now, moment)
        self._sweep()
        found = self._of_the_moment(transaction)
        found |= self._of_the_customer(transaction, moment)
        found |= self._of_the_places(transaction, moment)
        return {name: found[name] for name in self._names}

    def learn_label(
        self,
        terminal_id: str,
        time: datetime,
        label_time: datetime | None = None,
        categories: Mapping[str, str | None] = NO_CATEGORIES,
    ) -> None:
        """A transaction of `time` at this terminal, with these categories, turned out to be fraud; known since
        `label_time`.

        None: since `time` and the label delay. It counts for transactions from then on and may be told before or after.
        Raises RequestError when a category is missing.
        """
        assert self._labelled, "a state without labels learns none"
        require_categories(categories, self._categories)
        moment = _microseconds(time)
        known = moment + self._delay_us if label_time is None else _microseconds(label_time)
        for key in self._keys(terminal_id, categories):
            _insert(self._places.setdefault(key, _Place()).known, max(known, moment + 1))

    def save(self, path: Path) -> None:
        """Write the state to one Parquet file, whole or not at all."""
        rows: list[state_file.Row] = [
            (False, state_file.CUSTOMER, name, *event)
            for name, one in self._customers.items()
            for event in zip(one.times, one.amounts, one.values, strict=True)
        ]
        for (column, value), place in self._places.items():
            rows += [(False, column, value, time, None, None) for time in place.times]
            rows += [(True, column, value, time, None, None) for time in place.known]
        state_file.write(
            path, rows, self._now, state_file.described(self._config, self._labelled, self._categories)
        )

    @classmethod
    def load(cls, path: Path, config: FeatureConfig, labelled: bool, categories: Sequence[str] = ()) -> Self:
        """The state that `save` wrote. Raises RequestError for another file or one of another configuration."""
        events, now = state_file.read(path, state_file.described(config, labelled, categories))
        return cls(config, labelled, categories)._with(events, now)

    @classmethod
    def after(
        cls, frame: pl.DataFrame, config: FeatureConfig, labelled: bool, categories: Sequence[str] = ()
    ) -> Self:
        """The state after all transactions and labels of a table valid under `card_transactions`."""
        now = _microseconds(frame["time"].max())  # type: ignore[arg-type]  # the contract has no nulls there
        events = state_file.events_of(frame, config, labelled, categories)
        return cls(config, labelled, categories)._with(events, now)

    def _with(self, events: Iterable[state_file.Events], now: int) -> Self:
        self._now = now
        for are_frauds, column, name, times, amounts, values in events:
            if column == state_file.CUSTOMER:
                assert name is not None, "customers have names"
                self._customers[name] = _Customer(array("q", times), array("d", amounts), values)
                continue
            place = self._places.setdefault((column, name), _Place())
            (place.known if are_frauds else place.times).extend(times)
        return self

    def _keys(
        self, terminal_id: str, categories: Mapping[str, str | None]
    ) -> Iterator[tuple[str, str | None]]:
        """The places of a transaction: its terminal and, with labels, the value of each category."""
        yield state_file.TERMINAL, terminal_id
        if self._labelled:
            yield from ((name, categories[name]) for name in self._categories)

    def _sweep(self) -> None:
        """Look at a few members in turn, so that those that never come back are forgotten at no cost to anyone."""
        horizon = self._now - self._longest_us
        for _ in range(min(_SWEPT_AT_ONCE, len(self._customers))):
            name, customer = self._customers.popitem(last=False)
            if not customer.drop(horizon):
                self._customers[name] = customer
        # as many more as an observation may add
        for _ in range(min(_SWEPT_AT_ONCE * (1 + len(self._categories)), len(self._places))):
            key, place = self._places.popitem(last=False)
            if not place.drop(horizon - self._delay_us, horizon):
                self._places[key] = place

    def _of_the_moment(self, transaction: Transaction) -> dict[str, float]:
        local = transaction.time.astimezone(self._zone)
        first, last = self._config.night_hours
        night = first <= local.hour <= last if first <= last else not last < local.hour < first
        return {
            "amount": transaction.amount,
            "during_weekend": float(local.weekday() >= _SATURDAY),
            "during_night": float(night),
        }

    def _of_the_customer(self, transaction: Transaction, moment: int) -> dict[str, float]:
        customer = self._customers.setdefault(transaction.customer_id, _Customer())
        customer.drop(self._now - self._longest_us)
        place = _insert(customer.times, moment)
        customer.amounts.insert(place, transaction.amount)
        values = tuple(transaction.categories[name] for name in self._categories)
        customer.values.insert(place, values)
        since = moment - customer.times[place - 1] if place else self._longest_us
        found = {"hours_since_last": min(since, self._longest_us) / HOUR_US}
        for days, length in self._windows:
            start = bisect_right(customer.times, moment - length)
            mean = math.fsum(customer.amounts[start : place + 1]) / (place + 1 - start)
            found[f"customer_count_{days}d"] = float(place + 1 - start)
            found[f"customer_mean_amount_{days}d"] = mean
        found["amount_to_customer_mean"] = transaction.amount / mean if mean > 0 else 1.0
        window = customer.values[start : place + 1]
        for at, name in enumerate(self._categories):
            found[share_name(name)] = sum(one[at] == values[at] for one in window) / len(window)
        return found

    def _of_the_places(self, transaction: Transaction, moment: int) -> dict[str, float]:
        found = {}
        terminal, *values = self._keys(transaction.terminal_id, transaction.categories)
        for days, count, risk in self._behind_the_delay(terminal, moment, self._windows):
            found[f"terminal_count_{days}d"] = float(count)
            found[risk_name("terminal", days)] = risk
        for key in values:
            [(days, _, risk)] = self._behind_the_delay(key, moment, self._windows[-1:])
            found[risk_name(key[0], days)] = risk
        return found

    def _behind_the_delay(
        self, key: tuple[str, str | None], moment: int, windows: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int, float]]:
        """Remember a transaction of a place; for each window its days, the transactions in it, and their risk."""
        place = self._places.setdefault(key, _Place())
        horizon = self._now - self._longest_us
        place.drop(horizon - self._delay_us, horizon)
        own = _insert(place.times, moment)
        end = min(bisect_right(place.times, moment - self._delay_us), own + 1)
        known_by_now = bisect_right(place.known, moment)
        found = []
        for days, length in windows:
            count = end - bisect_right(place.times, moment - self._delay_us - length)
            known = known_by_now - bisect_right(place.known, moment - length)
            found.append((days, count, known / max(count, known, 1)))
        return found


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _insert(times: array, moment: int) -> int:
    """Put a moment behind all that are not later; its place."""
    place = bisect_right(times, moment)
    times.insert(place, moment)
    return place


def _drop(times: array, horizon: int) -> None:
    """Forget what lies up to and including the horizon, once it is much."""
    old = bisect_right(times, horizon)
    if old >= _OLD_SHARE * len(times):
        del times[:old]
