"""The same features for one incoming transaction, from a state that keeps what windows still need.

The state survives a restart (`save`, `load`) and is bounded: what is older than the longest window, for terminals the
longest window and the label delay, is dropped. One observation takes a few dozen microseconds (2026-11).
"""

import math
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.fraud_detection import state_file
from pipelines.fraud_detection.config import FeatureConfig
from pipelines.fraud_detection.features import feature_names
from pipelines.fraud_detection.windows import DAY_US, HOUR_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SATURDAY = 5  # of datetime.weekday
_SWEPT_AT_ONCE = 2


class Transaction(NamedTuple):
    """One incoming transaction; `time` with its offset."""

    time: datetime
    customer_id: str
    terminal_id: str
    amount: float


@dataclass(slots=True)
class _Customer:
    """Microseconds, ascending, and amounts of the transactions of the longest window."""

    times: array = field(default_factory=lambda: array("q"))
    amounts: array = field(default_factory=lambda: array("d"))

    def drop(self, horizon: int) -> bool:
        """Forget what lies up to and including the horizon; whether nothing is left."""
        old = bisect_right(self.times, horizon)
        del self.times[:old], self.amounts[:old]
        return not self.times


@dataclass(slots=True)
class _Terminal:
    """Microseconds, ascending, of transactions and of the moments at which frauds became known."""

    times: array = field(default_factory=lambda: array("q"))
    known: array = field(default_factory=lambda: array("q"))

    def drop(self, transactions_horizon: int, frauds_horizon: int) -> bool:
        """Forget what lies up to and including the horizons; whether nothing is left."""
        del self.times[: bisect_right(self.times, transactions_horizon)]
        del self.known[: bisect_right(self.known, frauds_horizon)]
        return not (self.times or self.known)


class FeatureState:
    """What is known of customers and terminals now. For one thread.

    labelled: whether the features hold the risk of terminals, which `learn_label` feeds.
    """

    def __init__(self, config: FeatureConfig, labelled: bool) -> None:
        self._config, self._labelled = config, labelled
        self._windows = [(days, days * DAY_US) for days in config.windows_days]
        self._longest_us = self._windows[-1][1]
        self._delay_us = config.label_delay_days * DAY_US
        self._zone = ZoneInfo(config.time_zone)
        self._names = feature_names(config, labelled)
        self._now = -(1 << 62)
        self._customers: OrderedDict[str, _Customer] = OrderedDict()
        self._terminals: OrderedDict[str, _Terminal] = OrderedDict()

    @property
    def num_events(self) -> int:
        """How many transactions and known frauds are kept, those of a transaction at both its ends counted twice."""
        customers = sum(len(one.times) for one in self._customers.values())
        return customers + sum(len(one.times) + len(one.known) for one in self._terminals.values())

    def observe(self, transaction: Transaction) -> dict[str, float]:
        """Features of a transaction, by `feature_names`, equal to those of `compute_features`; it is then known.

        Transactions come in the order of time. One that comes late gets its features of what was known by its time,
        as far as the state reaches back, and counts for those that come after it.
        """
        moment = _microseconds(transaction.time)
        self._now = max(self._now, moment)
        self._sweep()
        found = self._of_the_moment(transaction)
        found |= self._of_the_customer(transaction, moment)
        found |= self._of_the_terminal(transaction.terminal_id, moment)
        return {name: found[name] for name in self._names}

    def learn_label(self, terminal_id: str, time: datetime, label_time: datetime | None = None) -> None:
        """A transaction of `time` at this terminal turned out to be fraud; known since `label_time`.

        None: since `time` and the label delay. It counts for transactions from then on and may be told before or after.
        """
        assert self._labelled, "a state without labels learns none"
        moment = _microseconds(time)
        known = moment + self._delay_us if label_time is None else _microseconds(label_time)
        _insert(self._terminals.setdefault(terminal_id, _Terminal()).known, max(known, moment + 1))

    def save(self, path: Path) -> None:
        """Write the state to one Parquet file, whole or not at all."""
        rows = [
            (state_file.CUSTOMER, name, time, amount)
            for name, one in self._customers.items()
            for time, amount in zip(one.times, one.amounts, strict=True)
        ]
        for name, one in self._terminals.items():
            rows += [(state_file.TERMINAL, name, time, None) for time in one.times]
            rows += [(state_file.FRAUD, name, time, None) for time in one.known]
        state_file.write(path, rows, self._now, self._config, self._labelled)

    @classmethod
    def load(cls, path: Path, config: FeatureConfig, labelled: bool) -> Self:
        """The state that `save` wrote. Raises RequestError for another file or one of another configuration."""
        events, now = state_file.read(path, config, labelled)
        return cls(config, labelled)._with(events, now)

    @classmethod
    def after(cls, frame: pl.DataFrame, config: FeatureConfig, labelled: bool) -> Self:
        """The state after all transactions and labels of a table valid under `card_transactions`."""
        now = _microseconds(frame["time"].max())  # type: ignore[arg-type]  # the contract has no nulls there
        return cls(config, labelled)._with(state_file.events_of(frame, config, labelled), now)

    def _with(self, events: Iterable[state_file.Events], now: int) -> Self:
        self._now = now
        for kind, name, times, amounts in events:
            if kind == state_file.CUSTOMER:
                self._customers[name] = _Customer(array("q", times), array("d", amounts))
                continue
            terminal = self._terminals.setdefault(name, _Terminal())
            (terminal.times if kind == state_file.TERMINAL else terminal.known).extend(times)
        return self

    def _sweep(self) -> None:
        """Look at a few members in turn, so that those that never come back are forgotten at no cost to anyone."""
        horizon = self._now - self._longest_us
        for _ in range(min(_SWEPT_AT_ONCE, len(self._customers))):
            name, customer = self._customers.popitem(last=False)
            if not customer.drop(horizon):
                self._customers[name] = customer
        for _ in range(min(_SWEPT_AT_ONCE, len(self._terminals))):
            name, terminal = self._terminals.popitem(last=False)
            if not terminal.drop(horizon - self._delay_us, horizon):
                self._terminals[name] = terminal

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
        since = moment - customer.times[place - 1] if place else self._longest_us
        found = {"hours_since_last": min(since, self._longest_us) / HOUR_US}
        for days, length in self._windows:
            start = bisect_right(customer.times, moment - length)
            mean = math.fsum(customer.amounts[start : place + 1]) / (place + 1 - start)
            found[f"customer_count_{days}d"] = float(place + 1 - start)
            found[f"customer_mean_amount_{days}d"] = mean
        found["amount_to_customer_mean"] = transaction.amount / mean if mean > 0 else 1.0
        return found

    def _of_the_terminal(self, name: str, moment: int) -> dict[str, float]:
        terminal = self._terminals.setdefault(name, _Terminal())
        horizon = self._now - self._longest_us
        terminal.drop(horizon - self._delay_us, horizon)
        place = _insert(terminal.times, moment)
        end = min(bisect_right(terminal.times, moment - self._delay_us), place + 1)
        known_by_now = bisect_right(terminal.known, moment)
        found = {}
        for days, length in self._windows:
            count = end - bisect_right(terminal.times, moment - self._delay_us - length)
            known = known_by_now - bisect_right(terminal.known, moment - length)
            found[f"terminal_count_{days}d"] = float(count)
            found[f"terminal_risk_{days}d"] = known / max(count, known, 1)
        return found


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _insert(times: array, moment: int) -> int:
    """Put a moment behind all that are not later; its place."""
    place = bisect_right(times, moment)
    times.insert(place, moment)
    return place
