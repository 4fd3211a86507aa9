"""Calibration: it finds the temperature and biases that there are, and keeps what it promises about abstaining."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from pipelines.social_sentiment.calibrate import Calibration
from pipelines.social_sentiment.config import DecisionConfig
from shared.errors import RequestError

CONFIG = DecisionConfig(num_replicates=50)


def _posts(num_posts: int, temperature: float, bias: tuple[float, ...], seed: int = 0):
    """Logits, and labels that are drawn from them once they are cooled and moved."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (num_posts, len(bias)))
    probabilities = softmax(logits / temperature + np.array(bias), axis=1)
    labels = (random.random((num_posts, 1)) > probabilities.cumsum(1)).sum(1)
    return logits.astype(np.float32), labels, probabilities


@pytest.mark.parametrize(
    ("temperature", "bias"),
    [(1.0, (0.0, 0.0, 0.0)), (3.0, (0.5, -0.5, 0.0)), (0.5, (1.0, 0.0, -1.0)), (2.0, (-0.7, 0.7))],
    ids=["as-it-is", "too-sure", "too-shy", "two-labels"],
)
def test_temperature_and_biases_of_the_simulation_are_found(temperature, bias):
    logits, labels, probabilities = _posts(6_000, temperature, bias)
    found = Calibration.fit(logits, labels, CONFIG, seed=0)
    summary = found.summary()
    assert summary["temperature"] == pytest.approx(temperature, rel=0.1)
    np.testing.assert_allclose(summary["biases"], bias, atol=0.15)
    np.testing.assert_allclose(found.probabilities(logits), probabilities, atol=0.06)


def test_the_prior_is_the_mixture_of_the_calibration_posts():
    logits, labels, _ = _posts(600, 1.0, (1.0, 0.0, -1.0))
    found = Calibration.fit(logits, labels, CONFIG, seed=0)
    np.testing.assert_allclose(found.prior, np.bincount(labels) / 600)
    assert found.num_posts == 600


def test_resamples_scatter_as_parameters_of_other_samples_do():
    temperatures = []
    for seed in range(12):
        logits, labels, _ = _posts(200, 2.0, (0.0, 0.0, 0.0), seed)
        temperatures.append(Calibration.fit(logits, labels, CONFIG, seed).parameters[0, 0])
    logits, labels, _ = _posts(200, 2.0, (0.0, 0.0, 0.0))
    resampled = Calibration.fit(logits, labels, CONFIG, seed=0).parameters[1:, 0]
    assert 0.5 < resampled.std() / np.std(temperatures) < 2


def test_labels_that_logits_tell_apart_without_error_leave_all_numbers_finite():
    labels = np.arange(30) % 3
    found = Calibration.fit(np.eye(3, dtype=np.float32)[labels] * 9, labels, CONFIG, seed=0)
    assert np.isfinite(found.parameters).all()
    assert (found.decide(found.probabilities(np.eye(3)[labels] * 9.0)) == labels).all()


def test_a_label_without_a_calibration_post_is_a_wrong_request():
    logits, labels, _ = _posts(50, 1.0, (0.0, 0.0, 0.0))
    with pytest.raises(RequestError, match="every label"):
        Calibration.fit(logits, np.minimum(labels, 1), CONFIG, seed=0)


@given(seed=st.integers(0, 1000), share=st.floats(0, 0.9))
@settings(max_examples=8, deadline=None)
def test_no_more_calibration_posts_are_left_to_a_human_than_asked_for(seed, share):
    logits, labels, _ = _posts(60, 2.0, (0.5, 0.0, -0.5), seed)
    if len(set(labels.tolist())) < 3:
        return
    config = DecisionConfig(num_replicates=50, abstain_share=share)
    found = Calibration.fit(logits, labels, config, seed)
    abstained = found.abstains(found.probabilities(logits)).mean()
    assert share - 2 / 60 < abstained <= share + 1 / 60


def test_by_recall_a_rare_label_is_given_where_it_is_likelier_than_usual():
    prior = np.array([0.8, 0.2])
    probabilities = np.array([[0.7, 0.3], [0.85, 0.15]])
    by = {kind: Calibration(np.zeros((1, 3)), prior, kind, 0.0, 10) for kind in ("recall", "accuracy")}
    assert by["recall"].decide(probabilities).tolist() == [1, 0]
    assert by["accuracy"].decide(probabilities).tolist() == [0, 0]
    assert by["recall"].sureness(probabilities)[0] == pytest.approx(1.5 / (1.5 + 0.875))
    assert by["accuracy"].sureness(probabilities)[0] == pytest.approx(0.7)


def test_json_gives_the_same_calibration_back():
    logits, labels, _ = _posts(200, 1.5, (0.2, 0.0, -0.2))
    found = Calibration.fit(logits, labels, CONFIG, seed=0)
    again = Calibration.from_json(json.loads(json.dumps(found.to_json())))
    for number in (0, 7):
        np.testing.assert_array_equal(
            again.probabilities(logits, number), found.probabilities(logits, number)
        )
    assert (again.label_by, again.abstain_below, again.num_posts) == ("recall", found.abstain_below, 200)
    with pytest.raises(RequestError, match="fields of a calibration"):
        Calibration.from_json({"prior": [1]})


def test_before_calibration_probabilities_are_those_of_the_network():
    logits = np.array([[2.0, 0.0, -1.0]])
    neutral = Calibration.neutral(3)
    np.testing.assert_allclose(neutral.probabilities(logits), softmax(logits, axis=1))
    assert neutral.decide(neutral.probabilities(logits)).tolist() == [0]
    assert not neutral.abstains(neutral.probabilities(logits)).any()
