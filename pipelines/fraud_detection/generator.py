"""A small simulator of card payments in which three kinds of fraud happen, known one by one.

It follows the published description of the simulator of the Fraud Detection Handbook (Le Borgne et al. 2022, chapter
3), written anew from its words:

- customers and terminals lie in a square of 100 by 100; a customer pays at the terminals near home;
- a customer has a typical amount (5 to 100, half of it as standard deviation) and a typical number of payments a day
  (0 to 4); numbers of payments are Poisson, times of day normal around noon;
- fraud 1: every amount over 220, which a rule can find;
- fraud 2: terminals are taken over for 28 days, in which all their payments are fraud;
- fraud 3: customers' credentials leak for 14 days, in which a third of their payments is fraud, of five times the
  amount.

What differs: the rates of fraud 2 and 3, and the distance a customer goes, follow the numbers of terminals and
customers, so that every size has the prevalence of the original (0.8 %) and as many terminals to choose from.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.spatial import cKDTree

# The sizes that the Handbook's rates belong to.
_THEIR_CUSTOMERS, _THEIR_TERMINALS, _THEIR_RADIUS = 5000, 10_000, 5.0
_SIDE = 100.0
_DAY_SECONDS = 86_400
_NOON_SECONDS, _TIME_STD_SECONDS = 43_200, 20_000
_HIGH_AMOUNT = 220.0
_TERMINALS_A_DAY, _TERMINAL_DAYS = 2, 28
_CUSTOMERS_A_DAY, _CUSTOMER_DAYS = 3, 14
_LEAKED_SHARE, _LEAKED_FACTOR = 1 / 3, 5.0
_START = np.datetime64("2024-01-01", "us")
_CUSTOMERS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Generated:
    """Transactions in the contract's shape, in the order of time, and the truth behind the frauds.

    truth: one row per fraud, of transaction_id, scenario (1 to 3) and `family`, the features that it moved: `amount`
    (the amount, also against what the customer pays otherwise) or `terminal` (what is known of the terminal).
    """

    frame: pl.DataFrame
    truth: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class _Payments:
    """Arrays of shape (payments,): numbers of customer and terminal, day from 0, second of the day, amount."""

    customer: np.ndarray
    terminal: np.ndarray
    day: np.ndarray
    second: np.ndarray
    amount: np.ndarray

    def taken(self, rows: np.ndarray) -> "_Payments":
        return _Payments(*(getattr(self, name)[rows] for name in self.__slots__))


def generate(num_customers: int, num_terminals: int, num_days: int, seed: int) -> Generated:
    """Simulate payments, about 1.9 a customer and day, from 2024-01-01 on; the same arguments, the same table.

    Time and memory grow with the number of payments.
    """
    rng = np.random.default_rng(seed)
    payments = _payments(num_customers, num_terminals, num_days, rng)
    scenario, amount = _with_frauds(payments, num_customers, num_terminals, num_days, rng)
    moments = _START + (payments.day * _DAY_SECONDS + payments.second).astype("timedelta64[s]")
    frame = pl.DataFrame(
        {
            "transaction_id": _ids("t", len(amount), 7),
            "time": pl.Series(moments).dt.replace_time_zone("UTC"),
            "customer_id": _ids("c", num_customers, 5)[payments.customer],
            "terminal_id": _ids("m", num_terminals, 5)[payments.terminal],
            "amount": amount,
            "is_fraud": (scenario > 0).astype(np.int64),
            "scenario": scenario,
        }
    )
    family = pl.when(pl.col("scenario") == 2).then(pl.lit("terminal")).otherwise(pl.lit("amount"))
    truth = frame.filter(pl.col("scenario") > 0).select("transaction_id", "scenario", family=family)
    return Generated(frame, truth)


def _payments(num_customers: int, num_terminals: int, num_days: int, rng: np.random.Generator) -> _Payments:
    """Genuine payments in the order of time."""
    homes = rng.uniform(0, _SIDE, (num_customers, 2))
    terminals = rng.uniform(0, _SIDE, (num_terminals, 2))
    typical_amount = rng.uniform(5, 100, num_customers)
    # A Poisson number for each day is one Poisson number for all, spread evenly over the days.
    counts = rng.poisson(rng.uniform(0, 4, num_customers) * num_days)
    starts, nearby = _terminals_nearby(homes, terminals)
    counts[np.diff(starts) == 0] = 0

    customer = np.repeat(np.arange(num_customers), counts)
    day = rng.integers(num_days, size=len(customer))
    second = rng.normal(_NOON_SECONDS, _TIME_STD_SECONDS, len(customer))
    inside = (second > 0) & (second < _DAY_SECONDS)
    customer, day, second = customer[inside], day[inside], second[inside].astype(np.int64)
    order = np.argsort(day * _DAY_SECONDS + second, kind="stable")
    customer, day, second = customer[order], day[order], second[order]

    choices = np.diff(starts)[customer]
    terminal = nearby[starts[customer] + rng.integers(choices)]
    mean = typical_amount[customer]
    amount = rng.normal(mean, mean / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean), amount)
    return _Payments(customer, terminal, day, second, amount.round(2))


def _terminals_nearby(homes: np.ndarray, terminals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Terminals that each customer goes to: those of customer i are `nearby[starts[i]:starts[i + 1]]`."""
    radius = _THEIR_RADIUS * np.sqrt(_THEIR_TERMINALS / len(terminals))
    tree = cKDTree(terminals)
    counts, found = [], []
    # Lists of Python numbers take ten times the room of an array: never for all customers at once.
    for begin in range(0, len(homes), _CUSTOMERS_AT_ONCE):
        lists = tree.query_ball_point(homes[begin : begin + _CUSTOMERS_AT_ONCE], radius, return_sorted=True)
        counts.append(np.array([len(one) for one in lists]))
        found.append(np.concatenate([np.asarray(one, dtype=np.int32) for one in lists]))
    return np.concatenate([[0], np.cumsum(np.concatenate(counts))]), np.concatenate(found)


def _with_frauds(
    payments: _Payments, num_customers: int, num_terminals: int, num_days: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scenario of each payment (0: genuine) and its amount; where several apply, the last counts."""
    scenario = np.where(payments.amount > _HIGH_AMOUNT, 1, 0)
    rate = _TERMINALS_A_DAY * num_terminals / _THEIR_TERMINALS
    taken_over = _episodes(num_terminals, num_days, rate, rng)
    scenario[_is_within(taken_over, payments.terminal, payments.day, num_days, _TERMINAL_DAYS)] = 2
    rate = _CUSTOMERS_A_DAY * num_customers / _THEIR_CUSTOMERS
    leaked = _episodes(num_customers, num_days, rate, rng)
    used = _is_within(leaked, payments.customer, payments.day, num_days, _CUSTOMER_DAYS)
    used &= rng.random(len(used)) < _LEAKED_SHARE
    scenario[used] = 3
    return scenario, np.where(used, (payments.amount * _LEAKED_FACTOR).round(2), payments.amount)


def _episodes(num_members: int, num_days: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Ascending keys member * num_days + first day of the compromises, `rate` a day, which need not be whole."""
    edges = np.floor(rate * np.arange(num_days + 1) + rng.random())
    days = np.repeat(np.arange(num_days), np.diff(edges).astype(np.int64))
    keys: np.ndarray = np.sort(rng.integers(num_members, size=len(days)) * num_days + days)
    return keys


def _is_within(
    episodes: np.ndarray, member: np.ndarray, day: np.ndarray, num_days: int, length: int
) -> np.ndarray:
    """Whether an episode of the member began on the day or at most `length` - 1 days before."""
    last = np.searchsorted(episodes, member * num_days + day, side="right")
    begun = np.concatenate([[-1], episodes])[last]
    within: np.ndarray = (begun // num_days == member) & (day - begun % num_days < length)
    return within


def _ids(letter: str, count: int, digits: int) -> pl.Series:
    numbers = pl.Series(np.arange(1, count + 1)).cast(pl.String)
    return letter + numbers.str.zfill(max(digits, len(str(count))))
