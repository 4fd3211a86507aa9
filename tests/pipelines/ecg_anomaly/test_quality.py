"""The quality index falls with noise and gaps, and not with beats that are abnormal."""

import numpy as np
import pytest

from pipelines.ecg_anomaly.config import BeatConfig, SignalConfig
from pipelines.ecg_anomaly.generator import generate
from pipelines.ecg_anomaly.labels import NORMAL, VENTRICULAR
from pipelines.ecg_anomaly.prepare import prepare_record
from pipelines.ecg_anomaly.quality import _stretch_median
from pipelines.ecg_anomaly.schema import Record


@pytest.fixture(scope="module")
def record() -> Record:
    return generate(1, 2.0, seed=1).records[0]


def index(record: Record, signal: np.ndarray) -> np.ndarray:
    changed = Record("r", "p", "MLII", 360.0, signal.astype(np.float32), record.annotation)
    return prepare_record(changed, SignalConfig(), BeatConfig()).quality.index


def test_more_noise_means_less_quality(record):
    noise = np.random.default_rng(0).standard_normal(len(record.signal))
    medians = [np.median(index(record, record.signal + size * noise)) for size in (0.0, 0.1, 0.3, 1.0)]
    assert medians == sorted(medians, reverse=True)
    assert medians[0] > 0.9
    assert medians[-1] < 0.5


def test_beats_under_a_lead_that_fell_off_have_no_quality(record):
    signal = record.signal.copy()
    signal[30 * 360 : 40 * 360] = 0.0
    time = record.annotation.sample / 360
    found = index(record, signal)
    assert (found[(time > 30) & (time < 40)] == 0).all()
    assert np.median(found[(time < 28) | (time > 45)]) > 0.9


def test_ventricular_beats_are_no_bad_signal(recordings):
    beats = recordings.beats
    median = {kind: np.median(beats.quality[beats.beat_class == kind]) for kind in (NORMAL, VENTRICULAR)}
    assert median[VENTRICULAR] > median[NORMAL] - 0.05


def test_one_odd_beat_does_not_pull_its_stretch_down():
    values = np.full(30, 0.9, dtype=np.float32)
    values[15] = 0.0
    assert _stretch_median(values).tolist() == pytest.approx([0.9] * 30)


@pytest.mark.parametrize("num", [0, 1])
def test_hardly_any_beats_have_a_quality_all_the_same(num):
    assert _stretch_median(np.ones(num, dtype=np.float32)).tolist() == [0.0] * num
