"""Which recordings train and which test: never the same patient on both sides.

Folds of whole patients, so that each recording is tested once by a model that has not seen its heart. A division that
comes with the recordings is kept. Of a patient with recordings in both of its parts, those for training are left out:
in the usual division of MIT-BIH that is record 201, whose patient is also that of 202.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.ecg_anomaly.labels import SUPRAVENTRICULAR, VENTRICULAR
from pipelines.ecg_anomaly.recordings import Recordings
from shared.errors import RequestError


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One training and test set: ascending positions of recordings, int64."""

    number: int
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """The folds; one alone where the division came with the recordings. left_out: recordings in none of its parts."""

    folds: tuple[Fold, ...]
    is_given: bool
    left_out: np.ndarray


def divide(recordings: Recordings, num_folds: int, seed: int) -> Division:
    """Folds by patient, or the division that is given.

    Raises RequestError for fewer patients than folds, and for a given division that lacks a part.
    """
    if any(part is not None for part in recordings.parts):
        return _given(recordings)
    fold_of_record = patient_folds(recordings, np.arange(recordings.num_records), num_folds, seed)
    folds = tuple(
        Fold(number, np.flatnonzero(fold_of_record != number), np.flatnonzero(fold_of_record == number))
        for number in range(num_folds)
    )
    return Division(folds, is_given=False, left_out=np.zeros(0, dtype=np.int64))


def patient_folds(recordings: Recordings, records: np.ndarray, num_folds: int, seed: int) -> np.ndarray:
    """The fold of each of some recordings, int64 of shape (records,): whole patients, alike numbers of beats.

    Every fold has patients with ventricular and with supraventricular beats, as far as there are enough of them.
    Raises RequestError for fewer patients than folds.
    """
    patient_of_record = recordings.patient_of_record
    patients = np.unique(patient_of_record[records])
    if len(patients) < num_folds:
        raise RequestError(
            f"Expected at least {num_folds} patients, one for each fold. Received {len(patients)}: give more, or "
            "choose fewer with protocol.num_folds."
        )
    patient_of_beat, num_patients = patient_of_record[recordings.beats.record], patient_of_record.max() + 1
    counts = [
        np.bincount(patient_of_beat[recordings.beats.beat_class == kind], minlength=num_patients)
        for kind in (VENTRICULAR, SUPRAVENTRICULAR)
    ]
    num_beats = np.bincount(patient_of_beat, minlength=num_patients)
    fold_of_patient = _deal(patients, counts, num_beats, num_folds, np.random.default_rng(seed))
    return fold_of_patient[patient_of_record[records]]


def _deal(
    patients: np.ndarray,
    counts: list[np.ndarray],
    num_beats: np.ndarray,
    num_folds: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """The fold of each patient, -1 for those not asked for. counts, num_beats: of each patient, by kind and in all."""
    fold_of_patient = np.full(len(num_beats), -1, dtype=np.int64)
    # The rarest kind first. Each fold gets one of those who have most of it, and none gets two before all have one.
    for count in sorted(counts, key=np.count_nonzero):
        own = patients[np.argsort(-count[patients], kind="stable")]
        own = own[count[own] > 0]
        lacking = generator.permutation(np.setdiff1d(np.arange(num_folds), fold_of_patient[own]))
        free = own[fold_of_patient[own] < 0]
        fold_of_patient[free[: len(lacking)]] = lacking[: len(free)]
    rest = patients[fold_of_patient[patients] < 0]
    # Large ones first, so that the folds become alike in size; not quite in order, so that the seed matters.
    roughly = num_beats[rest] * generator.uniform(0.5, 1.0, len(rest))
    for patient in rest[np.argsort(-roughly)]:
        is_dealt = fold_of_patient >= 0
        sizes = np.bincount(fold_of_patient[is_dealt], weights=num_beats[is_dealt], minlength=num_folds)
        fold_of_patient[patient] = np.argmin(sizes)
    return fold_of_patient


def _given(recordings: Recordings) -> Division:
    parts = np.array([part or "" for part in recordings.parts])
    test, asked = np.flatnonzero(parts == "test"), np.flatnonzero(parts == "train")
    patients = recordings.patient_of_record
    is_tested = np.isin(patients[asked], patients[test])
    train = asked[~is_tested]
    if not len(train) or not len(test):
        raise RequestError(
            f"Expected recordings of different patients for train and test. Received {len(train)} and {len(test)}."
        )
    return Division((Fold(0, train, test),), is_given=True, left_out=asked[is_tested])
