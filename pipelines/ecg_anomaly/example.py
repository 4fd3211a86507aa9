"""Generated recordings as files, to try a published model with: of patients that it has not seen."""

from pathlib import Path

import polars as pl

from pipelines.ecg_anomaly.generator import generate
from pipelines.ecg_anomaly.labels import CLASSES, NORMAL
from pipelines.ecg_anomaly.schema import Record
from pipelines.ecg_anomaly.score import Scorer
from shared.data.tables import write_table

_NUM_PATIENTS, _NUM_KEPT, _MINUTES = 12, 3, 3.0
# Of the classes of `labels.CLASSES`, as annotations write them.
_SYMBOLS = {"N": "N", "S": "A", "V": "V", "F": "F", "Q": "Q"}


def write_example(scorer: Scorer, folder: Path) -> Path:
    """A manifest with its recordings and the marks of their beats in an empty folder; returns the manifest.

    Of the generated patients those with most abnormal beats: there is something to find in them.
    """
    rows = []
    # another seed than that of the training data: these are other patients
    made = generate(_NUM_PATIENTS, _MINUTES, scorer.config.seed + 1).records
    for record in sorted(made, key=_num_abnormal, reverse=True)[:_NUM_KEPT]:
        signal, marks = f"{record.name}.parquet", f"{record.name}_beats.csv"
        write_table(pl.DataFrame({record.lead: record.signal}), folder / signal)
        assert record.annotation is not None, "the generator marks its beats"
        symbols = [_SYMBOLS[CLASSES[code]] for code in record.annotation.beat_class]
        write_table(pl.DataFrame({"sample": record.annotation.sample, "symbol": symbols}), folder / marks)
        rows.append(
            {
                "record": record.name,
                "patient": record.patient,
                "file": signal,
                "sampling_rate": record.rate_hz,
                "unit": "mV",
                "lead": record.lead,
                "annotation": marks,
            }
        )
    manifest = folder / "manifest.csv"
    write_table(pl.DataFrame(rows), manifest)
    return manifest


def _num_abnormal(record: Record) -> int:
    assert record.annotation is not None, "the generator marks its beats"
    return int((record.annotation.beat_class != NORMAL).sum())
