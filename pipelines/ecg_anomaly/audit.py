"""Whether the division leaks: what would make the test too easy, looked for before anybody believes it."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from pipelines.ecg_anomaly.protocol import Fold
from pipelines.ecg_anomaly.recordings import Recordings
from shared.data.audit import AuditReport, Finding

CHECKS = ("record_overlap", "patient_overlap", "same_signal", "calibration_overlap")
_NUM_EXAMPLES = 5
# Half a second around a beat never repeats in a living heart, not even to the resolution of the recorder.
_COMPARED_S = 0.5


def audit_fold(recordings: Recordings, fold: Fold, calibration: Sequence[Fold]) -> AuditReport:
    """Look for leaks in one fold, and in the folds of its training that fixed the threshold.

    record_overlap, patient_overlap: recordings and patients on both sides; same_signal: stretches of test recordings
    that training has under another name; calibration_overlap: scores behind the threshold of patients that their
    network had seen, or of test patients. `require()` of the report refuses a leak.
    """
    findings = (
        *_shared_names("record_overlap", "recordings", recordings.names, fold),
        *_shared_names("patient_overlap", "patients", recordings.patients, fold),
        *_same_signal(recordings, fold),
        *_seen_before(recordings, fold, calibration),
    )
    return AuditReport(CHECKS, findings)


def _shared_names(check: str, what: str, names: tuple[str, ...], fold: Fold) -> Iterator[Finding]:
    common = sorted({names[record] for record in fold.train} & {names[record] for record in fold.test})
    if common:
        message = f"{len(common):,} {what} of the test are in training too: divide by patient."
        yield Finding(check, "leak", len(common), message, tuple(common[:_NUM_EXAMPLES]))


def _same_signal(recordings: Recordings, fold: Fold) -> Iterator[Finding]:
    """Recordings that are in both parts by their index are `record_overlap`'s to find."""
    own_train, own_test = np.setdiff1d(fold.train, fold.test), np.setdiff1d(fold.test, fold.train)
    seen = {digest for record in own_train for digest in _digests(recordings, record)}
    copied = [record for record in own_test if not seen.isdisjoint(_digests(recordings, record))]
    if copied:
        names = tuple(recordings.names[record] for record in copied[:_NUM_EXAMPLES])
        message = (
            f"{len(copied):,} test recordings share stretches of signal with training: one has two names."
        )
        yield Finding("same_signal", "leak", len(copied), message, names)


def _digests(recordings: Recordings, record: int) -> set[bytes]:
    """Of the signal around each beat that lies wholly inside; a multiple of the sign or the gain is not seen."""
    signal = recordings.signal_of(record)
    reach = round(_COMPARED_S * recordings.rate_hz / 2)
    peaks = recordings.beats.r_sample[recordings.beats.record == record]
    inside = peaks[(peaks >= reach) & (peaks < len(signal) - reach)]
    # Beats under a lead that fell off are all alike.
    pieces = (signal[peak - reach : peak + reach] for peak in inside)
    return {hashlib.blake2b(piece.tobytes(), digest_size=16).digest() for piece in pieces if piece.any()}


def _seen_before(recordings: Recordings, fold: Fold, calibration: Sequence[Fold]) -> Iterator[Finding]:
    tested = {recordings.patients[record] for record in fold.test}
    seen = set()
    for part in calibration:
        scored = {recordings.patients[record] for record in part.test}
        seen |= scored & ({recordings.patients[record] for record in part.train} | tested)
        seen |= {recordings.patients[record] for record in part.train} & tested
    # a patient on both sides of the fold is `patient_overlap`'s to find
    seen -= {recordings.patients[record] for record in fold.train} & tested
    if seen:
        message = (
            f"the threshold rests on {len(seen):,} patients that its network had seen, or that are tested."
        )
        yield Finding("calibration_overlap", "leak", len(seen), message, tuple(sorted(seen)[:_NUM_EXAMPLES]))
