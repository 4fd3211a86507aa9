"""The promise of the threshold, and its adaptation to how a patient usually scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom

from pipelines.ecg_anomaly.config import ThresholdConfig
from pipelines.ecg_anomaly.threshold import Cut, Thresholds, level
from shared.errors import RequestError


def fitted(scores: np.ndarray, record: np.ndarray | None = None, **knobs: object) -> Thresholds:
    """All beats are normal, one a second in each recording."""
    record = np.zeros(len(scores), dtype=int) if record is None else record
    time_s = np.concatenate([np.arange(np.sum(record == one)) for one in np.unique(record)]).astype(float)
    return Thresholds.fit(
        scores, np.ones(len(scores), dtype=bool), record, time_s, ThresholdConfig.model_validate(knobs)
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.05, 0.2]))
def test_exchangeable_normal_beats_are_flagged_as_rarely_as_promised(seed, promised):
    rng, num_normal, num_unseen = np.random.default_rng(seed), 4000, 20_000
    thresholds = fitted(rng.gamma(2.0, 1.0, num_normal), false_alarms=promised)
    unseen = rng.gamma(2.0, 1.0, num_unseen)
    flagged = thresholds.judge(unseen, np.arange(num_unseen) * 1.0).flagged.sum()
    # how many of the unseen are beyond the given place among the normal ones, by chance alone
    above = int(promised * (num_normal + 1))
    lowest, highest = betabinom.interval(1 - 1e-9, num_unseen, above, num_normal + 1 - above)
    assert lowest <= flagged <= highest


@given(st.lists(st.floats(0, 50), min_size=120, max_size=300), st.floats(0, 60))
def test_a_beat_is_flagged_exactly_when_its_p_value_is_within_the_promise(scores, score):
    cut = Cut.fit(np.array(scores), ThresholdConfig(false_alarms=0.05))
    p_value = cut.p_values(np.array([score]))[0]
    assert 0 < p_value <= 1
    assert (score > cut.value) == (p_value <= 0.05)


def test_too_few_normal_beats_for_so_rare_an_alarm_are_refused_with_how_many_it_takes():
    with pytest.raises(RequestError, match=r"at least 99 normal beats.*Received 98"):
        fitted(np.arange(98.0), false_alarms=0.01)


def test_the_textbook_rule_is_mean_and_three_deviations_and_promises_nothing():
    scores = np.random.default_rng(0).gamma(2.0, 1.0, 1000)
    thresholds = fitted(scores, rule="three_deviations")
    assert thresholds.everybody.value == pytest.approx(scores.mean() + 3 * scores.std())
    assert thresholds.title == "mean + 3 standard deviations"


@pytest.fixture(scope="module")
def adapted() -> Thresholds:
    """Of four patients who usually score 1, 2, 3 and 4, judged by their own first minute."""
    rng = np.random.default_rng(0)
    record = np.repeat(np.arange(4), 300)
    return fitted(rng.gamma(2.0, 0.5, 1200) + record + 1, record, adapt_minutes=1.0)


def test_after_the_first_minutes_a_patient_is_judged_by_what_is_usual_for_him(adapted):
    scores = np.random.default_rng(1).gamma(2.0, 0.5, 300)
    time_s = np.arange(300.0)
    low, high = (adapted.judge(scores + shift, time_s) for shift in (0.0, 10.0))
    later = time_s >= 60
    assert np.array_equal(low.flagged[later], high.flagged[later])
    np.testing.assert_allclose(high.threshold[later] - low.threshold[later], 10)
    assert (low.threshold[~later] == adapted.everybody.value).all()
    assert high.flagged[~later].mean() > low.flagged[~later].mean()


def test_what_comes_after_the_first_minutes_does_not_move_the_threshold(adapted):
    scores, time_s = np.full(300, 3.0), np.arange(300.0)
    changed = np.where(time_s < 60, scores, 30.0)
    assert np.array_equal(adapted.judge(scores, time_s).threshold, adapted.judge(changed, time_s).threshold)


def test_a_patient_with_too_few_beats_in_the_first_minutes_is_judged_as_everybody(adapted):
    assert level(np.ones(29)) is None
    judged = adapted.judge(np.ones(40), np.arange(40) * 60.0)
    assert (judged.threshold == adapted.everybody.value).all()


def test_adapting_longer_than_the_recordings_last_is_refused():
    with pytest.raises(RequestError, match=r"longer than threshold\.adapt_minutes, 20"):
        fitted(np.arange(300.0), adapt_minutes=20)


def test_thresholds_come_back_from_their_arrays_as_they_were(adapted):
    back = Thresholds.of_arrays(adapted.arrays(), adapted.config)
    scores, time_s = np.random.default_rng(2).gamma(2.0, 2.0, 200), np.arange(200.0)
    for name in ("threshold", "p_value", "flagged"):
        assert np.array_equal(
            getattr(back.judge(scores, time_s), name), getattr(adapted.judge(scores, time_s), name)
        )
    assert back.to_json() == adapted.to_json()
