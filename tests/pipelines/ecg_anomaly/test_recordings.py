"""Recordings that can be used become beats; each that cannot has a reason, and none of them stops the others."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.ecg_anomaly.config import BeatConfig, SignalConfig
from pipelines.ecg_anomaly.labels import UNKNOWN, VENTRICULAR
from pipelines.ecg_anomaly.prepare import PreparedRecord, prepare_record
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.recordings_file import load_recordings, save_recordings
from pipelines.ecg_anomaly.schema import Annotation, Record
from shared.contracts.refused import Refused
from shared.errors import RequestError

SIGNAL, BEATS = SignalConfig(), BeatConfig()
NOISE = np.random.default_rng(0).standard_normal(60 * 360).astype(np.float32)


def bare(signal: np.ndarray, rate_hz: float = 360.0, annotation: Annotation | None = None) -> Record:
    return Record("r", "p", "MLII", rate_hz, signal.astype(np.float32), annotation)


def prepared(record: Record, **beats) -> PreparedRecord:
    outcome = prepare_record(record, SIGNAL, BeatConfig(**beats))
    assert isinstance(outcome, PreparedRecord), outcome
    return outcome


@pytest.mark.parametrize(
    ("signal", "rate_hz", "reason"),
    [
        (NOISE[:1000], 360, "at least 10 s. Received 2.8 s"),
        (NOISE[:0], 360, "at least 10 s"),
        (np.zeros(7200), 360, "flat, saturated or missing in 100%"),
        (np.full(7200, np.nan), 360, "flat, saturated or missing in 100%"),
        (NOISE, 360, "quality 0.1.*is it an ECG, or noise"),
        (NOISE * 1000, 360, "Are the unit and the gain right"),
        (NOISE * 1e-4, 360, "without any R peak|beats of at least 0.05 mV"),
        (NOISE, 50, "100 to 10000 samples a second"),
        (NOISE, float("nan"), "100 to 10000 samples a second"),
    ],
    ids=["short", "empty", "flat", "missing", "noise", "uV as mV", "mV as V", "slow rate", "no rate"],
)
def test_an_unusable_recording_is_refused_with_the_reason(signal, rate_hz, reason):
    outcome = prepare_record(bare(signal, rate_hz), SIGNAL, BEATS)
    assert isinstance(outcome, Refused)
    assert re.search(reason, outcome.reason)


def test_a_rate_that_is_wrong_by_a_factor_is_asked_about(generated):
    notes = prepared(bare(generated.records[0].signal, 1080.0)).notes
    assert "Is the sampling rate right?" in notes[-1]
    assert not prepared(bare(generated.records[0].signal)).notes


def test_a_few_spikes_are_no_heart():
    signal = NOISE * 0.001
    signal[5000:5020] += 1.0
    assert "beats a minute" in prepare_record(bare(signal), SIGNAL, BEATS).reason


def test_marks_of_another_recording_are_refused(generated):
    beyond = Annotation(np.array([10, 10**7]), np.zeros(2, dtype=np.int8))
    outcome = prepare_record(bare(generated.records[0].signal, annotation=beyond), SIGNAL, BEATS)
    assert "marks that lie outside it" in outcome.reason
    none = Annotation(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int8))
    outcome = prepare_record(bare(generated.records[0].signal, annotation=none), SIGNAL, BEATS)
    assert "no mark of a beat" in outcome.reason


def test_marked_beats_are_taken_all_and_detected_ones_get_the_class_of_the_mark_they_match(generated):
    record = generated.records[0]
    marked, detected = prepared(record), prepared(record, peaks="detected")
    assert np.array_equal(marked.beat_class, record.annotation.beat_class)
    assert np.abs(marked.r_sample - record.annotation.sample).max() <= 18
    assert (detected.beat_class == VENTRICULAR).sum() == pytest.approx(
        (marked.beat_class == VENTRICULAR).sum(), abs=2
    )


def test_beats_nobody_marked_are_detected_and_of_unknown_class(generated):
    outcome = prepared(replace(generated.records[0], annotation=None))
    assert len(outcome.r_sample) > 60
    assert (outcome.beat_class == UNKNOWN).all()


def test_another_rate_gives_the_same_beats(generated):
    record = generated.records[0]
    coarse = record.signal.reshape(-1, 2).mean(axis=1)
    half = Annotation(record.annotation.sample // 2, record.annotation.beat_class)
    slow = prepared(bare(coarse, 180.0, half))
    fast = prepared(record)
    assert np.median(np.abs(slow.r_sample - fast.r_sample)) <= 2
    assert slow.intervals.ratio == pytest.approx(fast.intervals.ratio, abs=0.06)


def test_an_inverted_lead_is_turned_over_when_asked(generated):
    record = generated.records[0]
    upside_down = replace(record, signal=-record.signal)
    upright = SignalConfig(polarity="upright")
    turned = prepare_record(upside_down, upright, BEATS)
    assert np.allclose(turned.signal, prepare_record(record, upright, BEATS).signal, atol=1e-5)
    assert np.allclose(prepared(upside_down).signal, -prepared(record).signal, atol=1e-5)


def test_lost_seconds_and_a_detector_that_fails_are_noted(generated):
    record = generated.records[0]
    signal = record.signal.copy()
    signal[:3600] = np.nan
    notes = prepared(replace(record, signal=signal)).notes
    assert "s are flat, saturated or missing" in notes[0]
    assert "the detector finds" in notes[1]


def test_recordings_lie_one_after_another_and_windows_stay_within_their_own(generated, recordings):
    assert recordings.names == tuple(record.name for record in generated.records)
    windows = recordings.windows(BEATS)
    beats = windows.gather(torch.arange(len(windows))).numpy()
    for number in (0, recordings.num_records - 1):
        own = recordings.signal_of(number)
        padded = np.pad(own, 256)
        for beat in recordings.beats_of(np.array([number]))[[0, -1]]:
            start = recordings.beats.r_sample[beat] + 256 - 90
            assert np.array_equal(beats[beat], padded[start : start + 256])


def test_windows_at_the_very_ends_see_zeros_and_not_the_neighbour(generated):
    marks = Annotation(np.array([0, len(generated.records[0].signal) - 1]), np.zeros(2, dtype=np.int8))
    records = [replace(one, annotation=marks) for one in generated.records[:2]]
    ends = Recordings.of(records, SignalConfig(min_quality=0), BeatConfig(align_ms=0))
    beats = ends.windows(BEATS).gather(torch.arange(4)).numpy()
    assert (beats[::2, :90] == 0).all()
    assert (beats[1::2, 91:] == 0).all()


def test_one_refused_recording_does_not_stop_the_others(generated):
    mixed = [Refused("a", "cut off"), generated.records[0], bare(np.zeros(7200))]
    found = Recordings.of(mixed, SIGNAL, BEATS).require()
    assert found.names == (generated.records[0].name,)
    assert [one.name for one in found.refused] == ["a", "r"]


def test_without_any_usable_recording_the_reasons_are_given():
    nothing = Recordings.of([Refused("a", "cut off")], SIGNAL, BEATS)
    assert len(nothing.beats) == 0
    with pytest.raises(RequestError, match="a: cut off"):
        nothing.require()


def test_stored_recordings_come_back_as_they_were(recordings, tmp_path):
    noted = replace(recordings, refused=(Refused("x", "flat"),), notes=("a note",))
    save_recordings(noted, tmp_path)
    again = load_recordings(tmp_path)
    for name in ("names", "patients", "leads", "parts", "notes", "refused", "rate_hz"):
        assert getattr(again, name) == getattr(noted, name)
    assert np.array_equal(again.signal, recordings.signal)
    for name in ("record", "r_sample", "beat_class", "quality"):
        assert np.array_equal(getattr(again.beats, name), getattr(recordings.beats, name))
        assert getattr(again.beats, name).dtype == getattr(recordings.beats, name).dtype
    assert np.array_equal(again.beats.intervals.local, recordings.beats.intervals.local)


def test_a_damaged_folder_is_refused(recordings, tmp_path):
    with pytest.raises(RequestError, match="Expected stored recordings"):
        load_recordings(tmp_path)
    save_recordings(recordings, tmp_path)
    whole = (tmp_path / "recordings.safetensors").read_bytes()
    (tmp_path / "recordings.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RequestError, match="Ingest again"):
        load_recordings(tmp_path)
