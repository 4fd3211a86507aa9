"""Generated recordings as a folder of WFDB records, as users have them."""

from pathlib import Path

import numpy as np
import wfdb

from pipelines.ecg_anomaly.generator import generate
from pipelines.ecg_anomaly.labels import NORMAL

_SYMBOLS = np.array(["N", "A", "V", "F", "Q"])


def write_folder(
    folder: Path, num: int = 6, *, minutes: float = 1.5, annotated: bool = True, only_normal: bool = False
) -> list[str]:
    """One record of each patient, in format 212 with 200 steps a mV; the names of the records."""
    folder.mkdir(parents=True)
    records = generate(num, minutes, seed=5).records
    for record in records:
        wfdb.wrsamp(
            record.name,
            fs=record.rate_hz,
            units=["mV"],
            sig_name=["MLII"],
            p_signal=record.signal[:, None].astype(np.float64),
            fmt=["212"],
            adc_gain=[200],
            baseline=[0],
            write_dir=str(folder),
        )
        marks = record.annotation
        if annotated and marks is not None:
            classes = np.full_like(marks.beat_class, NORMAL) if only_normal else marks.beat_class
            wfdb.wrann(record.name, "atr", marks.sample, _SYMBOLS[classes].tolist(), write_dir=str(folder))
    return [record.name for record in records]
