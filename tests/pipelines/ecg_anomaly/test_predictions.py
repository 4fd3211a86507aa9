"""One table says everything about the test beats, in their order."""

import numpy as np

from pipelines.ecg_anomaly.baselines import TITLES
from pipelines.ecg_anomaly.predictions import judged_beats


def test_there_is_one_row_for_each_beat_of_the_test_recordings(judged):
    table, recordings = judged.table, judged.recordings
    tested = np.array([recordings.names.index(name) for name in table["record"].unique(maintain_order=True)])
    assert np.array_equal(table["beat"], recordings.beats_of(tested))
    assert table.null_count().drop("beat_class").sum_horizontal().item() == 0
    assert {*TITLES, "predicted_class", "flagged_textbook"} <= set(table.columns)
    assert table["fold"].unique().to_list() == [0]


def test_the_score_is_the_sum_of_its_parts_and_decides_the_flag(judged):
    table = judged.table
    np.testing.assert_allclose(table["shape"] + table["rhythm"], table["score"])
    assert table["flagged"].equals(table["score"] > table["threshold"])
    cut = judged.fitted.thresholds.everybody.scores
    assert table["flagged_textbook"].equals(table["score"] > cut.mean() + 3 * cut.std())


def test_beat_times_are_those_of_the_r_peaks(judged):
    beats, table = judged.recordings.beats, judged.table
    places = table["beat"].to_numpy()
    np.testing.assert_allclose(table["beat_time"], beats.r_sample[places] / 360)
    for _, rows in table.group_by("record"):
        assert rows["beat_time"].is_sorted()


def test_abnormal_beats_score_higher_than_normal_ones(judged):
    medians = {name: judged.table.filter(beat_class=name)["score"].median() for name in "NSV"}
    assert medians["V"] > 3 * medians["N"]
    assert medians["S"] > 2 * medians["N"]


def test_of_no_beats_there_is_an_empty_table(judged):
    nothing = np.zeros(0, dtype=np.int64)
    found = judged_beats(
        judged.fitted.detector, judged.fitted.thresholds, judged.recordings, judged.inputs, nothing
    )
    assert found.height == 0
