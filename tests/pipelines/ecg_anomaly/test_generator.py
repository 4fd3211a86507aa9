"""Made-up hearts behave as their truth says."""

import numpy as np
import pytest
import torch

from pipelines.ecg_anomaly.config import BeatConfig
from pipelines.ecg_anomaly.generator import RATE_HZ, generate
from pipelines.ecg_anomaly.labels import NORMAL, SUPRAVENTRICULAR, VENTRICULAR


def test_the_same_seed_gives_the_same_recordings_and_more_patients_change_none(generated):
    again = generate(3, 1.5, seed=0)
    for record, other in zip(again.records, generated.records, strict=False):
        assert np.array_equal(record.signal, other.signal)
        assert np.array_equal(record.annotation.sample, other.annotation.sample)
    assert not np.array_equal(generate(1, 1.5, seed=1).records[0].signal, generated.records[0].signal)


def test_ectopic_beats_come_early_and_ventricular_ones_are_compensated(recordings):
    beats = recordings.beats
    ratio, after = beats.intervals.ratio, beats.intervals.after / beats.intervals.local
    early = {kind: ratio[beats.beat_class == kind] for kind in (NORMAL, SUPRAVENTRICULAR, VENTRICULAR)}
    assert np.median(early[VENTRICULAR]) < 0.75
    assert 0.6 < np.median(early[SUPRAVENTRICULAR]) < 0.9
    assert np.median(early[NORMAL]) == pytest.approx(1, abs=0.03)
    is_ventricular = beats.beat_class == VENTRICULAR
    assert np.median((ratio + after)[is_ventricular]) == pytest.approx(2, abs=0.15)


def test_ventricular_complexes_are_wide_and_atrial_ones_are_not(recordings):
    windows = recordings.windows(BeatConfig()).gather(torch.arange(len(recordings.beats))).numpy()
    width = {}
    for kind in (NORMAL, SUPRAVENTRICULAR, VENTRICULAR):
        shape = np.abs(windows[recordings.beats.beat_class == kind])
        width[kind] = np.median((shape > 0.5 * shape[:, 80:100].max(axis=1, keepdims=True)).sum(axis=1))
    assert width[VENTRICULAR] > 1.5 * width[NORMAL]
    assert width[SUPRAVENTRICULAR] == pytest.approx(width[NORMAL], rel=0.5)


def test_patients_differ_in_shape(generated):
    sizes = [np.percentile(record.signal, 99.5) for record in generated.records]
    assert np.std(sizes) > 0.1


def test_the_truth_says_when_the_lead_was_off_and_nobody_marked_beats_then(generated):
    off = generated.truth.filter(kind="lead_off").row(0, named=True)
    record = next(one for one in generated.records if one.name == off["record"])
    start, end = int(off["start"] * RATE_HZ), int(off["end"] * RATE_HZ)
    assert np.ptp(record.signal[start + 1 : end - 1]) == 0
    marked = record.annotation.sample
    assert not ((marked > start) & (marked < end)).any()


def test_a_pause_is_a_gap_of_two_intervals():
    made = generate(10, 5.0, seed=3)
    pauses = made.truth.filter(kind="pause")
    assert pauses.height > 3
    for pause in pauses.head(4).iter_rows(named=True):
        record = next(one for one in made.records if one.name == pause["record"])
        usual = np.median(np.diff(record.annotation.sample)) / RATE_HZ
        assert pause["end"] - pause["start"] == pytest.approx(2 * usual, rel=0.35)


def test_names_sort_as_they_count():
    names = [record.name for record in generate(11, 0.5, seed=0).records]
    assert names == sorted(names)
    assert names[0] == "patient-01"
