"""Figures: what is drawn is what was measured, and one that cannot be drawn says why."""

import re

import numpy as np
import polars as pl
import pytest

from pipelines.ecg_anomaly.figures import (
    false_alarms_by_record,
    pieces_by_class,
    scores_by_class,
    sensitivity_by_false_alarms,
)
from pipelines.ecg_anomaly.traces import ASPECT, beat_panels, strip
from pipelines.ecg_anomaly.wording import beat_sentence, moment, share


def beats(**columns: list[object]) -> pl.DataFrame:
    base = {"beat_class": ["N"] * 50 + ["V"] * 10, "score": [float(one % 7) for one in range(60)]}
    table = pl.DataFrame({**base, **columns})
    return table.with_columns(flagged=pl.col("score") > 5, beat_time=pl.int_range(pl.len()) * 0.8)


def card(record: str, rate: float | None, auroc: float | None = None) -> dict[str, object]:
    return {"record": record, "false_alarm_rate": rate, "auroc": auroc}


def example(**changes: object) -> dict[str, object]:
    trace = np.sin(np.linspace(0, 6, 256))
    return {
        "record": "patient-01",
        "beat_time": 63.25,
        "beat_class": "V",
        "score": 9.0,
        "threshold": 8.0,
        "p_value": 0.004,
        "flagged": True,
        "shape": 6.0,
        "rhythm": 3.0,
        "rhythm_gradient": -2.25,
        "beat_mv": trace.tolist(),
        "usual_mv": (trace / 2).tolist(),
        "heat": np.full(256, 1 / 256).tolist(),
        "gradients": np.linspace(-1, 1, 256).tolist(),
        "evidence": np.linspace(0, 1, 256).tolist(),
    } | changes


def size_of(svg: str) -> tuple[float, float]:
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()
    return float(width), float(height)


def grid_pitch(svg: str) -> tuple[float, float]:
    """Points between the lines of the large squares, along and up."""
    grid = [path for path in re.findall(r'<path d="([^"]+)"', svg) if path.count("M") > 10]
    along, up = set(), set()
    for x, y, other_x, other_y in re.findall(
        r"M ([\d.]+) ([\d.]+) \s*L ([\d.]+) ([\d.]+)", grid[-1].replace("\n", " ")
    ):
        if x == other_x:
            along.add(float(x))
        if y == other_y:
            up.add(float(y))
    return np.median(np.diff(sorted(along))), np.median(np.diff(sorted(up)))


def test_squares_of_the_paper_are_square():
    """0.2 s and 0.5 mV take the same room, which is 25 mm/s and 10 mm/mV."""
    signal = np.sin(np.linspace(0, 60, 3600)).astype(np.float32)
    svg = strip(signal, 360, 0.0, beats())
    along, up = grid_pitch(svg)
    assert ASPECT == 0.4
    assert along == pytest.approx(up, rel=0.02)


def test_strip_marks_every_beat_and_its_time():
    signal = np.zeros(7200, dtype=np.float32)
    svg = strip(signal, 360, 4.0, beats(beat_class=["N"] * 10 + ["V", None] * 25))
    assert svg.count(">V<") == 4  # the beats 10, 12, 14 and 16, at 8.0 to 12.8 s
    assert ">?<" in svg
    assert "from 0:04.0" in svg
    assert "1 mV" in svg


def test_strip_beyond_the_end_says_so():
    assert "Not drawn" in strip(np.zeros(100, dtype=np.float32), 360, 60.0, beats())


def test_an_artefact_does_not_flatten_the_strip():
    signal = np.sin(np.linspace(0, 60, 3600)).astype(np.float32)
    signal[100] = 400.0
    assert size_of(strip(signal, 360, 0.0, beats()))[1] < 800


def test_panels_show_up_to_four_beats_with_their_names():
    svg = beat_panels([example(record=f"r{number}") for number in range(3)], 360, 90, 16)
    assert all(f"r{number}, 1:03.2" in svg for number in range(3))
    assert "rhythm −2.2" in svg
    assert "Grad-CAM" in svg


def test_names_of_recordings_are_shown_as_they_are():
    assert "a-$b$, 1:03.2" in beat_panels([example(record="a-$b$")], 360, 90, 16).replace("\\", "")


def test_recordings_with_most_false_alarms_come_first_and_unknown_ones_are_left_out():
    svg = false_alarms_by_record([card("low", 0.001), card("unknown", None), card("high", 0.1, 0.9)], 0.01)
    assert svg.index(">high<") < svg.index(">low<")
    assert "unknown" not in svg
    assert "promised on average, 1 %" in svg


def test_many_recordings_stay_readable():
    assert size_of(false_alarms_by_record([card(f"r{n}", n / 500) for n in range(300)], 0.01))[1] < 900


def test_classes_with_too_few_beats_have_no_curve():
    table = beats(beat_class=["N"] * 40 + ["V"] * 18 + ["S"] * 2)
    svg = sensitivity_by_false_alarms(table, (0.01, 0.05))
    assert "Ventricular (n = 18)" in svg
    assert "Supraventricular" not in svg


def test_thresholds_are_named_with_their_values():
    svg = scores_by_class(beats(), {"split conformal": 4.25, "mean + 3 sd": 5.5})
    assert "split conformal, 4.2" in svg
    assert "mean + 3 sd, 5.5" in svg


def test_figures_say_why_they_are_empty():
    unmarked = beats().with_columns(beat_class=pl.lit(None, dtype=pl.String))
    nobody = unmarked.with_columns(part=pl.lit("rhythm"), contribution=1.0, beat=1)
    for svg in (
        false_alarms_by_record([], 0.01),
        sensitivity_by_false_alarms(unmarked, (0.01,)),
        scores_by_class(unmarked, {}),
        pieces_by_class(nobody),
        beat_panels([], 360, 90, 16),
    ):
        assert "Not drawn" in svg


def test_the_same_numbers_give_the_same_drawing():
    assert beat_panels([example()], 360, 90, 16) == beat_panels([example()], 360, 90, 16)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "0:00.0"), (59.96, "1:00.0"), (83.25, "1:23.2"), (3723.4, "1:02:03.4")]
)
def test_moments_are_written_as_people_read_them(seconds, words):
    assert moment(seconds) == words


def test_shares_are_percent_and_unknown_ones_a_dash():
    assert share(0.01234, 2) == "1.23 %"
    assert share(None) == "–"


@pytest.mark.parametrize(
    ("rhythm", "flagged", "words"),
    [(9.0, True, "flagged (threshold 8; p = 0.0040), mostly by its rhythm"), (1.0, False, "not flagged")],
)
def test_a_beat_is_described_by_what_counts_most(rhythm, flagged, words):
    text = beat_sentence(example(rhythm=rhythm, flagged=flagged))
    assert "patient-01 at 1:03.2, marked ventricular" in text
    assert words.replace("threshold 8;", "threshold 8.0;") in text


def test_a_beat_that_nobody_marked_is_said_so():
    assert "not marked" in beat_sentence(example(beat_class=None, p_value=None))
