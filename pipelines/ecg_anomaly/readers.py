"""One recording from the files that its row of the manifest names, whatever their format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.ecg_anomaly.edf import read_edf
from pipelines.ecg_anomaly.leads import Samples, choose_lead, to_millivolts
from pipelines.ecg_anomaly.schema import Annotation, Record
from pipelines.ecg_anomaly.wfdb_files import read_wfdb, read_wfdb_annotation
from shared.contracts.files import check_file
from shared.data.columns import absent
from shared.data.tables import read_table
from shared.errors import RequestError

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".jsonl", ".gz")
_CLOCKS = ("time", "t", "seconds", "sample", "index", "timestamp")


def read_record(row: Mapping[str, Any], root: Path, default_lead: str) -> Record:
    """The recording of one valid row of the manifest. root: the folder of the manifest, which holds all files.

    Raises RequestError, which says what is wrong, for files that are missing, outside, cut off or of another form.
    """
    samples = _read_samples(row, root, default_lead)
    annotation = row.get("annotation")
    return Record(
        name=row["record"],
        patient=row.get("patient") or row["record"],
        lead=samples.lead,
        rate_hz=samples.rate_hz,
        signal=samples.signal,
        annotation=read_annotation(root / annotation, root) if annotation else None,
        part=row.get("part"),
    )


def read_annotation(path: Path, root: Path) -> Annotation:
    """Marked beats from a WFDB annotation or a table with the columns sample and symbol. Raises RequestError."""
    if path.suffix.lower() not in TABLE_SUFFIXES:
        return read_wfdb_annotation(path, root)
    frame = read_table(check_file(path, root=root))
    for name in ("sample", "symbol"):
        if name not in frame.columns:
            raise absent(name, frame.columns)
    sample = frame["sample"].cast(pl.Int64, strict=False)
    if sample.null_count() or frame["symbol"].null_count() or (sample < 0).any():
        raise RequestError(
            f"Expected whole numbers of samples and symbols in {path.name}. Received empty cells."
        )
    return Annotation.of(sample.to_numpy(), frame["symbol"].cast(pl.String).to_list())


def _read_samples(row: Mapping[str, Any], root: Path, default_lead: str) -> Samples:
    path, lead = root / row["file"], row.get("lead")
    if path.suffix.lower() in TABLE_SUFFIXES:
        return _read_columns(path, root, row, default_lead)
    read = read_edf if path.suffix.lower() == ".edf" else read_wfdb
    samples = read(path, root, lead, default_lead)
    stated = row.get("sampling_rate")
    if stated is not None and not np.isclose(stated, samples.rate_hz, rtol=1e-4):
        raise RequestError(
            f"Expected {stated:g} Hz, as the manifest says. Received {samples.rate_hz:g} Hz from {path.name}: correct "
            "the one that is wrong."
        )
    return samples


def _read_columns(path: Path, root: Path, row: Mapping[str, Any], default_lead: str) -> Samples:
    """A table with one column a lead."""
    rate = row.get("sampling_rate")
    if rate is None:
        raise RequestError(
            f"Expected a sampling_rate in the manifest. Received none, and {path.name} has no header."
        )
    frame = read_table(check_file(path, root=root))
    leads = [
        name for name, dtype in frame.schema.items() if dtype.is_numeric() and name.lower() not in _CLOCKS
    ]
    if not leads:
        raise RequestError(
            f"Expected a column of numbers in {path.name}. Received {', '.join(frame.columns[:20])}."
        )
    name = leads[choose_lead(leads, row.get("lead"), default_lead)]
    values = frame[name].cast(pl.Float32).fill_null(np.nan).to_numpy()
    return Samples(name, float(rate), to_millivolts(values, row.get("unit") or "mV"))
