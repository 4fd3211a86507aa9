"""From a manifest to recordings that can be learnt from, with what became of the others."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import polars as pl

from pipelines.ecg_anomaly.beats import samples_before
from pipelines.ecg_anomaly.config import BeatConfig, DataConfig, SignalConfig
from pipelines.ecg_anomaly.data import Manifest, read_records, refused_rows
from pipelines.ecg_anomaly.labels import NORMAL
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.schema import CONTRACT, Record, Refused
from shared.contracts.contract import load
from shared.contracts.table import TableCheck, check_table
from shared.errors import RequestError

_NUM_REASONS = 3
_UNMARKED = "nobody marked its beats (are they annotated?): it can be scored, but not learnt from"


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What a source gave. usable: rows of the manifest whose recordings can be used.

    checked: of the manifest; its quarantine has the recordings that cannot be used too. annotated, detected: the same
    recordings with marked and with found beats; both with found ones where the configuration says so.
    """

    checked: TableCheck
    usable: pl.DataFrame
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
        _require_few(checked, annotated)
        if not (annotated.beats.beat_class == NORMAL).any():
            raise RequestError(
                "Expected normal beats to learn from. Received none: are the beats annotated with the symbols of WFDB?"
            )
        found = beats.peaks == "detected"
        detected = annotated if found else recordings(beats.model_copy(update={"peaks": "detected"}))
        refused = refused_rows(valid, annotated.refused)
        return cls(
            checked=replace(checked, quarantined=in_quarantine(checked, refused)),
            usable=valid.filter(pl.col("record").is_in(list(annotated.names))),
            annotated=annotated,
            detected=detected,
            notes=(*manifest.notes, *annotated.notes, *refusals(annotated.refused)),
        )


def in_quarantine(checked: TableCheck, refused: pl.DataFrame) -> pl.DataFrame:
    """The quarantine of a manifest, with the rows of recordings that could not be used."""
    return (
        pl.concat([checked.quarantined, refused], how="diagonal_relaxed")
        if refused.height
        else checked.quarantined
    )


def refusals(refused: tuple[Refused, ...]) -> Iterator[str]:
    """One line for each recording that could not be used."""
    return (f"{one.name}: {one.reason}" for one in refused)


def _marked(records: Iterator[Record | Refused]) -> Iterator[Record | Refused]:
    """Without marked beats nothing can be learnt from a recording, nor said about how it was judged."""
    for record in records:
        if isinstance(record, Record) and record.annotation is None:
            yield Refused(record.name, _UNMARKED)
        else:
            yield record


def _require_few(checked: TableCheck, recordings: Recordings) -> None:
    """Recordings that cannot be used count against the contract's limit like rows that break it."""
    recordings.require()
    limit, num_lost = checked.contract.max_quarantined_percent, len(recordings.refused)
    if 100 * (checked.quarantined.height + num_lost) > limit * checked.num_rows and num_lost:
        lines = [
            f"Expected at most {limit:g} % of the recordings to be of no use. Received {num_lost} of "
            f"{checked.num_rows}:",
            *list(refusals(recordings.refused))[:_NUM_REASONS],
            "Correct them, or leave them out of the manifest.",
        ]
        raise RequestError("\n".join(lines))
