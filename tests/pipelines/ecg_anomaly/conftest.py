"""Generated recordings, and the same as the files in which users have theirs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import wfdb

from pipelines.ecg_anomaly.config import BeatConfig, SignalConfig
from pipelines.ecg_anomaly.generator import Generated, generate
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.schema import Record

WriteRecord = Callable[..., Path]
_SYMBOLS = {0: "N", 1: "A", 2: "V"}


@pytest.fixture(scope="session")
def generated() -> Generated:
    return generate(8, 1.5, seed=0)


@pytest.fixture(scope="session")
def recordings(generated: Generated) -> Recordings:
    return Recordings.of(generated.records, SignalConfig(), BeatConfig())


@pytest.fixture
def write_record() -> WriteRecord:
    """Writes a recording as WFDB: in format 212 with 200 steps a mV, like MIT-BIH, unless told otherwise."""

    def write(
        folder: Path,
        name: str,
        record: Record,
        *,
        leads: Sequence[str] = ("MLII", "V1"),
        units: str = "mV",
        annotated: bool = True,
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        factor = {"mV": 1, "uV": 1000, "mmHg": 1}[units]
        signals = [record.signal, record.signal[::-1] * 0.5][: len(leads)]
        wfdb.wrsamp(
            name,
            fs=record.rate_hz,
            units=[units] * len(leads),
            sig_name=list(leads),
            p_signal=np.stack(signals, axis=1).astype(np.float64) * factor,
            fmt=["212"] * len(leads),
            adc_gain=[200 / factor] * len(leads),
            baseline=[0] * len(leads),
            write_dir=str(folder),
        )
        if annotated and record.annotation is not None:
            marks = record.annotation
            symbols = [_SYMBOLS[int(code)] for code in marks.beat_class]
            wfdb.wrann(name, "atr", marks.sample, symbols, write_dir=str(folder))
        return folder / f"{name}.hea"

    return write
