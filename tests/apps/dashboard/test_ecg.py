"""The page of ECG anomaly detection as a technician uses it."""

import json

import numpy as np
import pytest

from apps.dashboard.components.ecg_paper import _range, _steps

KEY = "ecg_anomaly"


def figures(page):
    """By title."""
    found = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    return {figure["layout"]["title"]["text"]: figure for figure in found}


def numbers(page):
    return " ".join(each.proto.body for each in page.get("html"))


@pytest.fixture
def example(open_page):
    """The page with its generated example scored."""
    page = open_page(KEY)
    return page.button(key=f"{KEY}/example").click().run()


def flagged(page):
    """The caption between the buttons: how many beats are flagged, and which is looked at."""
    return next(caption.value for caption in page.caption if " flagged, at " in caption.value)


def test_verdict_numbers_and_what_it_is_not_for_stand_first(open_page):
    page = open_page(KEY)
    assert not page.exception
    assert "can the alarm rate be trusted" in page.markdown[0].value
    assert "AUROC" in numbers(page)
    assert any(caption.value.startswith("Not a medical device") for caption in page.caption)


def test_a_recording_is_shown_on_paper_of_the_usual_proportions(example):
    assert not example.exception
    assert not example.error
    drawn = figures(example)
    [strip] = [figure for title, figure in drawn.items() if " from " in title]
    axis = strip["layout"]["yaxis"]
    assert (axis["scaleanchor"], axis["scaleratio"]) == ("x", 10 / 25)
    assert strip["layout"]["xaxis"]["minor"]["dtick"] == 1 / 25
    assert axis["minor"]["dtick"] == 0.1
    assert "Threshold against alarm rate" in drawn
    assert "Alarms" in numbers(example)


def test_a_laxer_threshold_flags_more_beats_and_leads_through_them(example):
    slider = example.select_slider(key=f"{KEY}/share")
    before = int(flagged(example).split(" of ")[1].split()[0])
    slider.set_value(0.1).run()
    assert not example.exception
    after = int(flagged(example).split(" of ")[1].split()[0])
    assert after > before
    here = flagged(example)
    steps = {button.key: button for button in example.button if button.key}
    for name in (f"{KEY}/Flagged after", f"{KEY}/Flagged before"):
        if not steps[name].disabled:
            steps[name].click().run()
            break
    assert not example.exception
    assert flagged(example) != here


def test_another_recording_and_longer_strips_can_be_chosen(example):
    box = example.selectbox(key=f"{KEY}/record")
    box.set_value(box.options[1]).run()
    assert not example.exception
    assert any(title.startswith(f"{box.options[1]} from") for title in figures(example))


def test_test_beats_stand_beside_their_usual_ones_before_anything_is_uploaded(open_page, failed_explanation):
    page = open_page(KEY, view="Test beats")
    assert not page.exception
    drawn = figures(page)
    paper = next(figure for title, figure in drawn.items() if "marked" in title)
    assert {"usual beat of this patient", "this beat"} <= {trace.get("name") for trace in paper["data"]}
    assert "What makes the score" in drawn
    assert [error.value.replace("\\", "") for error in page.error] == [failed_explanation]


def test_what_was_published_says_whether_the_alarm_rate_can_be_trusted(open_page):
    page = open_page(KEY, view="Can the alarm rate be trusted")
    assert not page.exception
    assert "False alarms of each test recording" in figures(page)
    classes = page.dataframe[0].value
    assert classes["class"].to_list() == ["Ventricular", "Supraventricular", "Fusion"]
    assert page.dataframe[1].value["class"].iloc[0] == "Normal"


def test_a_file_that_is_no_recording_is_refused_without_a_traceback(open_page):
    page = open_page(KEY)
    page.file_uploader(key=f"{KEY}/upload").set_value(
        ("holter.edf", b"no recording", "application/edf")
    ).run()
    page.button(key=f"{KEY}/score").click().run()
    assert not page.exception
    [error] = [error.value for error in page.error]
    assert "holter" in error
    assert "session-" not in error


def test_squares_of_the_paper_begin_on_whole_ones():
    np.testing.assert_allclose(_steps((-0.6, 0.6), 0.2), [-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6], atol=1e-12)


@pytest.mark.parametrize(
    "values", [np.zeros(3), np.array([-0.2, 0.3]), np.array([-4.0, 5.0])], ids=["flat", "small", "large"]
)
def test_the_paper_has_room_for_the_trace_and_a_pulse_of_one_millivolt(values):
    low, high = _range(values)
    assert low < min(values.min(), 0.0)
    assert high > values.max()
    assert high - low >= 1.5
