"""Which cases train and which test: never the same patient on both sides, and no image beside its own copy.

Folds of whole patients, so that each case is tested once by a model that has not seen its patient; near-duplicates
count as one patient. A division that comes with the cases is kept: training cases of a tested patient, or that nearly
equal a tested case, are left out of training.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipelines.medical_segmentation.cases import NO_GRADE, Cases
from pipelines.medical_segmentation.config import ProtocolConfig
from pipelines.medical_segmentation.duplicates import Pairs, find
from shared.errors import RequestError

_NUM_NAMED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One training and test set: ascending positions of cases, int64."""

    number: int
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """The folds; one alone where the division came with the cases.

    left_out: cases in none of its parts. groups: int64 of shape (cases,), what must stay together: patients, joined by
    near-duplicates; of cases that train together. notes: in words, with names, what was left out or joined.
    """

    folds: tuple[Fold, ...]
    is_given: bool
    left_out: np.ndarray
    groups: np.ndarray
    duplicates: Pairs
    notes: tuple[str, ...]


def divide(cases: Cases, config: ProtocolConfig, seed: int) -> Division:
    """Folds by patient, or the division that is given.

    Raises RequestError for fewer patients than folds, and for a given division that lacks a part.
    """
    pairs = find(
        cases.thumbnails, config.min_correlation, turned=config.turned_copies and cases.dimensions == 2
    )
    if any(part is not None for part in cases.parts):
        return _given(cases, pairs)
    groups = _joined(cases.patient_of_case, pairs)
    fold_of_case = group_folds(cases, groups, np.arange(cases.num_cases), config.num_folds, seed)
    folds = tuple(
        Fold(number, np.flatnonzero(fold_of_case != number), np.flatnonzero(fold_of_case == number))
        for number in range(config.num_folds)
    )
    nowhere = np.zeros(0, dtype=np.int64)
    return Division(folds, False, nowhere, groups, pairs, _joined_note(cases, pairs))


def group_folds(
    cases: Cases, groups: np.ndarray, chosen: np.ndarray, num_folds: int, seed: int
) -> np.ndarray:
    """The fold of each of some cases, int64 of shape (chosen,): whole groups, alike numbers of cases.

    Each structure, each grade and empty masks are spread as evenly as whole groups allow, the rarest first. Raises
    RequestError for fewer groups than folds.
    """
    present, group_of_case = np.unique(groups[chosen], return_inverse=True)
    if len(present) < num_folds:
        raise RequestError(
            f"Expected at least {num_folds} patients, one for each fold. Received {len(present)}: give more, or choose "
            "fewer with protocol.num_folds."
        )
    kinds = _kinds(cases)[chosen]
    counts = np.zeros((len(present), kinds.shape[1]))
    np.add.at(counts, group_of_case, kinds)
    fold_of_group = _deal(counts, num_folds, np.random.default_rng(seed))
    return fold_of_group[group_of_case]


def _kinds(cases: Cases) -> np.ndarray:
    """What each case brings, bool of shape (cases, kinds): structures, an empty mask, grades, and itself."""
    shown = cases.num_pixels > 0
    grades = np.unique(cases.grades[cases.grades != NO_GRADE])
    is_empty = cases.has_mask & ~shown.any(axis=1)
    kinds = [
        shown,
        is_empty[:, None],
        cases.grades[:, None] == grades,
        np.ones((cases.num_cases, 1), dtype=bool),
    ]
    return np.concatenate(kinds, axis=1)


def _deal(counts: np.ndarray, num_folds: int, generator: np.random.Generator) -> np.ndarray:
    """The fold of each group. counts: cases of each kind it has, of shape (groups, kinds), all cases last."""
    fold_of_group = np.full(len(counts), -1, dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    held = np.zeros((num_folds, counts.shape[1]))
    shuffled = generator.permutation(len(counts))
    # The rarest kind first, and of it the largest groups: common kinds can still even out what those upset.
    for kind in np.argsort((counts > 0).sum(axis=0), kind="stable"):
        own = shuffled[(counts[shuffled, kind] > 0) & (fold_of_group[shuffled] < 0)]
        for group in own[np.argsort(-counts[own, -1], kind="stable")]:
            # The fold that lacks this kind most; among equals the one that has least of all the group brings.
            lacking = np.flatnonzero(np.isclose(held[:, kind], held[:, kind].min()))
            fold = lacking[np.argmin((held @ shares[group])[lacking])]
            fold_of_group[group] = fold
            held[fold] += shares[group]
    return fold_of_group


def _joined(patients: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Patients, joined where images of two nearly equal each other."""
    size = int(patients.max()) + 1
    edges = (np.ones(len(pairs)), (patients[pairs.first], patients[pairs.second]))
    group_of_patient = connected_components(coo_array(edges, shape=(size, size)), directed=False)[1]
    groups: np.ndarray = group_of_patient[patients].astype(np.int64)
    return groups


def _given(cases: Cases, pairs: Pairs) -> Division:
    parts = np.array([part or "" for part in cases.parts])
    is_test, is_asked = parts == "test", parts == "train"
    patients = cases.patient_of_case
    is_tested = is_asked & np.isin(patients, patients[is_test])
    is_copy = np.zeros(cases.num_cases, dtype=bool)
    is_copy[pairs.first[is_test[pairs.second]]] = True
    is_copy[pairs.second[is_test[pairs.first]]] = True
    is_copy &= is_asked & ~is_tested
    is_train = is_asked & ~is_tested & ~is_copy
    if not is_train.any() or not is_test.any():
        raise RequestError(
            f"Expected cases of different patients for train and test. Received {is_train.sum()} and {is_test.sum()}."
        )
    within = is_train[pairs.first] & is_train[pairs.second]
    inner = Pairs(pairs.first[within], pairs.second[within], pairs.correlation[within])
    notes = [
        f"{_counted(len(names), 'training case')} left out, because a test case {reason}: {_listed(names)}."
        for reason, names in (
            ("is of the same patient", _named(cases, is_tested)),
            ("looks nearly the same", _named(cases, is_copy)),
        )
        if names
    ]
    fold = Fold(0, np.flatnonzero(is_train), np.flatnonzero(is_test))
    left_out = np.flatnonzero(is_asked & ~is_train)
    return Division(
        (fold,), True, left_out, _joined(patients, inner), pairs, (*notes, *_joined_note(cases, inner))
    )


def _joined_note(cases: Cases, pairs: Pairs) -> tuple[str, ...]:
    if not len(pairs):
        return ()
    strongest = np.argsort(-pairs.correlation)
    names = [f"{cases.names[pairs.first[n]]} and {cases.names[pairs.second[n]]}" for n in strongest]
    return (f"{_counted(len(pairs), 'pair')} of nearly equal images kept together: {_listed(names)}.",)


def _named(cases: Cases, chosen: np.ndarray) -> list[str]:
    return [cases.names[case] for case in np.flatnonzero(chosen)]


def _counted(num: int, noun: str) -> str:
    return f"{num:,} {noun}" if num == 1 else f"{num:,} {noun}s"


def _listed(names: list[str]) -> str:
    more = len(names) - _NUM_NAMED
    return ", ".join(names[:_NUM_NAMED]) + (f" and {more:,} more" if more > 0 else "")
