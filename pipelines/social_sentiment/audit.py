"""Whether the division leaks, and how unlike its parts are: looked for before anybody believes a number.

Texts are grouped anew from the posts themselves, so that a division made elsewhere is judged as well.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
import polars as pl

from pipelines.social_sentiment.config import ProtocolConfig
from pipelines.social_sentiment.duplicates import Groups, group_posts
from pipelines.social_sentiment.protocol import Division
from pipelines.social_sentiment.schema import Posts
from pipelines.social_sentiment.weak_labels import IS_WEAK
from shared.data.audit import AuditReport, Finding, Severity

CHECKS = (
    "post_overlap",
    "same_text",
    "near_duplicates",
    "author_overlap",
    "time_order",
    "weak_labels",
    "class_missing",
    "label_conflicts",
    "prior_shift",
    "language_drift",
    "length_drift",
)
# Smaller shifts change no decision; and a shift must be larger than samples of one population differ.
_LEAST_SHIFT = 0.05
_NUM_DEVIATIONS = 3.0
_LENGTHS = (40, 80, 120, 160, 300)
_NUM_EXAMPLES = 5
_Parts = Mapping[str, np.ndarray]


def audit_division(posts: Posts, division: Division, config: ProtocolConfig) -> AuditReport:
    """Look for leaks between the parts of a division of posts, and for differences between them.

    post_overlap, same_text, near_duplicates: posts and texts on two sides; author_overlap: authors on two sides, a
    warning where the protocol let them go on posting; time_order: training or calibration as late as the test, in a
    split by time; weak_labels: in calibration or test; class_missing: labels that a part lacks; label_conflicts: copies
    with different labels; prior_shift, language_drift, length_drift: total variation distance between training and
    another part. `require()` of the report refuses a leak.
    """
    frame, parts = posts.frame, {name: rows for name, rows in division.parts().items() if len(rows)}
    groups = group_posts(frame["text"], config.near_duplicate)
    findings = (
        *_overlap(frame, parts),
        *_shared(frame, parts, "same_text", groups.copies, "say the same"),
        *_near(frame, parts, groups),
        *_authors(frame, parts, division.authors_apart),
        *(_time_order(frame, parts) if division.kind == "time" else ()),
        *_weak(frame, parts),
        *_missing(frame, parts, posts.labels),
        *_conflicts(frame, parts, groups.copies),
        *_shift("prior_shift", frame["label"], parts, "labels"),
        *_shift("language_drift", frame["language"], parts, "languages"),
        *_shift("length_drift", _length_class(frame["text"]), parts, "lengths of texts"),
    )
    return AuditReport(CHECKS, findings)


def mixture_shift(values: pl.Series, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Total variation distance, 0 to 1, of the values in two sets of rows, and how large chance alone makes it.

    The second is the expectation for two samples of one population plus three standard deviations, by their normal
    approximation. Missing values count as a value.
    """
    names, code = np.unique(values.fill_null("").to_numpy().astype(str), return_inverse=True)
    one, other = (np.bincount(code[rows], minlength=len(names)) / len(rows) for rows in (first, second))
    both = np.bincount(np.concatenate([code[first], code[second]]), minlength=len(names))
    pooled = both / both.sum()
    variance = pooled * (1 - pooled) * (1 / len(first) + 1 / len(second))
    # each |difference| of a centred normal has mean sqrt(2 v / pi) and variance v (1 - 2 / pi)
    expected = np.sqrt(2 * variance / np.pi).sum() / 2
    deviation = np.sqrt((variance * (1 - 2 / np.pi)).sum()) / 2
    return float(np.abs(one - other).sum() / 2), float(expected + _NUM_DEVIATIONS * deviation)


def _overlap(frame: pl.DataFrame, parts: _Parts) -> Iterator[Finding]:
    for first, second in combinations(parts, 2):
        rows = np.intersect1d(parts[first], parts[second])
        if len(rows):
            yield _finding("post_overlap", "leak", frame, rows, f"posts of {second} are in {first} too")


def _shared(
    frame: pl.DataFrame, parts: _Parts, check: str, groups: np.ndarray, what: str
) -> Iterator[Finding]:
    """Posts that are in both parts by themselves are `post_overlap`'s to find."""
    for first, second in combinations(parts, 2):
        own_first, own_second = (
            np.setdiff1d(parts[first], parts[second]),
            np.setdiff1d(parts[second], parts[first]),
        )
        rows = own_second[np.isin(groups[own_second], groups[own_first])]
        if len(rows):
            yield _finding(check, "leak", frame, rows, f"posts of {second} {what} as posts of {first}")


def _near(frame: pl.DataFrame, parts: _Parts, groups: Groups) -> Iterator[Finding]:
    """Copies are `same_text`'s to find."""
    for first, second in combinations(parts, 2):
        is_copy = np.isin(groups.copies[parts[second]], groups.copies[parts[first]])
        rows = parts[second][~is_copy & np.isin(groups.near[parts[second]], groups.near[parts[first]])]
        if len(rows):
            yield _finding(
                "near_duplicates",
                "leak",
                frame,
                rows,
                f"posts of {second} say nearly the same as posts of {first}",
            )


def _authors(frame: pl.DataFrame, parts: _Parts, are_apart: bool) -> Iterator[Finding]:
    authors = frame["author"]
    for other in [name for name in parts if name != "test" and "test" in parts]:
        theirs = authors[parts["test"]].is_in(authors[parts[other]].drop_nulls().implode()).fill_null(False)
        rows = parts["test"][theirs.to_numpy()]
        if len(rows):
            severity: Severity = "leak" if are_apart else "warning"
            yield _finding(
                "author_overlap", severity, frame, rows, f"posts of the test are by authors of {other}"
            )


def _time_order(frame: pl.DataFrame, parts: _Parts) -> Iterator[Finding]:
    begin = frame["time"][parts["test"]].min()
    for name in [name for name in parts if name != "test"]:
        rows = parts[name][(frame["time"][parts[name]] >= begin).fill_null(False).to_numpy()]
        if len(rows):
            yield _finding("time_order", "leak", frame, rows, f"posts of {name} are not older than the test")


def _weak(frame: pl.DataFrame, parts: _Parts) -> Iterator[Finding]:
    for name in [name for name in parts if name != "train"]:
        rows = parts[name][frame[IS_WEAK][parts[name]].to_numpy()]
        if len(rows):
            yield _finding("weak_labels", "leak", frame, rows, f"posts of {name} have a label of their emoji")


def _missing(frame: pl.DataFrame, parts: _Parts, labels: tuple[str, ...]) -> Iterator[Finding]:
    for name, rows in parts.items():
        there = set(frame["label"][rows].unique())
        lacking = tuple(label for label in labels if label not in there)
        if lacking:
            message = f"{name} has no post of {', '.join(lacking[:_NUM_EXAMPLES])}: its recall is not known."
            yield Finding("class_missing", "error", len(lacking), message, lacking[:_NUM_EXAMPLES])


def _conflicts(frame: pl.DataFrame, parts: _Parts, copies: np.ndarray) -> Iterator[Finding]:
    used = np.sort(np.concatenate(list(parts.values())))
    table = pl.DataFrame({"copy": copies[used], "label": frame["label"][used], "row": used})
    rows = table.filter(pl.col("label").n_unique().over("copy") > 1)["row"].to_numpy()
    if len(rows):
        yield _finding(
            "label_conflicts", "warning", frame, rows, "posts say the same as others with another label"
        )


def _shift(check: str, values: pl.Series, parts: _Parts, what: str) -> Iterator[Finding]:
    for name in [name for name in parts if name != "train" and "train" in parts]:
        shift, by_chance = mixture_shift(values, parts["train"], parts[name])
        if shift > max(_LEAST_SHIFT, by_chance):
            message = (
                f"{what} of {name} are mixed differently from training: total variation {shift:.3f}, by chance up to "
                f"{by_chance:.3f}. {_largest(values, parts['train'], parts[name])}"
            )
            yield Finding(check, "warning", len(parts[name]), message[0].upper() + message[1:])


def _largest(values: pl.Series, train: np.ndarray, other: np.ndarray) -> str:
    """The value whose share differs most, in words."""

    def share(rows: np.ndarray, name: str) -> float:
        return int((filled[rows] == name).sum()) / len(rows)

    filled = values.fill_null("")
    widest = max(filled.unique().sort(), key=lambda name: abs(share(train, name) - share(other, name)))
    return f"Share of {widest or 'none'}: {share(train, widest):.3f} in training, {share(other, widest):.3f} there."


def _length_class(texts: pl.Series) -> pl.Series:
    ends = (*map(str, _LENGTHS), "any number of")
    names = np.array([f"up to {end} characters" for end in ends])
    return pl.Series(names[np.searchsorted(_LENGTHS, texts.str.len_chars().to_numpy())])


def _finding(check: str, severity: Severity, frame: pl.DataFrame, rows: np.ndarray, what: str) -> Finding:
    examples = tuple(frame["post_id"][np.sort(rows)[:_NUM_EXAMPLES]].to_list())
    return Finding(check, severity, len(rows), f"{len(rows):,} {what}.", examples)
