"""Generated recordings, and the same as the files in which users have theirs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import wfdb

from pipelines.ecg_anomaly.config import BeatConfig, EcgConfig, SignalConfig, tiny
from pipelines.ecg_anomaly.generator import Generated, generate
from pipelines.ecg_anomaly.inputs import BeatInputs
from pipelines.ecg_anomaly.predictions import predict_fold
from pipelines.ecg_anomaly.protocol import divide
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.schema import Record
from pipelines.ecg_anomaly.score import Scorer
from pipelines.ecg_anomaly.train import Fitted, Trainer
from shared.training.runtime import single_thread

WriteRecord = Callable[..., Path]
_SYMBOLS = {0: "N", 1: "A", 2: "V", 3: "F"}


@pytest.fixture(scope="session")
def generated() -> Generated:
    return generate(8, 1.5, seed=0)


@pytest.fixture(scope="session")
def recordings(generated: Generated) -> Recordings:
    return Recordings.of(generated.records, SignalConfig(), BeatConfig())


@pytest.fixture(scope="session")
def config() -> EcgConfig:
    return tiny()


@pytest.fixture(scope="session")
def inputs(recordings: Recordings, config: EcgConfig) -> BeatInputs:
    return BeatInputs.of(recordings, config.beats)


@pytest.fixture(scope="session")
def trainer(recordings: Recordings, inputs: BeatInputs, config: EcgConfig) -> Trainer:
    return Trainer(config, recordings, inputs)


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


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Generated recordings, a detector fitted to half of their patients, and what it says of the others.

    table: see `predictions.predict_fold`. found: the same of the beats that the peak detector finds.
    """

    config: EcgConfig
    generated: Generated
    recordings: Recordings
    inputs: BeatInputs
    fitted: Fitted
    table: pl.DataFrame
    found: pl.DataFrame

    @property
    def scorer(self) -> Scorer:
        return Scorer.of(self.fitted, self.config)


@pytest.fixture(scope="session")
def judged() -> Judged:
    config = tiny()
    training = config.training.model_copy(update={"min_steps": 100, "head_epochs": 2})
    config = config.model_copy(update={"training": training})
    made = generate(12, 2.5, seed=0)
    recordings = Recordings.of(made.records, config.signal, config.beats)
    inputs = BeatInputs.of(recordings, config.beats)
    with single_thread():
        trainer = Trainer(config, recordings, inputs)
        fold = divide(recordings, 2, config.seed).folds[0]
        fitted = trainer.fit(fold.train, "fold")
        table = predict_fold(trainer, fitted, fold)
        peaks = config.beats.model_copy(update={"peaks": "detected"})
        detected = Recordings.of(made.records, config.signal, peaks)
        found = Scorer.of(fitted, config).score_recordings(detected)
    own = found.filter(pl.col("record").is_in(table["record"].unique().to_list()))
    return Judged(config, made, recordings, inputs, fitted, table, own)
