"""WFDB records and annotations, read by wfdb once their header has been held against the files beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.ecg_anomaly.leads import Samples, choose_lead, to_millivolts
from pipelines.ecg_anomaly.schema import Annotation
from shared.contracts.files import check_file
from shared.errors import RequestError

if TYPE_CHECKING:
    from wfdb import Record as Header

_MAX_HEADER_BYTES = 1 << 20
# Bytes a sample; formats that are compressed, or newer than this list, are left to wfdb.
_SAMPLE_BYTES = {
    "8": 1.0, "16": 2.0, "24": 3.0, "32": 4.0, "61": 2.0, "80": 1.0, "160": 2.0, "212": 1.5, "310": 4 / 3, "311": 4 / 3,
}  # fmt: skip


def read_wfdb(path: Path, root: Path, lead: str | None, default_lead: str) -> Samples:
    """One lead of a WFDB record. path: its header, or the record without suffix; root: the folder it must lie in.

    Raises RequestError for a header that is missing, damaged or promises what the files do not hold.
    """
    import wfdb

    header_path = check_file(header_of(path), root=root, max_bytes=_MAX_HEADER_BYTES)
    stem = str(header_path.with_suffix(""))
    if "::" in stem:
        raise RequestError(f"Expected a path without '::', which wfdb takes for an address. Received {path}.")
    with _readable(header_path):
        header = wfdb.rdheader(stem)
    if not isinstance(header, wfdb.Record) or not header.n_sig or not header.sig_name or not header.fs:
        raise RequestError(
            f"Expected a WFDB record of one segment with signals. Received {header_path.name}."
        )
    place = choose_lead(header.sig_name, lead, default_lead)
    _require_samples(header, place, header_path, root)
    with _readable(header_path):
        record = wfdb.rdrecord(stem, channels=[place], return_res=32)
    return Samples(
        lead=header.sig_name[place],
        rate_hz=float(header.fs),
        signal=to_millivolts(record.p_signal[:, 0], header.units[place]),
    )


def read_wfdb_annotation(path: Path, root: Path) -> Annotation:
    """The beats of a WFDB annotation file, such as 101.atr. Raises RequestError for one that cannot be read."""
    import wfdb

    checked = check_file(path, root=root)
    with _readable(checked):
        marks = wfdb.rdann(str(checked.with_suffix("")), checked.suffix[1:])
        return Annotation.of(np.asarray(marks.sample), marks.symbol)


def header_of(path: Path) -> Path:
    """The header of a record that is named with or without suffix."""
    return path.with_suffix(".hea") if path.suffix in (".hea", ".dat") else path.with_name(f"{path.name}.hea")


def named_files(header: Path) -> tuple[str, ...]:
    """The sample files that a header names, without judging them; each once."""
    with header.open(encoding="latin-1") as file:
        lines = [
            line.split() for line in file.read(_MAX_HEADER_BYTES).splitlines() if not line.startswith("#")
        ]
    return tuple(dict.fromkeys(words[0] for words in lines[1:] if words and "\0" not in words[0]))


def _require_samples(header: "Header", place: int, path: Path, root: Path) -> None:
    """A header names its own files, and says how much they hold: neither is to be believed."""
    name = header.file_name[place]
    samples = check_file(path.parent / name, root=root)
    per_sample = _SAMPLE_BYTES.get(header.fmt[place])
    if per_sample is None or header.sig_len is None:
        return
    per_frame = sum(
        frames for file, frames in zip(header.file_name, header.samps_per_frame, strict=True) if file == name
    )
    held = int((samples.stat().st_size - (header.byte_offset[place] or 0)) / per_sample / per_frame)
    if held < header.sig_len:
        raise RequestError(
            f"Expected {header.sig_len:,} samples a signal in {name}, as {path.name} says. Received {held:,}: the file "
            "is cut off, or the header belongs to another. Copy it again."
        )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever wfdb says of a damaged file, in one line that names it; it raises errors of every kind."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise RequestError(f"Expected a readable WFDB file. Received {path.name}: {reason[0]}.") from error
