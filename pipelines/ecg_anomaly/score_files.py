"""Recordings in, one row for each of their beats out: what `fieldwork score`, schedules and the API run."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipelines.ecg_anomaly.config import DataConfig
from pipelines.ecg_anomaly.data import load_manifest, read_records
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.schema import CONTRACT, OUTPUT_CONTRACT, Record
from pipelines.ecg_anomaly.score import PIPELINE, Scorer
from pipelines.ecg_anomaly.watched import watched
from shared.contracts.contract import load
from shared.contracts.refused import Refused, without_refused
from shared.contracts.table import TableCheck, check_table
from shared.data.tables import write_table
from shared.orchestration.scoring import (
    ScoreSummary,
    beside,
    drift_since,
    published,
    require_input_untouched,
    written,
)
from shared.training.runtime import single_thread


def score_files(input_path: Path, output_path: Path, *, version: str, explain: bool) -> ScoreSummary:
    """Score every beat of a recording, a folder of WFDB records or a manifest.

    Rows of the manifest that break the contract, and recordings that cannot be used, go with the reason to
    `<output>.quarantine.parquet`. With `explain`, flagged beats get their heat. Raises RequestError when no recording
    can be used, when there is no such model, or when one of these files would be written over the input.
    """
    quarantine = beside(output_path, "quarantine")
    require_input_untouched(input_path, output_path, quarantine)
    bundle, number = published(PIPELINE, version)
    scorer = Scorer.from_bundle(bundle, number)
    with single_thread():
        read = ToScore.of(input_path, scorer)
        table = scorer.score_recordings(read.recordings)
        scored = scorer.alerts(read.recordings, table, read.rates_hz, explain=explain)
        alerts = check_table(scored, load(OUTPUT_CONTRACT)).require()
    write_table(alerts, output_path)
    return ScoreSummary(
        pipeline=PIPELINE,
        version=number,
        contract=read.checked.contract.id_version,
        rows={
            "in": read.checked.num_rows,
            "quarantined": read.checked.quarantined.height,
            "scored": read.recordings.num_records,
            "beats": alerts.height,
            "flagged": int(alerts["flagged"].sum()),
        },
        output=str(output_path),
        quarantine=written(read.checked.quarantined, quarantine),
        explanations=None,
        drift=drift_since(bundle, *watched(read.recordings, table)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class ToScore:
    """Recordings that can be scored, and the own rate of each; the others are in the quarantine of `checked`."""

    checked: TableCheck
    recordings: Recordings
    rates_hz: dict[str, float]

    @classmethod
    def of(cls, path: Path, scorer: Scorer) -> Self:
        """Raises RequestError where nothing can be used."""
        data = DataConfig(lead=scorer.config.data.lead, columns=scorer.config.data.columns)
        # absolute, so that a file is never taken for a public set of the same name
        manifest = load_manifest(str(path.absolute()), data, seed=0)
        checked = check_table(manifest.frame, load(CONTRACT))
        valid = checked.require()
        rates: dict[str, float] = {}

        def records() -> Iterator[Record | Refused]:
            for record in read_records(manifest, valid, data):
                if isinstance(record, Record):
                    rates[record.name] = record.rate_hz
                yield record

        recordings = Recordings.of(records(), scorer.config.signal, scorer.beats).require()
        checked = without_refused(checked, recordings.refused, key="record", rule="signal")
        return cls(checked, recordings, rates)
