"""From a manifest to recordings that can be learnt from, with what became of the others."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from pipelines.ecg_anomaly.beats import samples_before
from pipelines.ecg_anomaly.config import BeatConfig, DataConfig, SignalConfig
from pipelines.ecg_anomaly.data import Manifest, read_records
from pipelines.ecg_anomaly.labels import NORMAL
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.schema import CONTRACT, Record
from shared.contracts.contract import load
from shared.contracts.refused import Refused, require_few, without_refused
from shared.contracts.table import TableCheck, check_table
from shared.errors import RequestError

_UNMARKED = "nobody marked its beats (are they annotated?): it can be scored, but not learnt from"


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What a source gave.

    checked: of the manifest; recordings that cannot be used are in its quarantine, too. annotated, detected: the same
    recordings with marked and with found beats; both with found ones where the configuration says so.
    """

    checked: TableCheck
    annotated: Recordings
    detected: Recordings
    notes: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest, data: DataConfig, signal: SignalConfig, beats: BeatConfig) -> Self:
        """Read and condition all recordings of a manifest, one at a time, once for each kind of beats.

        Raises RequestError when more cannot be used than the contract allows, and without any normal beat.
        """
        # a wrong setting is said once, not of each recording
        samples_before(beats, signal.rate_hz)
        checked = check_table(manifest.frame, load(CONTRACT))
        valid = checked.require()

        def recordings(beats: BeatConfig) -> Recordings:
            return Recordings.of(_marked(read_records(manifest, valid, data)), signal, beats)

        annotated = recordings(beats)
        require_few(checked, annotated.require().refused, what="recordings")
        if not (annotated.beats.beat_class == NORMAL).any():
            raise RequestError(
                "Expected normal beats to learn from. Received none: are the beats annotated with the symbols of WFDB?"
            )
        found = beats.peaks == "detected"
        detected = annotated if found else recordings(beats.model_copy(update={"peaks": "detected"}))
        return cls(
            checked=without_refused(checked, annotated.refused, key="record", rule="signal"),
            annotated=annotated,
            detected=detected,
            notes=(*manifest.notes, *annotated.notes, *map(str, annotated.refused)),
        )


def _marked(records: Iterator[Record | Refused]) -> Iterator[Record | Refused]:
    """Without marked beats nothing can be learnt from a recording, nor said about how it was judged."""
    for record in records:
        if isinstance(record, Record) and record.annotation is None:
            yield Refused(record.name, _UNMARKED)
        else:
            yield record
