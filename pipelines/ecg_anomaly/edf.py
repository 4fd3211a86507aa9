"""One signal of an EDF or EDF+ file (Kemp et al. 1992; Kemp and Olivan 2003).

wfdb reads such files too, but scales signals wrongly where rates differ, which EDF+ annotations make the usual case,
and rounds rates to whole numbers.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.ecg_anomaly.leads import Samples, choose_lead, to_millivolts
from shared.contracts.files import check_file
from shared.errors import RequestError

_MAIN_BYTES, _SIGNAL_BYTES, _MAX_SIGNALS = 256, 256, 512
# Bytes of each field of the signal headers; all signals' first fields come first, then all second ones.
_LABEL, _TRANSDUCER, _UNIT, _NUMBER, _FILTERING, _RESERVED = 16, 80, 8, 8, 80, 32
_ANNOTATIONS = "EDF Annotations"


@dataclass(frozen=True, slots=True)
class _Header:
    """One entry for each signal; records are the blocks of the file."""

    num_bytes: int
    num_records: int
    record_seconds: float
    labels: list[str]
    units: list[str]
    physical: np.ndarray
    digital: np.ndarray
    samples: np.ndarray


def read_edf(path: Path, root: Path, lead: str | None, default_lead: str) -> Samples:
    """One lead of an EDF file inside root. Raises RequestError for another form, a cut-off or interrupted file."""
    checked = check_file(path, root=root)
    try:
        header = _read_header(checked)
    except (ValueError, UnicodeDecodeError, IndexError) as error:
        raise RequestError(f"Expected an EDF file. Received {path.name}, whose header is damaged.") from error
    names = [label for label in header.labels if label != _ANNOTATIONS]
    if not names:
        raise RequestError(f"Expected signals in {path.name}. Received annotations only.")
    place = header.labels.index(names[choose_lead(names, lead, default_lead)])
    stored = _read_samples(checked, header, place)
    (low, high), (least, most) = header.physical[place], header.digital[place]
    if least == most or low == high:
        raise RequestError(
            f"Expected a range of {header.labels[place]} in {path.name}. Received an empty one."
        )
    values = low + (stored - least) * ((high - low) / (most - least))
    rate = header.samples[place] / header.record_seconds
    return Samples(header.labels[place], float(rate), to_millivolts(values, header.units[place]))


def _read_header(path: Path) -> _Header:
    with path.open("rb") as file:
        main = file.read(_MAIN_BYTES).decode("latin-1")
        num_signals = int(main[252:256])
        if main[:8].strip() != "0" or not 1 <= num_signals <= _MAX_SIGNALS:
            raise ValueError("no EDF")
        fields = file.read(num_signals * _SIGNAL_BYTES).decode("latin-1")
    if main[192:197] == "EDF+D":
        raise RequestError(
            f"Expected a continuous recording. Received {path.name}, which is interrupted (EDF+D)."
        )
    widths = (_LABEL, _TRANSDUCER, _UNIT, *[_NUMBER] * 4, _FILTERING, _NUMBER, _RESERVED)
    columns, start = [], 0
    for width in widths:
        ends = range(start + width, start + width * num_signals + 1, width)
        columns.append([fields[end - width : end].strip() for end in ends])
        start += width * num_signals
    header = _Header(
        num_bytes=_MAIN_BYTES + num_signals * _SIGNAL_BYTES,
        num_records=int(main[236:244]),
        record_seconds=float(main[244:252]),
        labels=columns[0],
        units=columns[2],
        physical=np.array([columns[3], columns[4]]).astype(np.float64).T,
        digital=np.array([columns[5], columns[6]]).astype(np.float64).T,
        samples=np.array(columns[8]).astype(np.int64),
    )
    if not header.record_seconds > 0 or header.samples.min() < 1:
        raise ValueError("no signal")
    return header


def _read_samples(path: Path, header: _Header, place: int) -> np.ndarray:
    """The numbers that are stored for one signal, int16 of shape (samples,)."""
    per_record = int(header.samples.sum())
    held = (path.stat().st_size - header.num_bytes) // (2 * per_record)
    # -1 stands for a recording that has not been closed: what is there counts.
    num_records = held if header.num_records == -1 else header.num_records
    if held < num_records or num_records < 1:
        raise RequestError(
            f"Expected {num_records:,} blocks of data in {path.name}. Received {held:,}: the file is cut off. Copy it "
            "again."
        )
    blocks = np.memmap(path, "<i2", "r", offset=header.num_bytes, shape=(num_records, per_record))
    start = int(header.samples[:place].sum())
    return np.array(blocks[:, start : start + int(header.samples[place])]).reshape(-1)
