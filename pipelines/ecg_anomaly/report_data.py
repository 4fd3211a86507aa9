"""The part of the report about data: which recordings there are, of whom, and how good their signals."""

import numpy as np
import polars as pl

from pipelines.ecg_anomaly.evidence import EvidenceDocuments
from pipelines.ecg_anomaly.labels import CLASSES, class_counts
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.wording import CLASS_TITLES, share
from shared.publishing.blocks import KeyValues, Section, Value, show
from shared.publishing.standard import data_section

_POOR = 0.5


def hours_of(recordings: Recordings, beats: pl.DataFrame) -> float:
    """Hours of the recordings that some beats are of; beats: with the column record."""
    named = set(beats["record"].unique())
    lengths = [
        int(length)
        for name, length in zip(recordings.names, recordings.lengths, strict=True)
        if name in named
    ]
    return sum(lengths) / recordings.rate_hz / 3600


def recordings_section(evidence: EvidenceDocuments) -> Section:
    """Recordings, patients, beats, leads and quality; division, leak audit, quarantine."""
    common = data_section(
        split=evidence.split,
        audit=evidence.audit,
        notes=evidence.notes,
        quarantine=evidence.quarantine,
    )
    return Section(common.title, [KeyValues(_facts(evidence.recordings)), *common.blocks])


def _facts(recordings: Recordings) -> dict[str, Value]:
    beats = recordings.beats
    counts = class_counts(beats.beat_class)
    leads = {lead: recordings.leads.count(lead) for lead in sorted(set(recordings.leads))}
    minutes = recordings.lengths / recordings.rate_hz / 60
    marked = ", ".join(f"{CLASS_TITLES[one].lower()} {show(counts[one])}" for one in CLASSES if counts[one])
    return {
        "Recordings": f"{recordings.num_records} of {len(set(recordings.patients))} patients",
        "Length": f"{show(float(minutes.sum() / 60), 1)} h; {show(float(minutes.min()), 1)} to "
        f"{show(float(minutes.max()), 1)} min each",
        "Beats": f"{show(len(beats))}: {marked}" if marked else show(len(beats)),
        "Leads": ", ".join(f"{lead} ({count})" for lead, count in leads.items()),
        "Common sampling rate": f"{recordings.rate_hz} Hz",
        "Beats of poor signal": f"{share(float(np.mean(beats.quality < _POOR)), 2)} have a quality below {_POOR}",
    }
