"""Whether the division leaks: what would make the test too easy, looked for before anybody believes it."""

from collections.abc import Iterator

import numpy as np

from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.config import ImageConfig, ProtocolConfig
from pipelines.medical_segmentation.duplicates import find
from pipelines.medical_segmentation.intensity import Intensity
from pipelines.medical_segmentation.protocol import Fold
from shared.data.audit import AuditReport, Finding

CHECKS = ("case_overlap", "patient_overlap", "near_duplicates", "later_statistics")
_NUM_EXAMPLES = 5
_TOLERANCE = 1e-9


def audit_fold(
    cases: Cases,
    fold: Fold,
    intensity: Intensity,
    image: ImageConfig,
    protocol: ProtocolConfig,
    learnt: np.ndarray | None = None,
) -> AuditReport:
    """Look for leaks in one fold and in what was fitted on it (`Cases.fit_intensity`, same configuration).

    case_overlap, patient_overlap: cases and patients on both sides; near_duplicates: test images that training has
    under another name; later_statistics: scales that differ from those of the training cases alone. learnt: the
    training cases behind the scales, all if None. `require()` of the report refuses a leak.
    """
    behind = fold.train if learnt is None else learnt
    anew = cases.fit_intensity(np.setdiff1d(behind, fold.test), image)
    findings = (
        *_shared_names("case_overlap", "cases", cases.names, fold),
        *_shared_names("patient_overlap", "patients", cases.patients, fold),
        *_near_duplicates(cases, fold, protocol),
        *_other_statistics(anew, intensity),
    )
    return AuditReport(CHECKS, findings)


def _shared_names(check: str, what: str, names: tuple[str, ...], fold: Fold) -> Iterator[Finding]:
    common = sorted({names[case] for case in fold.train} & {names[case] for case in fold.test})
    if common:
        message = f"{len(common):,} {what} of the test are in training too: divide by patient."
        yield Finding(check, "leak", len(common), message, tuple(common[:_NUM_EXAMPLES]))


def _near_duplicates(cases: Cases, fold: Fold, protocol: ProtocolConfig) -> Iterator[Finding]:
    """Cases that are in both parts by their index are `case_overlap`'s to find."""
    turned = protocol.turned_copies and cases.dimensions == 2
    pairs = find(cases.thumbnails, protocol.min_correlation, turned=turned)
    is_train, is_test = np.zeros((2, cases.num_cases), dtype=bool)
    is_train[np.setdiff1d(fold.train, fold.test)] = True
    is_test[np.setdiff1d(fold.test, fold.train)] = True
    across = (is_train[pairs.first] & is_test[pairs.second]) | (is_test[pairs.first] & is_train[pairs.second])
    copied = sorted(
        {*pairs.first[across].tolist(), *pairs.second[across].tolist()} & set(np.flatnonzero(is_test))
    )
    if copied:
        names = tuple(cases.names[case] for case in copied[:_NUM_EXAMPLES])
        message = f"{len(copied):,} test images nearly equal a training image: leave those out of training."
        yield Finding("near_duplicates", "leak", len(copied), message, names)


def _other_statistics(anew: Intensity, intensity: Intensity) -> Iterator[Finding]:
    pairs = [(anew.mean, intensity.mean), (anew.std, intensity.std), (anew.ct, intensity.ct)]
    same = all(
        (mine is None) == (theirs is None)
        and np.allclose(mine or (), theirs or (), rtol=_TOLERANCE, atol=_TOLERANCE)
        for mine, theirs in pairs
    )
    if not same:
        message = "the scales differ from what the training cases alone give: fit them on those."
        yield Finding("later_statistics", "leak", 1, message)
