"""What a reviewer sees is what was scored; other thresholds flag what they promise."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ecg_anomaly.config import ThresholdConfig
from pipelines.ecg_anomaly.example import write_example
from pipelines.ecg_anomaly.review import SHARES, Reviewed
from pipelines.ecg_anomaly.score_files import ToScore
from pipelines.ecg_anomaly.threshold import Thresholds
from pipelines.ecg_anomaly.wording import pieces
from shared.errors import RequestError


@pytest.fixture(scope="module")
def reviewed(judged, tmp_path_factory) -> Reviewed:
    scorer = judged.scorer
    source = write_example(scorer, tmp_path_factory.mktemp("example"))
    read = ToScore.of(source, scorer)
    table = scorer.score_recordings(read.recordings)
    alerts = scorer.alerts(read.recordings, table, read.rates_hz, explain=True)
    return Reviewed.of(scorer, source, alerts)


@pytest.fixture(scope="module")
def name(reviewed) -> str:
    return reviewed.names[0]


def test_recordings_with_most_alarms_come_first(reviewed):
    rates = [reviewed.facts(name, reviewed.beats(name))["flagged_per_hour"] for name in reviewed.names]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0


def test_beats_are_those_of_the_output(reviewed, name):
    beats = reviewed.beats(name)
    own = reviewed.alerts.filter(pl.col("record") == name)
    assert beats.select(own.columns).equals(own)
    assert beats["heart_rate"].is_between(20, 400).all()


def test_the_threshold_of_the_model_flags_what_it_flagged(reviewed, name):
    own = reviewed.beats(name)
    again = reviewed.beats(name, reviewed.served)
    assert again["flagged"].equals(own["flagged"])
    np.testing.assert_allclose(again["threshold"], own["threshold"])


@given(
    scores=st.lists(st.floats(0, 20), min_size=30, max_size=200),
    new=st.lists(st.floats(0, 25), min_size=1, max_size=40),
    share=st.sampled_from([0.05, 0.1, 0.2, 0.3]),
)
def test_a_beat_is_flagged_at_a_promised_share_just_where_its_p_value_is_not_above_it(scores, new, share):
    config = ThresholdConfig(false_alarms=0.1)
    count = len(scores)
    thresholds = Thresholds.fit(
        np.array(scores),
        np.ones(count, dtype=bool),
        np.zeros(count, dtype=np.int64),
        np.arange(count),
        config,
    )
    judged = thresholds.promising(share).judge(np.array(new), np.arange(len(new), dtype=np.float64))
    # shares are counted in beats: a rounding of the product must not decide
    counted = np.round(judged.p_value * (count + 1)) <= np.floor(share * (count + 1) + 1e-9)
    assert np.array_equal(judged.flagged, counted)


def test_a_share_that_the_beats_cannot_promise_is_refused(reviewed, name):
    assert min(reviewed.shares) >= reviewed.scorer.thresholds.smallest_share
    with pytest.raises(RequestError, match=r"to promise 0\.01% false alarms"):
        reviewed.beats(name, 1e-4)


def test_alarm_rates_are_those_of_the_flagged_beats(reviewed, name):
    rates = reviewed.alarm_rates(name)
    assert rates["alarms_per_hour"].is_sorted()
    for share in (share for share in SHARES if share in reviewed.shares):
        flagged = reviewed.facts(name, reviewed.beats(name, share))["flagged_per_hour"]
        around = rates.filter((pl.col("share") / share).is_between(0.9, 1.1))["alarms_per_hour"]
        assert around.min() <= flagged <= around.max()


def test_a_strip_is_the_signal_of_its_stretch(reviewed, name):
    time, voltage = reviewed.signal(name, 2.0, 5.0)
    rate = reviewed.recordings.rate_hz
    assert (time[0], len(time)) == (2.0, 5 * rate)
    whole = reviewed.recordings.signal_of(reviewed.recordings.names.index(name))
    assert np.array_equal(voltage, whole[2 * rate : 7 * rate])
    assert len(reviewed.signal(name, 3600 * reviewed.hours(name) - 1, 5.0)[0]) == rate


def test_heat_of_flagged_beats_is_that_of_the_output(reviewed, name):
    import json

    flagged = reviewed.beats(name).filter("flagged")
    time, heat = reviewed.heat(flagged["place"].to_list())
    written = [json.loads(text)["values"] for text in flagged["heat"]]
    np.testing.assert_allclose(heat, written, atol=1e-4)
    assert time[np.abs(time).argmin()] == 0


def test_pieces_of_a_beat_and_its_earliness_add_up_to_its_score(reviewed, name):
    beats = reviewed.beats(name)
    beat = reviewed.explained(reviewed.beat_near(beats, float(reviewed.to_review(beats)["beat_time"][0])))
    parts = pieces(beat, rate_hz=beat["rate_hz"], before=beat["before"], segment=beat["segment"])
    assert list(parts)[-1] == "earliness"
    assert len(parts) == len(beat["beat_mv"]) // beat["segment"] + 1
    assert sum(parts.values()) + beat["base_value"] == pytest.approx(beat["score"], rel=0.15)
    assert beat["shape"] + beat["rhythm"] == pytest.approx(beat["score"], rel=1e-4)


def test_beats_of_poor_signal_are_reviewed_last(reviewed):
    beats = pl.DataFrame(
        {
            "flagged": [True, True, True, False],
            "signal_quality": [0.2, 0.9, 0.8, 1.0],
            "score": [9.0, 5.0, 7.0, 1.0],
        }
    )
    assert reviewed.to_review(beats)["score"].to_list() == [7.0, 5.0, 9.0]
