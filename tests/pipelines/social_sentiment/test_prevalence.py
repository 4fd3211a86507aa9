"""Shares of labels: corrected for other mixtures than the calibration had, with intervals that hold what they say."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from pipelines.social_sentiment import prevalence
from pipelines.social_sentiment.calibrate import Calibration
from pipelines.social_sentiment.config import DecisionConfig
from pipelines.social_sentiment.prevalence import adapted, corrected, estimated

CENTRES = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
PRIOR = np.array([0.2, 0.5, 0.3])
SHIFTED = np.array([0.6, 0.3, 0.1])


def _posts(shares: np.ndarray, num_posts: int, random: np.random.Generator):
    """Logits of a classifier that is right for the mixture `PRIOR`, and labels in another."""
    labels = random.choice(3, num_posts, p=shares)
    places = CENTRES[labels] + random.normal(0, 1, (num_posts, 2))
    distance = ((places[:, None] - CENTRES) ** 2).sum(2)
    return log_softmax(np.log(PRIOR) - distance / 2, axis=1), labels


@pytest.fixture(scope="module")
def calibrations() -> list[Calibration]:
    """Of several samples of calibration posts: an interval must hold over them too."""
    found = []
    for seed in range(6):
        random = np.random.default_rng([seed, 7])
        logits, labels = _posts(PRIOR, 300, random)
        found.append(Calibration.fit(logits, labels, DecisionConfig(num_replicates=60), seed))
    return found


@pytest.mark.parametrize(
    ("shares", "num_posts"),
    [(PRIOR, 200), (SHIFTED, 200), (SHIFTED, 20), (SHIFTED, 3), (SHIFTED, 1)],
    ids=["same", "other", "few-posts", "three-posts", "one-post"],
)
def test_intervals_hold_the_shares_that_posts_are_drawn_with(calibrations, shares, num_posts):
    random, held = np.random.default_rng(1), []
    for trial in range(40):
        found = estimated(calibrations[trial % 6], _posts(shares, num_posts, random)[0], seed=trial)
        held.append((found.low <= shares) & (shares <= found.high))
    # 120 intervals, of which those of one trial hang together
    assert np.mean(held) >= 0.88


def test_correction_is_unbiased_where_counting_is_not(calibrations):
    random = np.random.default_rng(2)
    found = [
        estimated(calibrations[trial % 6], _posts(SHIFTED, 400, random)[0], trial) for trial in range(24)
    ]
    wrong = np.mean([one.share for one in found], axis=0) - SHIFTED
    counted = np.mean([one.counted for one in found], axis=0) - SHIFTED
    assert np.abs(wrong).max() < 0.03
    assert np.abs(counted).max() > 2 * np.abs(wrong).max()


@given(
    logits=st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=1, max_size=20),
    weights=st.lists(st.integers(1, 4), min_size=20, max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_weights_are_repeated_posts_and_shares_add_up(logits, weights):
    probabilities = softmax(np.array(logits), axis=1)
    weight = np.array(weights[: len(logits)])
    found = corrected(probabilities, PRIOR, weight.astype(float))
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    np.testing.assert_allclose(found, corrected(np.repeat(probabilities, weight, axis=0), PRIOR), atol=1e-9)


def test_probabilities_stay_where_shares_are_those_of_the_calibration():
    probabilities = softmax(np.random.default_rng(0).normal(size=(9, 3)), axis=1)
    np.testing.assert_allclose(adapted(probabilities, PRIOR, PRIOR), probabilities)
    moved = adapted(probabilities, PRIOR, SHIFTED)
    np.testing.assert_allclose(moved.sum(1), 1)
    assert (moved[:, 0] > probabilities[:, 0]).all()


def test_one_post_has_shares_and_an_interval_around_them(calibrations):
    found = estimated(calibrations[0], np.array([[3.0, 0.0, -3.0]]), seed=0)
    assert found.counted.tolist() == [1, 0, 0]
    assert (found.low <= found.share).all()
    assert (found.share <= found.high).all()
    assert found.num_posts == 1


def test_the_same_posts_in_any_order_have_the_same_interval(calibrations):
    logits, _ = _posts(PRIOR, 50, np.random.default_rng(3))
    first, again = (estimated(calibrations[0], each, seed=5) for each in (logits, logits[::-1]))
    np.testing.assert_allclose(first.low, again.low, atol=1e-9)
    np.testing.assert_allclose(first.high, again.high, atol=1e-9)


def test_replicates_in_small_parts_are_those_in_one(calibrations, monkeypatch):
    logits, _ = _posts(SHIFTED, 200, np.random.default_rng(4))
    whole = estimated(calibrations[0], logits, seed=5)
    monkeypatch.setattr(prevalence, "_CELLS_AT_ONCE", 2_000)
    parts = estimated(calibrations[0], logits, seed=5)
    np.testing.assert_allclose(parts.low, whole.low, atol=2e-3)
    np.testing.assert_allclose(parts.high, whole.high, atol=2e-3)


def test_many_posts_take_bounded_memory_and_the_grid_moves_no_share(calibrations, monkeypatch):
    logits, _ = _posts(SHIFTED, 30_000, np.random.default_rng(6))
    tracemalloc.start()
    found = estimated(calibrations[0], logits, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 60 resamples of 30,000 posts and 3 labels alone would be 43 MB for each array
    assert peak < 150e6
    exact = corrected(calibrations[0].probabilities(logits), calibrations[0].prior)
    np.testing.assert_allclose(found.share, exact, atol=1e-3)
