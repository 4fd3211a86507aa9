"""Whether the division leaks: what would make the test too easy, looked for before anybody believes it."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from pipelines.predictive_maintenance.features import Preparation
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.protocol import Division
from shared.data.audit import AuditReport, Finding

CHECKS = ("unit_overlap", "later_statistics", "answer_in_channel")
_NUM_EXAMPLES = 5
_TOLERANCE = 1e-9
# A sensor has noise. What the remaining life explains to this share is made from the remaining life.
_ANSWER_SHARE = 0.999
_MIN_LIVES = 5


def audit_division(
    fleet: Fleet, division: Division, preparation: Preparation, fitted_to: np.ndarray, seed: int
) -> AuditReport:
    """Look for leaks in a division of the units (`divide`) and in what was fitted (`Preparation.fit`, same seed).

    unit_overlap: units in more than one part; later_statistics: step, regimes or scaling that differ from those
    fitted anew on the training units among `fitted_to`; answer_in_channel: a channel of the training units that is a
    function of the remaining life, such as a label among the sensors. `require()` of the report refuses a leak.
    """
    train = fleet.of_units(division.train)
    findings = (
        *_shared_units(fleet, division),
        *_other_statistics(fleet.of_units(np.intersect1d(fitted_to, division.train)), preparation, seed),
        *_answers(train),
    )
    return AuditReport(CHECKS, findings)


def _shared_units(fleet: Fleet, division: Division) -> Iterator[Finding]:
    for (first, earlier), (second, later) in combinations(division.parts().items(), 2):
        common = np.intersect1d(earlier, later)
        if len(common):
            names = tuple(fleet.unit_names[unit] for unit in common[:_NUM_EXAMPLES])
            message = f"{len(common):,} units of {second} are in {first} too: divide by unit."
            yield Finding("unit_overlap", "leak", len(common), message, names)


def _other_statistics(train: Fleet, preparation: Preparation, seed: int) -> Iterator[Finding]:
    anew = Preparation.fit(train, seed, max_gap_steps=preparation.max_gap_steps, limit=preparation.limit)
    if not np.isclose(anew.step, preparation.step, rtol=_TOLERANCE):
        yield _statistics("the step of the grid")
    mine, theirs = anew.regimes, preparation.regimes
    if not (_close(mine.centres, theirs.centres) and _close(mine.mean, theirs.mean)):
        yield _statistics("the operating regimes")
    same_names = anew.scaling.names == preparation.scaling.names
    if not (same_names and _close(anew.scaling.mean, preparation.scaling.mean)):
        yield _statistics("the scaling")


def _close(mine: np.ndarray, theirs: np.ndarray) -> bool:
    return mine.shape == theirs.shape and np.allclose(mine, theirs, rtol=_TOLERANCE, atol=_TOLERANCE)


def _statistics(what: str) -> Finding:
    message = f"{what} differs from what the training units alone give: fit it on them."
    return Finding("later_statistics", "leak", 1, message)


def _answers(train: Fleet) -> Iterator[Finding]:
    """Channels whose value is nearly the same wherever the remaining life is, in all lives that failed."""
    failed = train.lives.failed[train.row_life]
    if train.lives.failed.sum() < _MIN_LIVES:
        return
    _, group = np.unique(train.remaining()[failed], return_inverse=True)
    # Where times are irregular hardly two rows have the same remaining life: take them in the order of it instead.
    if group.max() + 1 > len(group) / 2:
        group = np.argsort(np.argsort(group, kind="stable"), kind="stable") // _MIN_LIVES
    for channel, values in zip(train.channels, train.values[failed].T, strict=True):
        if _share_explained(values.astype(np.float64), group) > _ANSWER_SHARE:
            message = f"{channel.name} is a function of the remaining life: it is the answer, leave it out."
            yield Finding("answer_in_channel", "leak", 1, message, (channel.name,))


def _share_explained(values: np.ndarray, group: np.ndarray) -> float:
    """Share of the variance between groups (the correlation ratio); 0 for a channel that never changes."""
    there = ~np.isnan(values)
    values, group = values[there], group[there]
    total = ((values - values.mean()) ** 2).sum() if len(values) else 0.0
    if total <= _TOLERANCE:
        return 0.0
    count = np.bincount(group)
    mean = np.bincount(group, weights=values) / np.maximum(count, 1)
    return float(1.0 - ((values - mean[group]) ** 2).sum() / total)
