"""What is said of explanations: they find where generated beats differ, and typical beats are shown."""

import json

import numpy as np
import polars as pl
import pytest

from pipelines.ecg_anomaly.explain import (
    DIFFERENCE_ALONE,
    GRAD_CAM,
    HEAT,
    beats_to_check,
    beats_to_show,
    explain_test,
)
from pipelines.ecg_anomaly.explainer import RHYTHM
from shared.publishing.plain import plain


@pytest.fixture(scope="module")
def explained(judged):
    return explain_test(judged.scorer, judged.recordings, judged.inputs, judged.table, judged.generated.truth)


def test_explanation_is_better_than_a_random_order(explained):
    document, _ = explained
    assert document["attribution"]["faithful"], document["attribution"]["warning"]
    assert set(document["others"]) == {HEAT, GRAD_CAM, DIFFERENCE_ALONE}
    assert -1 <= document["likeness_to_random"] <= 1


def test_most_of_the_heat_of_atrial_beats_lies_on_their_p_wave(explained):
    found = explained[0]["truth"]["stretches"]["S"]
    assert found["beats"] >= 5
    assert found["stretch"] < 0.35
    for name in (HEAT, "gradients"):
        assert found[name]["low"] > 0.2


def test_rhythm_counts_in_beats_that_are_early_and_not_in_those_on_time(explained):
    found = explained[0]["truth"][RHYTHM]
    assert min(part["beats"] for part in found.values()) >= 3
    assert found["rhythm_only"]["share"] > 0.4
    assert found["in_time"]["share"] < 0.15


def test_without_a_truth_nothing_is_said_of_it(judged):
    document, _ = explain_test(judged.scorer, judged.recordings, judged.inputs, judged.table)
    assert document["truth"] is None


def test_a_truth_of_other_recordings_is_no_truth(judged):
    other = judged.generated.truth.with_columns(record=pl.lit("somebody else"))
    document, _ = explain_test(judged.scorer, judged.recordings, judged.inputs, judged.table, other)
    assert document["truth"] is None


def test_flagged_and_other_beats_are_checked_alike(judged):
    chosen = beats_to_check(judged.table, 20)
    assert chosen.height == 20
    assert chosen["flagged"].sum() == 10
    assert chosen["beat"].is_sorted()


@pytest.mark.parametrize("num_rows", [0, 1, 7])
def test_fewer_beats_than_asked_for_are_all_checked(num_rows, judged):
    few = judged.table[:num_rows]
    assert beats_to_check(few, 30)["beat"].to_list() == few["beat"].to_list()


def test_beats_shown_are_of_the_kind_that_they_are_called_and_of_several_recordings(judged):
    shown = beats_to_show(judged.table)
    assert shown["found"]["flagged"].all()
    assert not shown["missed"]["flagged"].any()
    assert (shown["found"]["beat_class"] != "N").all()
    assert (shown["false_alarms"]["beat_class"] == "N").all()
    assert shown["false_alarms"]["record"].n_unique() == shown["false_alarms"].height
    assert shown["found"]["record"].n_unique() > 1


def test_examples_are_in_millivolts_and_add_up(explained, judged):
    document, _ = explained
    for example in document["examples"]["found"]:
        at = judged.recordings.names.index(example["record"])
        peak = round(example["beat_time"] * judged.recordings.rate_hz)
        signal = judged.recordings.signal_of(at)
        assert example["beat_mv"][document["before"]] == pytest.approx(float(signal[peak]), abs=1e-6)
        total = sum(example["gradients"]) + example["rhythm_gradient"]
        assert total == pytest.approx(example["score"] - example["base_value"], rel=0.15, abs=0.5)
        assert sum(example["heat"]) == pytest.approx(1)


def test_contributions_hold_each_piece_of_each_checked_beat(explained, judged):
    document, contributions = explained
    names = list(document["attribution"]["importance"])
    assert contributions["part"].to_list()[: len(names)] == names
    num_beats = min(judged.config.explanation.num_checked, judged.table.height)
    assert contributions.height == num_beats * len(names)
    means = contributions.group_by("part").agg(pl.col("contribution").abs().mean())
    told = document["attribution"]["importance"]
    for part, mean in means.rows():
        assert mean == pytest.approx(told[part], rel=1e-4)


def test_document_survives_json_and_comes_out_the_same_again(explained, judged):
    document = plain(explained[0])
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    again = explain_test(
        judged.scorer, judged.recordings, judged.inputs, judged.table, judged.generated.truth
    )
    assert plain(again[0]) == document


def test_recordings_without_marks_are_explained_too(judged):
    unmarked = judged.table.with_columns(beat_class=pl.lit(None, dtype=pl.String))
    document, contributions = explain_test(
        judged.scorer, judged.recordings, judged.inputs, unmarked, judged.generated.truth
    )
    assert np.isfinite(contributions["contribution"].to_numpy()).all()
    assert document["truth"] is None
    assert document["examples"]["found"] == []
