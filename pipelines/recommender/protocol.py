"""How interactions are divided into training, validation and test, and whether the division leaks."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import polars as pl

from pipelines.recommender.config import ProtocolConfig
from pipelines.recommender.prepare import PAIR, first_events
from shared.data.audit import AuditReport, Finding
from shared.data.hashing import hash_cells, hash_rows
from shared.data.splits import PARTS, split_by_time
from shared.errors import RequestError

Split = Literal["leave_last_out", "global_time", "leave_one_out", "given"]

# With fewer interactions nothing would be left to learn the user from.
MIN_HISTORY = 3
_NUM_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Division:
    """Three tables of user_id, item_id, [interacted_at], weight; `method` says in a sentence how they came about."""

    train: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame
    method: str
    split: Split

    def parts(self) -> dict[str, pl.DataFrame]:
        """The parts by name, in the order of use."""
        return {name: getattr(self, name) for name in PARTS}


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What was looked for (`checks`), what was found, and numbers that a reader should know but are no leak.

    facts, shares from 0 to 1: `training_after_first_test`, of training interactions that are later than the first
    test interaction (only with times); `unknown_test_users`, of test users without any training interaction;
    `unknown_test_items`, of the distinct test items, and `cold_test_interactions`, of the test interactions whose
    item is not in training, which no collaborative model can hit.
    """

    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    facts: dict[str, float | int]

    def require(self) -> "LeakReport":
        """Return the report, or raise FieldworkError that names every leak."""
        AuditReport(self.checks, self.findings).require()
        return self

    def to_json(self) -> dict[str, Any]:
        return AuditReport(self.checks, self.findings).to_json() | {"facts": dict(self.facts)}


def divide(frame: pl.DataFrame, config: ProtocolConfig, seed: int) -> Division:
    """Divide prepared interactions (`prepare`). The order of rows plays no part; `seed` decides what is drawn.

    Raises RequestError for a split that the table does not allow and for parts that stay empty.
    """
    split = _resolved(config.split, frame.columns)
    if split != "given" and "part" in frame.columns:
        # a pair that stood in two of the parts, which no longer count, is one discovery
        frame = first_events(frame.drop("part"))
    divided, method = _DIVIDERS[split](frame.sort(PAIR), config, seed)
    for name, part in divided.items():
        if not part.height:
            raise RequestError(
                f"Expected interactions in every part. Received none for {name} with protocol.split={split} from "
                f"{frame.height:,} interactions: use more data or another protocol.split."
            )
    return Division(**divided, method=method, split=split)


def audit_division(division: Division) -> LeakReport:
    """Look for what would make the test part too easy. `require()` of the report refuses a leak."""
    parts = division.parts()
    findings = {"repeated_pairs": _repeated_pairs(parts)}
    if division.split in ("leave_last_out", "global_time"):
        findings["time_order"] = _out_of_order(parts)
    if division.split == "global_time":
        findings["global_time_order"] = _out_of_global_order(parts)
    return LeakReport(
        tuple(findings), tuple(item for found in findings.values() for item in found), _facts(division)
    )


Parts = dict[str, pl.DataFrame]


def _resolved(split: str, columns: list[str]) -> Split:
    if split == "auto":
        if "part" in columns:
            return "given"
        return "leave_last_out" if "interacted_at" in columns else "leave_one_out"
    needed = {"leave_last_out": "interacted_at", "global_time": "interacted_at", "given": "part"}.get(split)
    if needed is not None and needed not in columns:
        raise RequestError(
            f"Expected a column {needed} for protocol.split={split}. Received {', '.join(columns)}.\n"
            f"Name it with --set data.columns=[{needed}=YOUR_COLUMN], or leave protocol.split=auto."
        )
    resolved: Split = split  # type: ignore[assignment]  # config has checked it
    return resolved


def _leave_last_out(frame: pl.DataFrame, config: ProtocolConfig, seed: int) -> tuple[Parts, str]:
    return _last_two_out(frame, ["interacted_at"], seed), (
        f"Of each user with at least {MIN_HISTORY} interactions the last one is for testing and the one before it "
        "for validation; equal times are ordered by a hash."
    )


def _leave_one_out(frame: pl.DataFrame, config: ProtocolConfig, seed: int) -> tuple[Parts, str]:
    return _last_two_out(frame, [], seed), (
        f"Of each user with at least {MIN_HISTORY} interactions one, drawn by a hash, is for testing and another for "
        "validation; without times, nothing says that they came last."
    )


def _last_two_out(frame: pl.DataFrame, order: list[str], seed: int) -> Parts:
    hashed = pl.Series("hash", hash_rows(frame, list(PAIR), f"leave-out-{seed}"))
    ordered = frame.with_columns(hashed).sort("user_id", *order, "hash", "item_id").drop("hash")
    size = pl.len().over("user_id")
    behind = size - 1 - pl.int_range(pl.len()).over("user_id")
    part = pl.when((size < MIN_HISTORY) | (behind > 1)).then(0).otherwise(2 - behind)
    numbers = ordered.select(part.alias("part"))["part"]
    return {name: ordered.filter(numbers == number) for number, name in enumerate(PARTS)}


def _global_time(frame: pl.DataFrame, config: ProtocolConfig, seed: int) -> tuple[Parts, str]:
    shares = (config.validation_fraction, config.test_fraction)
    rows = split_by_time(frame["interacted_at"], (1.0 - sum(shares), *shares)).parts()
    return {name: frame[index] for name, index in rows.items()}, (
        f"By time: the latest {shares[1]:.0%} of all interactions are for testing, the {shares[0]:.0%} before them for "
        "validation; equal times stay together."
    )


def _given(frame: pl.DataFrame, config: ProtocolConfig, seed: int) -> tuple[Parts, str]:
    parts = {name: frame.filter(pl.col("part") == name).drop("part") for name in PARTS}
    if parts["validation"].height:
        return parts, "The parts are those that the table states."
    if parts["train"].height:
        parts["train"], parts["validation"] = _set_aside(parts["train"], config.validation_fraction, seed)
    return parts, (
        "The test part is the one that the table states; for validation about "
        f"{config.validation_fraction:.0%} of the training interactions of each user with at least {MIN_HISTORY} are "
        "drawn by a hash."
    )


def _set_aside(frame: pl.DataFrame, fraction: float, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that stay and rows set aside: a share of each user's, rounded up or down by chance so that it is kept."""
    hashed = pl.Series("hash", hash_rows(frame, list(PAIR), f"validation-{seed}"))
    chance = (hash_cells(frame["user_id"], f"rounding-{seed}") >> np.uint64(11)) * 2.0**-53
    ordered = frame.with_columns(hashed, chance=pl.Series(chance)).sort("user_id", "hash", "item_id")
    size = pl.len().over("user_id")
    wanted = (size * fraction + pl.col("chance")).floor()
    aside = (size >= MIN_HISTORY) & (pl.int_range(pl.len()).over("user_id") < wanted)
    chosen = ordered.select(aside.alias("aside"))["aside"]
    rows = ordered.select(frame.columns)
    return rows.filter(~chosen), rows.filter(chosen)


_DIVIDERS: dict[Split, Callable[[pl.DataFrame, ProtocolConfig, int], tuple[Parts, str]]] = {
    "leave_last_out": _leave_last_out,
    "leave_one_out": _leave_one_out,
    "global_time": _global_time,
    "given": _given,
}


def _repeated_pairs(parts: Parts) -> list[Finding]:
    """A pair that the model was trained on, or that epochs were chosen by, is no test."""
    findings = []
    for first, second in combinations(parts, 2):
        common = parts[second].join(parts[first], on=PAIR, how="semi")
        if common.height:
            message = f"{common.height:,} pairs of user and item are in {first} and in {second}: keep each in one part."
            findings.append(_finding("repeated_pairs", common, message))
    return findings


def _out_of_order(parts: Parts) -> list[Finding]:
    """For each user, nothing of an earlier part may be later than anything of a later part."""
    findings = []
    for first, second in combinations(parts, 2):
        earliest = parts[second].group_by("user_id").agg(pl.col("interacted_at").min().alias("limit"))
        late = parts[first].join(earliest, on="user_id").filter(pl.col("interacted_at") > pl.col("limit"))
        if late.height:
            message = (
                f"{late.height:,} interactions of {first} are later than one of the same user in {second}."
            )
            findings.append(_finding("time_order", late, message))
    return findings


def _out_of_global_order(parts: Parts) -> list[Finding]:
    """Cut by time, no interaction of an earlier part may be as late as the first of a later part."""
    findings = []
    for first, second in combinations(parts, 2):
        late = parts[first].filter(pl.col("interacted_at") >= parts[second]["interacted_at"].min())
        if late.height:
            message = f"{late.height:,} interactions of {first} are not older than all of {second}."
            findings.append(_finding("global_time_order", late, message))
    return findings


def _finding(check: str, rows: pl.DataFrame, message: str) -> Finding:
    examples = rows.sort(PAIR).head(_NUM_EXAMPLES).select(pl.format("user {} item {}", *PAIR)).to_series()
    return Finding(check, "leak", rows.height, message, tuple(examples))


def _facts(division: Division) -> dict[str, float | int]:
    train, test = division.train, division.test
    users, items = test.select("user_id").unique(), test.select("item_id").unique()
    facts: dict[str, float | int] = {
        "unknown_test_users": _share_unknown(users, train, "user_id"),
        "unknown_test_items": _share_unknown(items, train, "item_id"),
        "cold_test_interactions": _share_unknown(test, train, "item_id"),
    }
    if "interacted_at" in train.columns:
        after = int((train["interacted_at"] > test["interacted_at"].min()).sum())
        facts["training_after_first_test"] = after / train.height
    return facts


def _share_unknown(rows: pl.DataFrame, train: pl.DataFrame, key: str) -> float:
    return rows.join(train, on=key, how="anti").height / rows.height
