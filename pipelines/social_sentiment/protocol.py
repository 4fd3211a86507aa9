"""Which posts train, which calibrate and which test: never the same text on two sides, never the future in training.

A division that comes with the posts is kept. Else the latest posts test, where all have a time, or a random part with
the mixture of labels of the whole. Calibration is cut from training. What says the same (`duplicates`) stays together;
where a post crosses nevertheless, the test keeps its copy and training loses its own.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from pipelines.social_sentiment.config import ProtocolConfig
from pipelines.social_sentiment.duplicates import connected, group_posts
from pipelines.social_sentiment.schema import TEST, TRAIN, VALIDATION, Posts
from pipelines.social_sentiment.weak_labels import IS_WEAK
from shared.data.splits import split_by_time
from shared.errors import RequestError

Kind = Literal["given", "time", "random"]
NO_LABEL, NO_PART, WEAK = (
    "without a label",
    "without a part in the given division",
    "with a weak label in the test",
)
SAYS_TEST, SAYS_CALIBRATION = "that say the same as a test post", "that say the same as a calibration post"
SAME_AUTHOR, TOO_LATE = "of authors of test posts", "with a weak label, posted after the test had begun"
_MIN_POSTS_A_LABEL = 10
_NUM_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """Ascending positions of posts, int64, each post in one of the four.

    reasons: for each of `left_out`, in its order. kind: how the test was chosen. groups: of each post, equal for posts
    that say the same. authors_apart: whether nobody who tests trains.
    """

    train: np.ndarray
    calibration: np.ndarray
    test: np.ndarray
    left_out: np.ndarray
    reasons: tuple[str, ...]
    kind: Kind
    groups: np.ndarray
    authors_apart: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """How many posts were left out, for each reason."""
        return tuple(
            f"{count:,} posts {why} are left out." for why, count in Counter(self.reasons).most_common()
        )

    def parts(self) -> dict[str, np.ndarray]:
        """Positions by name of the part, in the order of use."""
        return {"train": self.train, "calibration": self.calibration, "test": self.test}


def divide(posts: Posts, config: ProtocolConfig, seed: int) -> Division:
    """Divide posts that were read (`ingest.read_posts`): labelled ones only, and weak labels in training alone.

    Raises RequestError for too few posts of a label in a part, and for a given division without training or test.
    """
    frame = posts.frame
    groups = group_posts(frame["text"], config.near_duplicate).near
    kind = _kind(frame, config)
    if kind != "given":
        _require_enough(frame, posts.labels)
    placing = _Placing(frame, groups, _units(frame, groups) if _tied_by_author(kind, config) else groups)
    {"given": _as_given, "time": _by_time, "random": _at_random}[kind](placing, config, seed)
    for part in (TRAIN, VALIDATION):
        placing.leave_out(placing.is_in(part) & placing.says_what(TEST), SAYS_TEST)
    authors_apart = _separate_authors(placing, kind, config)
    if not placing.is_in(VALIDATION).any():
        _cut_calibration(placing, config, seed)
    placing.leave_out(placing.is_in(TRAIN) & placing.says_what(VALIDATION), SAYS_CALIBRATION)
    division = placing.division(kind, authors_apart)
    _require_labels(frame, division, posts.labels)
    return division


class _Placing:
    """Posts on their way into parts. units: what must not be cut in two, the groups or more."""

    def __init__(self, frame: pl.DataFrame, groups: np.ndarray, units: np.ndarray) -> None:
        self.frame, self.groups, self.units = frame, groups, units
        self.has_label = frame["label"].is_not_null().to_numpy()
        self.is_weak = frame[IS_WEAK].to_numpy()
        self.part = np.full(frame.height, "", dtype="<U10")
        self.reason = np.full(frame.height, "", dtype="<U60")
        self.leave_out(~self.has_label, NO_LABEL)

    @property
    def gold(self) -> np.ndarray:
        """Positions of posts whose label people gave."""
        return np.flatnonzero(self.has_label & ~self.is_weak)

    def is_in(self, part: str) -> np.ndarray:
        return np.asarray(self.part == part)

    def says_what(self, part: str) -> np.ndarray:
        return np.isin(self.groups, self.groups[self.is_in(part)])

    def leave_out(self, rows: np.ndarray, reason: str) -> None:
        self.part[rows] = ""
        self.reason[rows & (self.reason == "")] = reason

    def division(self, kind: Kind, authors_apart: bool) -> Division:
        train, calibration, test = (np.flatnonzero(self.is_in(part)) for part in (TRAIN, VALIDATION, TEST))
        left_out = np.flatnonzero(self.part == "")
        reasons = tuple(self.reason[left_out].tolist())
        assert all(reasons), "a post is in no part for a reason"
        return Division(train, calibration, test, left_out, reasons, kind, self.groups, authors_apart)


def _kind(frame: pl.DataFrame, config: ProtocolConfig) -> Kind:
    if frame["part"].null_count() < frame.height:
        return "given"
    labelled = frame.filter(pl.col("label").is_not_null())
    num_without = labelled["time"].null_count()
    if config.split == "time" and num_without:
        raise RequestError(
            f"Expected a time for every labelled post to split by. Received {num_without:,} without: choose "
            "protocol.split=random."
        )
    has_times = not num_without and labelled["time"].n_unique() > 1
    return "time" if config.split == "time" or (config.split == "auto" and has_times) else "random"


def _tied_by_author(kind: Kind, config: ProtocolConfig) -> bool:
    """In a split by time everybody who posts early and late would become one unit with whom they repeat."""
    return kind == "random" and config.authors != "any"


def _units(frame: pl.DataFrame, groups: np.ndarray) -> np.ndarray:
    """Groups of posts that share what they say or who wrote them, in a chain of any length."""
    rows = np.flatnonzero(frame["author"].is_not_null().to_numpy())
    _, author = np.unique(frame["author"].to_numpy()[rows].astype(str), return_inverse=True)
    num_groups = int(groups.max(initial=-1)) + 1
    num_authors = int(author.max(initial=-1)) + 1
    return connected(num_groups + num_authors, groups[rows], num_groups + author)[groups]


def _as_given(placing: _Placing, config: ProtocolConfig, seed: int) -> None:
    part = placing.frame["part"].fill_null("").to_numpy().astype(str)
    placing.part[placing.has_label] = part[placing.has_label]
    placing.leave_out(placing.has_label & (part == ""), NO_PART)
    placing.leave_out(placing.is_weak & np.isin(part, (TEST, VALIDATION)), WEAK)
    for name in (TRAIN, TEST):
        if not placing.is_in(name).any():
            there = ", ".join(sorted(set(part[placing.has_label]) - {""})) or "none"
            raise RequestError(
                f"Expected labelled posts of the parts {TRAIN} and {TEST}. Received {there}: complete the column part, "
                "or leave it out."
            )


def _by_time(placing: _Placing, config: ProtocolConfig, seed: int) -> None:
    gold, times = placing.gold, placing.frame["time"]
    split = split_by_time(times[gold], (1 - config.test_share, 0, config.test_share))
    is_late = (times >= times[gold[split.test]].min()).fill_null(False).to_numpy()
    placing.part[placing.has_label] = TRAIN
    placing.part[gold[split.test]] = TEST
    placing.leave_out(placing.is_weak & is_late, TOO_LATE)


def _at_random(placing: _Placing, config: ProtocolConfig, seed: int) -> None:
    placing.part[placing.has_label] = TRAIN
    placing.part[_cut(placing, placing.gold, config.test_share, [seed, 0])] = TEST


def _cut(placing: _Placing, rows: np.ndarray, share: float, seed: list[int]) -> np.ndarray:
    """About a share of some posts at random, in whole units and with the mixture of labels of all.

    Units are gone through label by label (that of their first post). The first of each is taken, then one whenever half
    of it is owed: of every label, and of units of every size, the share is right to within two units.
    """
    _, first, unit = np.unique(placing.units[rows], return_index=True, return_inverse=True)
    sizes = np.bincount(unit)
    labels, label = np.unique(placing.frame["label"][rows[first]].to_numpy().astype(str), return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(first))
    is_taken, has_one, owed = np.zeros(len(first), dtype=bool), np.zeros(len(labels), dtype=bool), 0.0
    for one in shuffled[np.argsort(label[shuffled], kind="stable")]:
        owed += share * sizes[one]
        if owed >= sizes[one] / 2 or not has_one[label[one]]:
            is_taken[one] = has_one[label[one]] = True
            owed -= sizes[one]
    return rows[is_taken[unit]]


def _separate_authors(placing: _Placing, kind: Kind, config: ProtocolConfig) -> bool:
    """Takes posts of authors who test out of the other parts where that is asked for or cheap; whether it was done."""
    authors = placing.frame["author"]
    tests = authors[np.flatnonzero(placing.is_in(TEST))].drop_nulls().unique()
    is_theirs = (
        authors.is_in(tests.implode()).fill_null(False).to_numpy()
        & ~placing.is_in(TEST)
        & (placing.part != "")
    )
    num_learning = (placing.part != "").sum() - placing.is_in(TEST).sum()
    if config.authors == "auto":
        is_cheap = bool(2 * is_theirs.sum() <= num_learning)
        wanted = kind == "random" or (kind == "time" and is_cheap)
    else:
        wanted = config.authors == "apart"
    if wanted:
        placing.leave_out(is_theirs, SAME_AUTHOR)
    return wanted


def _cut_calibration(placing: _Placing, config: ProtocolConfig, seed: int) -> None:
    """Weak labels do not calibrate: those that say the same as what does are left out later."""
    rows = np.flatnonzero(placing.is_in(TRAIN) & ~placing.is_weak)
    placing.part[_cut(placing, rows, config.calibration_share, [seed, 1])] = VALIDATION


def _require_enough(frame: pl.DataFrame, labels: tuple[str, ...]) -> None:
    gold = frame.filter(pl.col("label").is_not_null() & ~pl.col(IS_WEAK))["label"]
    counts = {label: int((gold == label).sum()) for label in labels}
    if min(counts.values()) < _MIN_POSTS_A_LABEL:
        found = ", ".join(
            f"{count:,} {label}"
            for label, count in sorted(counts.items(), key=lambda item: item[1])[:_NUM_SHOWN]
        )
        raise RequestError(
            f"Expected at least {_MIN_POSTS_A_LABEL} posts of each label, given by people. Received {found}: label "
            "more, or name with data.labels only labels that there are."
        )


def _require_labels(frame: pl.DataFrame, division: Division, labels: tuple[str, ...]) -> None:
    """All labels in training and calibration; the test is what it is, but it must not be empty."""
    for name in ("train", "calibration"):
        there = set(frame["label"][division.parts()[name]].unique())
        lacking = [label for label in labels if label not in there]
        if lacking:
            raise RequestError(
                f"Expected posts of every label for {name}. Received none of {', '.join(lacking[:_NUM_SHOWN])}: use "
                "more posts, or another protocol.split."
            )
