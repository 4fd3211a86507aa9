"""Leak audits: what makes a test score too good to be true, looked for before anybody believes it.

An audit reads the table and its split and reports findings. A `leak` means that the test part is not
independent or a feature gives the answer away; an `error` that a part cannot be evaluated; a `warning` asks
for a look.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import polars as pl

from shared.data.splits import Split, row_keys
from shared.errors import FieldworkError, RequestError

Severity = Literal["leak", "error", "warning"]

NEAR_PERFECT_AUC = 0.995
# With fewer rows of a class than this, one of many features separates the classes by chance.
_MIN_CLASS_ROWS = 10
_MAX_CLASSES = 20
_MIN_ID_ROWS = 50
_NUM_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: which check found it, how bad it is, in how many rows or columns, and some of them."""

    check: str
    severity: Severity
    count: int
    message: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit looked for (`checks`) and what it found."""

    checks: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing worse than a warning was found."""
        return all(finding.severity == "warning" for finding in self.findings)

    def require(self, *, accepted: Collection[str] = ()) -> "AuditReport":
        """Return the report, or raise FieldworkError of all leaks and errors; `accepted` checks may fail."""
        bad = [item for item in self.findings if item.severity != "warning" and item.check not in accepted]
        if bad:
            raise FieldworkError(
                "Expected parts that are independent of each other. Received "
                + " ".join(f"[{item.check}] {item.message}" for item in bad)
            )
        return self

    def to_json(self) -> dict[str, Any]:
        findings = [asdict(finding) | {"examples": list(finding.examples)} for finding in self.findings]
        return {"clean": self.clean, "checks": list(self.checks), "findings": findings}


def audit_split(
    frame: pl.DataFrame,
    split: Split,
    *,
    features: Sequence[str],
    target: str | None = None,
    group: str | None = None,
    time: str | None = None,
) -> AuditReport:
    """Audit a table of all rows and its split.

    `group` names the column whose values must stay in one part (person, machine), `time` the column along
    which training must come before validation before test. Checks without their column are not run, and not
    listed.
    """
    named = [*features, *(name for name in (target, group, time) if name is not None)]
    absent = [name for name in named if name not in frame.columns]
    if absent or not features:
        raise RequestError(f"Expected columns of the table to audit. Received {absent or 'no features'}.")
    rows = {name: part for name, part in split.parts().items() if len(part)}
    findings = {
        "row_overlap": _row_overlap(frame, rows),
        "duplicate_rows": _shared_values(
            "duplicate_rows", row_keys(frame, features), rows, "identical in all features"
        ),
    }
    if group is not None:
        findings["group_overlap"] = _shared_values(
            "group_overlap", frame[group], rows, f"of the same {group}"
        )
    if time is not None:
        findings["time_order"] = _time_order(frame[time], rows)
    if target is not None:
        findings["contradictory_labels"] = _contradictions(frame, features, target)
        if frame[target].n_unique() <= _MAX_CLASSES:
            findings["class_missing"] = _class_missing(frame[target], rows)
            findings["target_leak"] = _target_leaks(frame, split.train, features, target)
    findings["id_like"] = _id_like(frame, features)
    return AuditReport(tuple(findings), tuple(item for found in findings.values() for item in found))


def _row_overlap(frame: pl.DataFrame, rows: dict[str, np.ndarray]) -> list[Finding]:
    outside = sum(int(((part < 0) | (part >= frame.height)).sum()) for part in rows.values())
    if outside:
        raise RequestError(
            f"Expected row numbers below {frame.height}. Received {outside} outside: another table?"
        )
    times_used = np.bincount(np.concatenate(list(rows.values())), minlength=frame.height)
    twice = np.flatnonzero(times_used > 1)
    if not len(twice):
        return []
    message = f"{len(twice):,} rows are used more than once: split again."
    return [Finding("row_overlap", "leak", len(twice), message, _texts(twice))]


def _shared_values(check: str, values: pl.Series, rows: dict[str, np.ndarray], what: str) -> list[Finding]:
    """One finding for each pair of parts that share values; missing values are nobody's."""
    findings = []
    distinct = {name: values[part].drop_nulls().unique() for name, part in rows.items()}
    for first, second in combinations(rows, 2):
        common = distinct[second].filter(distinct[second].is_in(distinct[first].implode()))
        if len(common):
            hit = rows[second][values[rows[second]].is_in(common.implode()).fill_null(False).to_numpy()]
            message = f"{len(hit):,} rows of {second} are {what} as rows of {first}: split by that key."
            findings.append(Finding(check, "leak", len(hit), message, _texts(hit)))
    return findings


def _time_order(times: pl.Series, rows: dict[str, np.ndarray]) -> list[Finding]:
    findings = []
    for first, second in combinations(rows, 2):
        earliest = times[rows[second]].min()
        late = rows[first][(times[rows[first]] >= earliest).fill_null(False).to_numpy()]
        if len(late):
            message = (
                f"{len(late):,} rows of {first} are not older than all of {second}: split by {times.name}."
            )
            findings.append(Finding("time_order", "leak", len(late), message, _texts(late)))
    return findings


def _contradictions(frame: pl.DataFrame, features: Sequence[str], target: str) -> list[Finding]:
    keyed = pl.DataFrame(
        {"key": row_keys(frame, features), "target": frame[target], "row": np.arange(frame.height)}
    )
    several = (
        keyed.group_by("key")
        .agg(pl.col("target").n_unique().alias("labels"), "row")
        .filter(pl.col("labels") > 1)
    )
    if several.is_empty():
        return []
    hit = np.sort(several["row"].explode().to_numpy())
    message = (
        f"{len(hit):,} rows are identical in all features but differ in {target}: no model tells them apart."
    )
    return [Finding("contradictory_labels", "warning", len(hit), message, _texts(hit))]


def _class_missing(target: pl.Series, rows: dict[str, np.ndarray]) -> list[Finding]:
    findings = []
    classes = set(target.drop_nulls().unique().to_list())
    for name, part in rows.items():
        lacking = sorted(map(str, classes - set(target[part].unique().to_list())))
        if lacking or len(classes) < 2:
            message = (
                f"{name} has no row of class {', '.join(lacking)}." if lacking else "There is but one class."
            )
            message += " Use more data or a stratified split."
            findings.append(Finding("class_missing", "error", max(len(lacking), 1), message, tuple(lacking)))
    return findings


def _target_leaks(
    frame: pl.DataFrame, train: np.ndarray, features: Sequence[str], target: str
) -> list[Finding]:
    """Features that alone tell a class from the rest, by their value, their level or their absence."""
    labels = frame[target]
    findings: list[Finding] = []
    for label in labels.drop_nulls().unique().sort():
        positive = (labels == label).fill_null(False).to_numpy()
        if min(positive.sum(), (~positive).sum()) < _MIN_CLASS_ROWS:
            continue
        held_out = np.ones(frame.height, dtype=bool)
        held_out[train] = False
        auc = {name: _separation(frame[name], positive, held_out) for name in features if name != target}
        already = {example for finding in findings for example in finding.examples}
        fresh = [name for name, value in auc.items() if value >= NEAR_PERFECT_AUC and name not in already]
        if fresh:
            shown = ", ".join(f"{name} (AUC {auc[name]:.4f})" for name in fresh[:_NUM_EXAMPLES])
            message = f"Target leak suspect: {shown} alone predicts {target}={label}. Is it known beforehand?"
            findings.append(Finding("target_leak", "leak", len(fresh), message, tuple(fresh)))
    if target in features:
        message = f"The target {target} is among the features. Remove it."
        findings.insert(0, Finding("target_leak", "leak", 1, message, (target,)))
    return findings


def _separation(values: pl.Series, positive: np.ndarray, held_out: np.ndarray) -> float:
    """The best AUC (0.5 to 1, direction ignored) of the value, of its absence and of its level's rate."""
    if values.dtype.is_nested():
        return 0.5
    if values.dtype.is_float():
        values = values.fill_nan(None)
    filled = values.is_not_null().to_numpy()
    candidates = [_auc(filled.astype(np.float64), positive)]
    ordered = values.dtype.is_numeric() or values.dtype.is_temporal()
    if ordered:
        numbers = (
            values.cast(pl.Float64) if values.dtype.is_numeric() else values.to_physical().cast(pl.Float64)
        )
        candidates.append(_auc(numbers.fill_null(0.0).to_numpy()[filled], positive[filled]))
    if not ordered or values.n_unique() <= 50:
        candidates.append(_level_auc(values, positive, held_out))
    return max(candidates)


def _level_auc(values: pl.Series, positive: np.ndarray, held_out: np.ndarray) -> float:
    """AUC on held-out rows of each level's rate in the training rows; a level not seen has the overall rate.

    Rates of the same rows would call any column of nearly unique texts a perfect predictor.
    """
    if not held_out.any() or held_out.all():
        return 0.5
    table = pl.DataFrame({"level": values.cast(pl.String), "positive": positive, "held_out": held_out})
    train = table.filter(~pl.col("held_out"))
    rates = train.group_by("level").agg(pl.col("positive").mean().alias("rate"))
    scored = table.filter("held_out").join(
        rates, on="level", how="left", nulls_equal=True, maintain_order="left"
    )
    scores = scored["rate"].fill_null(float(positive[~held_out].mean())).to_numpy()
    return _auc(scores, scored["positive"].to_numpy())


def _auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve by ranks, ties half; 0.5 where a class has too few rows."""
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if min(num_positive, num_negative) < _MIN_CLASS_ROWS:
        return 0.5
    ranks = pl.Series(scores).rank("average").to_numpy()
    wins = ranks[positive].sum() - num_positive * (num_positive + 1) / 2
    auc = float(wins / (num_positive * num_negative))
    return max(auc, 1 - auc)


def _id_like(frame: pl.DataFrame, features: Sequence[str]) -> list[Finding]:
    if frame.height < _MIN_ID_ROWS:
        return []
    suspects = [name for name in features if _looks_like_id(frame[name].drop_nulls(), frame.height)]
    if not suspects:
        return []
    message = f"Features that look like identifiers: {', '.join(suspects)}. A model can only memorise them."
    return [Finding("id_like", "warning", len(suspects), message, tuple(suspects))]


def _looks_like_id(values: pl.Series, num_rows: int) -> bool:
    """Texts that hardly repeat; whole numbers that never do and run on, or nearly fill their range."""
    if len(values) < _MIN_ID_ROWS or len(values) < num_rows / 2:
        return False
    if values.dtype == pl.String:
        return values.n_unique() > 0.95 * len(values)
    if not values.dtype.is_integer() or values.n_unique() < len(values):
        return False
    low, high = values.to_numpy().min(), values.to_numpy().max()
    return values.is_sorted() or int(high) - int(low) < 2 * len(values)


def _texts(values: np.ndarray) -> tuple[str, ...]:
    return tuple(f"row {value}" for value in values[:_NUM_EXAMPLES])
