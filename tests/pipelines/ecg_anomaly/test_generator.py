"""Made-up hearts behave as their truth says."""

import numpy as np
import polars as pl
import pytest
import torch

from pipelines.ecg_anomaly.config import BeatConfig, SignalConfig
from pipelines.ecg_anomaly.generator import RATE_HZ, Generated, generate
from pipelines.ecg_anomaly.heart import Heart, P
from pipelines.ecg_anomaly.labels import CLASSES, FUSION, NORMAL, SUPRAVENTRICULAR, VENTRICULAR
from pipelines.ecg_anomaly.recordings import Recordings


@pytest.fixture(scope="module")
def many() -> Generated:
    return generate(20, 2.0, seed=0)


@pytest.fixture(scope="module")
def many_recordings(many) -> Recordings:
    return Recordings.of(many.records, SignalConfig(), BeatConfig())


def hearts(num: int = 400) -> list[Heart]:
    return [Heart.of(np.random.default_rng([7, number])) for number in range(num)]


def test_the_same_seed_gives_the_same_recordings_and_more_patients_change_none(generated):
    again = generate(3, 1.5, seed=0)
    for record, other in zip(again.records, generated.records, strict=False):
        assert np.array_equal(record.signal, other.signal)
        assert np.array_equal(record.annotation.sample, other.annotation.sample)
    assert not np.array_equal(generate(1, 1.5, seed=1).records[0].signal, generated.records[0].signal)


def test_ectopic_beats_are_early_for_the_most_part_but_not_all(many_recordings):
    beats = many_recordings.beats
    ratio = {kind: beats.intervals.ratio[beats.beat_class == kind] for kind in range(4)}
    assert np.median(ratio[VENTRICULAR]) < 0.85
    assert (ratio[VENTRICULAR] > 1.05).mean() > 0.05
    assert 0.7 < np.median(ratio[SUPRAVENTRICULAR]) < 0.95
    assert np.median(ratio[FUSION]) == pytest.approx(0.95, abs=0.05)
    assert np.median(ratio[NORMAL]) == pytest.approx(1, abs=0.03)


def test_a_single_early_ventricular_beat_is_compensated(many_recordings):
    beats = many_recordings.beats
    is_single = (
        (beats.beat_class == VENTRICULAR)
        & (np.roll(beats.beat_class, 1) == NORMAL)
        & (np.roll(beats.beat_class, -1) == NORMAL)
        & (beats.intervals.ratio < 0.85)
    )
    both = (beats.intervals.ratio + beats.intervals.after / beats.intervals.local)[is_single]
    assert np.median(both) == pytest.approx(2, abs=0.15)
    # Those between two others are not.
    assert ((both > 0.9) & (both < 1.3)).any()


def test_ventricular_complexes_are_wide_and_atrial_ones_are_not(many_recordings):
    windows = many_recordings.windows(BeatConfig()).gather(torch.arange(len(many_recordings.beats))).numpy()
    width = {}
    for kind in (NORMAL, SUPRAVENTRICULAR, VENTRICULAR):
        shape = np.abs(windows[many_recordings.beats.beat_class == kind])
        width[kind] = np.median((shape > 0.5 * shape[:, 80:100].max(axis=1, keepdims=True)).sum(axis=1))
    assert width[VENTRICULAR] > 1.5 * width[NORMAL]
    assert width[SUPRAVENTRICULAR] == pytest.approx(width[NORMAL], rel=0.5)


def test_hearts_that_fibrillate_are_irregular_have_no_p_wave_and_no_atrial_beats():
    made = hearts()
    fibrillating = [heart for heart in made if heart.fibrillates]
    assert 0.05 < len(fibrillating) / len(made) < 0.3
    rng = np.random.default_rng(0)
    for heart in fibrillating[:10]:
        rhythm = heart.beat(120, 0.5, rng)
        assert heart.height[0, P] == 0
        assert SUPRAVENTRICULAR not in rhythm.beat_class
        assert np.diff(rhythm.moment).std() / heart.mean_rr > 0.1


def test_some_hearts_have_wide_normal_beats_and_some_several_ventricular_shapes():
    made = hearts()
    widths = np.array([heart.width[0, 2:4].sum() for heart in made])
    assert 0.05 < (widths > 1.4 * np.median(widths)).mean() < 0.4
    assert {len(heart.often) for heart in made} == {1, 2, 3}


def test_ventricular_beats_come_in_runs_of_up_to_three():
    rng = np.random.default_rng(0)
    runs: set[int] = set()
    for heart in hearts(40):
        is_ventricular = heart.beat(600, 0.5, rng).beat_class == VENTRICULAR
        ends = np.flatnonzero(np.diff(np.concatenate([[0], is_ventricular, [0]])))
        runs |= set(np.diff(ends)[::2].tolist())
    assert runs == {1, 2, 3}


def test_beats_come_one_after_another_inside_the_recording():
    rng = np.random.default_rng(0)
    for heart in hearts(50):
        moment = heart.beat(60, 0.5, rng).moment
        assert np.diff(moment).min() > 0.2
        assert moment[0] > 0.5
        assert 57 < moment[-1] < 59.5


def test_the_truth_names_every_abnormal_beat_and_where_it_differs(many):
    found = many.truth.group_by("record", "beat_time", maintain_order=True).agg("beat_class", "part")
    marked = {
        (record.name, int(sample), CLASSES[kind])
        for record in many.records
        for sample, kind in zip(record.annotation.sample, record.annotation.beat_class, strict=True)
        if kind != NORMAL
    }
    told = {(name, round(time * RATE_HZ), classes[0]) for name, time, classes, _ in found.rows()}
    assert marked <= told
    parts = {kind: rows["part"].to_list() for (kind,), rows in many.truth.group_by("beat_class")}
    assert set(parts["V"]) == {"P", "QRS", "T", "rhythm"}
    assert set(parts["S"]) == {"P", "rhythm"}
    assert set(parts["F"]) == {"QRS", "T", "rhythm"}


def test_parts_lie_where_their_wave_is(many):
    away = many.truth.drop_nulls("start").with_columns(
        start=pl.col("start") - pl.col("beat_time"), end=pl.col("end") - pl.col("beat_time")
    )
    middle = {part: (rows["start"] + rows["end"]).mean() / 2 for (part,), rows in away.group_by("part")}
    assert middle["P"] < -0.1
    assert abs(middle["QRS"]) < 0.05
    assert middle["T"] > 0.2
    assert (away["end"] > away["start"]).all()
    assert many.truth.filter(pl.col("part") == "rhythm")["start"].is_null().all()


def test_beats_truly_differ_where_the_truth_says(many, many_recordings):
    """Atrial beats with another P wave: there they lie far from the normal ones of their patient, elsewhere not."""
    beats = many_recordings.beats
    windows = many_recordings.windows(BeatConfig()).gather(torch.arange(len(beats))).numpy()
    inside, outside = [], []
    for row in many.truth.filter(beat_class="S", part="P").iter_rows(named=True):
        record = many_recordings.names.index(row["record"])
        own = beats.record == record
        at = np.flatnonzero(own)[np.abs(beats.r_sample[own] / RATE_HZ - row["beat_time"]).argmin()]
        usual = np.median(windows[own & (beats.beat_class == NORMAL)], axis=0)
        time = (np.arange(256) - 90 + beats.r_sample[at]) / RATE_HZ
        is_part = (time >= row["start"]) & (time <= row["end"])
        difference = np.square(windows[at] - usual)
        inside.append(difference[is_part].mean())
        outside.append(difference[~is_part].mean())
    assert len(inside) > 10
    assert np.median(np.array(inside) / outside) > 1.5


def test_patients_differ_in_shape(generated):
    sizes = [np.percentile(record.signal, 99.5) for record in generated.records]
    assert np.std(sizes) > 0.1


def test_the_truth_says_when_the_lead_was_off_and_nobody_marked_beats_then(many):
    off = many.events.filter(kind="lead_off").row(0, named=True)
    record = next(one for one in many.records if one.name == off["record"])
    start, end = int(off["start"] * RATE_HZ), int(off["end"] * RATE_HZ)
    assert np.ptp(record.signal[start + 1 : end - 1]) == 0
    marked = record.annotation.sample
    assert not ((marked > start) & (marked < end)).any()


def test_a_pause_is_a_gap_of_two_intervals():
    made = generate(10, 5.0, seed=3)
    pauses = made.events.filter(kind="pause")
    assert pauses.height > 3
    for pause in pauses.head(4).iter_rows(named=True):
        record = next(one for one in made.records if one.name == pause["record"])
        usual = np.median(np.diff(record.annotation.sample)) / RATE_HZ
        assert pause["end"] - pause["start"] == pytest.approx(2 * usual, rel=0.35)


def test_names_sort_as_they_count():
    names = [record.name for record in generate(11, 0.5, seed=0).records]
    assert names == sorted(names)
    assert names[0] == "patient-01"
