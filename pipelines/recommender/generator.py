"""A small simulator of users who choose items, whose tastes are known.

Items lie in overlapping tastes; each user has one to three of them and a habit of taking what everybody takes. What
it holds on purpose, because real logs do and toy generators do not:

- exposure: a power law of popularity that has nothing to do with taste;
- drift: half of the users trade one taste for another in the course of time;
- releases: three of ten items appear later, some when nearly all has been chosen;
- activity: log-normal, most users have few interactions and a few have very many;
- attributes that tell part of the truth: categories are coarser than tastes, and some are wrong.

A choice is a draw from a mixture: first one of the user's tastes, then an item of it. So its probability is known
exactly (`Truth`), and drawing costs nothing that grows with users x items.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.recommender.tables import Tables

CATEGORIES = (
    "jazz", "rock", "folk", "soul", "opera", "techno", "blues", "country", "choral", "metal", "latin", "reggae",
)  # fmt: skip

_START = np.datetime64("2024-01-01", "us")
_SPAN_SECONDS = 2 * 365 * 86_400
# Tastes of a user: up to three to begin with, the one that comes by drift, and what everybody takes.
_NUM_SLOTS = 5
_EXPOSURE_POWER = 0.8
_WRONG_CATEGORY, _WRONG_SEGMENT = 0.1, 0.2
_MOST_ROUNDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the simulator knows and a model has to find out. Time runs from 0 to 1.

    membership: float64 of shape (tastes + 1, items), probability of an item given a taste, the last being exposure.
    slots: int64 of shape (users, 5), rows of `membership` that a user draws from.
    weights: float64 of shape (2, users, 5), their probabilities at time 0 and at time 1.
    released: float64 of shape (items,), time from which an item can be chosen.
    """

    membership: np.ndarray
    slots: np.ndarray
    weights: np.ndarray
    released: np.ndarray

    def utility(self, user_ids: pl.Series, times: pl.Series) -> np.ndarray:
        """Log-odds of shape (users, items) with which each user chooses at his time; -inf before the release.

        user_ids and times (UTC datetimes) are of equal length. Ranking by it, without what the user has had, is the
        best that any model can do: the oracle.
        """
        users, moments = _numbers(user_ids), _as_share(times)
        mixture = np.zeros((len(users), len(self.membership)))
        weights = _at(self.weights[:, users], moments)
        np.add.at(mixture, (np.arange(len(users))[:, None], self.slots[users]), weights)
        with np.errstate(divide="ignore"):
            chances = np.log(mixture @ self.membership)
        return np.where(self.released <= moments[:, None], chances, -np.inf)

    def similarity(self, first: pl.Series, second: pl.Series) -> np.ndarray:
        """Likeness in taste, exposure left out, of shape (first, second): cosine from 0 to 1, higher is more alike."""
        odds = self.membership[:-1] / self.membership[-1]
        directions = (odds / np.linalg.norm(odds, axis=0)).T
        likeness: np.ndarray = directions[_numbers(first)] @ directions[_numbers(second)].T
        return likeness


@dataclass(frozen=True, slots=True)
class Generated:
    """Tables in the contract's shape and the truth behind them."""

    tables: Tables
    truth: Truth


def generate(num_users: int, num_items: int, seed: int) -> Generated:
    """Simulate two years of choices; about 27 a user, at least 3, never the same item twice.

    Memory and time grow with the number of interactions. The same arguments give the same tables.
    """
    rng = np.random.default_rng(seed)
    tastes = _tastes_of_items(num_items, rng)
    truth = _truth(num_users, tastes, rng)
    users, items, times = _choices(truth, rng)
    seconds = np.round(times * _SPAN_SECONDS).astype(np.int64)
    moments = pl.Series(_START + seconds.astype("timedelta64[s]")).dt.replace_time_zone("UTC")
    user_ids = _ids("u", num_users, 5)
    item_ids = _ids("i", num_items, 4)
    interactions = pl.DataFrame(
        {"user_id": user_ids[users], "item_id": item_ids[items], "interacted_at": moments}
    ).sort("interacted_at", "user_id", "item_id")
    return Generated(
        Tables(
            interactions,
            items=_item_table(item_ids, tastes, rng),
            users=pl.DataFrame({"user_id": user_ids, "segment": _segments(truth, rng)}),
        ),
        truth,
    )


def _tastes_of_items(num_items: int, rng: np.random.Generator) -> np.ndarray:
    """How much each item belongs to each taste, of shape (tastes, items); taste t is of category t mod 12."""
    num_tastes = len(CATEGORIES) * int(np.clip(num_items // 400, 1, 6))
    belongs = rng.gamma(0.3, 0.02, (num_tastes, num_items))
    every = np.arange(num_items)
    main = rng.permutation(every % num_tastes)
    also = rng.integers(num_tastes, size=num_items)
    belongs[also, every] += rng.uniform(0.2, 0.8, num_items) * (rng.random(num_items) < 0.4)
    belongs[main, every] += rng.uniform(0.8, 1.2, num_items)
    return belongs


def _truth(num_users: int, belongs: np.ndarray, rng: np.random.Generator) -> Truth:
    num_tastes, num_items = belongs.shape
    exposure = (1.0 + rng.permutation(num_items)) ** -_EXPOSURE_POWER
    membership = np.vstack([belongs * exposure, exposure])
    membership /= membership.sum(axis=1, keepdims=True)
    # tastes differ in how many people have them
    popular = rng.dirichlet(np.full(num_tastes, 3.0))
    slots = np.full((num_users, _NUM_SLOTS), num_tastes)
    slots[:, :-1] = rng.choice(num_tastes, (num_users, _NUM_SLOTS - 1), p=popular)
    shares = rng.gamma(2.0, 1.0, (num_users, 3)) * (
        np.arange(3) < rng.choice([1, 2, 3], num_users, p=[0.3, 0.4, 0.3])[:, None]
    )
    everybody = rng.beta(2.0, 8.0, (num_users, 1))
    own = (1.0 - everybody) * shares / shares.sum(axis=1, keepdims=True)
    none = np.zeros((num_users, 1))
    later = np.hstack([own, none])
    drifts = rng.random(num_users) < 0.5
    later[drifts, 3], later[drifts, 0] = later[drifts, 0], 0.0
    weights = np.stack([np.hstack([own, none, everybody]), np.hstack([later, everybody])])
    late = rng.random(num_items) < 0.3
    return Truth(membership, slots, weights, np.where(late, rng.uniform(0.0, 0.97, num_items), 0.0))


def _choices(truth: Truth, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users, items and times of all choices. A draw of an item that the user has, or that is not released, is void.

    Void draws are repeated; a user who finds nothing new in 60 rounds has had what he likes and chooses less often.
    """
    users, times = _occasions(len(truth.slots), len(truth.released), rng)
    # taste after taste, so that one search finds the items of all of them
    table = (truth.membership.cumsum(axis=1) + np.arange(len(truth.membership))[:, None]).ravel()
    items = _drawn(truth, table, users, times, rng)
    void = np.zeros(len(users), dtype=bool)
    active = np.arange(len(users))
    for _ in range(_MOST_ROUNDS):
        void[active] = ~_stands(truth, users[active], items[active], times[active])
        # only of users with a void draw can anything change
        unsettled = np.zeros(len(truth.slots), dtype=bool)
        unsettled[users[active[void[active]]]] = True
        active = active[unsettled[users[active]]]
        again = active[void[active]]
        if not len(again):
            break
        items[again] = _drawn(truth, table, users[again], times[again], rng)
    stands = ~void
    return users[stands], items[stands], times[stands]


def _occasions(num_users: int, num_items: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Who chooses when: users and times of all choices, user by user in the order of time."""
    activity = np.exp(rng.normal(np.log(22.0), 0.65, num_users))
    counts = np.clip(activity.round(), 3, max(3, num_items // 5)).astype(np.int64)
    users = np.repeat(np.arange(num_users), counts)
    since = rng.uniform(0.0, 0.6, num_users)
    until = since + (1.0 - since) * rng.uniform(0.3, 1.0, num_users)
    times = rng.uniform(since[users], until[users])
    return users, times[np.lexsort((times, users))]


def _stands(truth: Truth, users: np.ndarray, items: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Whether each draw is released and no earlier draw of the user holds the item.

    The earlier choice keeps the item even if it was drawn anew: else late choices would take the popular items from
    early ones, and `Truth.utility` would not be the law of any of them.
    """
    stands = truth.released[items] <= times
    keys = users[stands] * len(truth.released) + items[stands]
    first = np.zeros(len(keys), dtype=bool)
    first[np.unique(keys, return_index=True)[1]] = True
    stands[stands] = first
    return stands


def _drawn(
    truth: Truth, table: np.ndarray, users: np.ndarray, times: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """One item for each user at his time: first the taste, then an item of it."""
    edges = _at(truth.weights[:, users], times).cumsum(axis=1)
    slot = (rng.random(len(users))[:, None] >= edges[:, :-1]).sum(axis=1)
    taste = truth.slots[users, slot]
    num_items = truth.membership.shape[1]
    place = np.searchsorted(table, taste + rng.random(len(users)), side="right") - taste * num_items
    return np.clip(place, 0, num_items - 1)


def _at(weights: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Weights of shape (rows, slots) on the straight way from time 0 to time 1."""
    before, after = weights
    moved: np.ndarray = before + times[:, None] * (after - before)
    return moved


def _item_table(item_ids: pl.Series, belongs: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    """Title, and the categories of the strongest taste and of a second one where it is strong; some are wrong."""
    num_items = belongs.shape[1]
    order = np.argsort(-belongs, axis=0)[:2]
    main, second = order % len(CATEGORIES)
    strong = belongs[order[1], np.arange(num_items)] > 0.2
    names = np.array(CATEGORIES)
    wrong = rng.random(num_items) < _WRONG_CATEGORY
    stated = np.where(wrong, rng.integers(len(CATEGORIES), size=num_items), main)
    return pl.DataFrame(
        {"item_id": item_ids, "main": names[main], "stated": names[stated], "second": names[second]}
    ).select(
        "item_id",
        title="Item " + pl.col("item_id").str.slice(1) + " (" + pl.col("main") + ")",
        categories=pl.when(pl.Series(strong) & (pl.col("stated") != pl.col("second")))
        .then(pl.col("stated") + "|" + pl.col("second"))
        .otherwise(pl.col("stated")),
    )


def _segments(truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """The category of the user's strongest taste to begin with; one of five is wrong."""
    users = np.arange(len(truth.slots))
    strongest = truth.slots[users, truth.weights[0, :, :-1].argmax(axis=1)] % len(CATEGORIES)
    wrong = rng.random(len(users)) < _WRONG_SEGMENT
    segments: np.ndarray = np.array(CATEGORIES)[
        np.where(wrong, rng.integers(len(CATEGORIES), size=len(users)), strongest)
    ]
    return segments


def _ids(letter: str, count: int, digits: int) -> pl.Series:
    numbers = pl.Series(np.arange(1, count + 1)).cast(pl.String)
    return letter + numbers.str.zfill(max(digits, len(str(count))))


def _numbers(ids: pl.Series) -> np.ndarray:
    return ids.str.slice(1).cast(pl.Int64).to_numpy() - 1


def _as_share(times: pl.Series) -> np.ndarray:
    since = times.cast(pl.Datetime("us")).to_numpy() - _START
    share: np.ndarray = since / np.timedelta64(_SPAN_SECONDS, "s")
    return share
