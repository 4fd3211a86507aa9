import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from shared.evaluation.binary import (
    average_precision,
    brier,
    ece,
    ece_noise_floor,
    ece_statistic,
    gini,
    ks,
    log_loss,
    roc_auc,
    sensitivity_at,
)

ALL = (roc_auc, gini, ks, average_precision, brier, log_loss, ece)
# Few distinct scores, so that most examples have ties within and across the classes.
ROWS = st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.integers(0, 4)), min_size=2, max_size=40)


def unpack(rows):
    y, tenths, weight = (np.array(column) for column in zip(*rows, strict=True))
    return y.astype(int), tenths / 10, weight


@settings(max_examples=200, deadline=None)
@given(ROWS)
def test_metrics_equal_the_reference_implementation_with_ties_and_weights(rows):
    y, score, weight = unpack(rows)
    kept = weight > 0
    if np.unique(y[kept]).size < 2:
        assert np.isnan(roc_auc(y, score, weight))
        return
    assert roc_auc(y, score, weight) == pytest.approx(metrics.roc_auc_score(y, score, sample_weight=weight))
    assert gini(y, score, weight) == pytest.approx(2 * roc_auc(y, score, weight) - 1)
    expected = metrics.average_precision_score(y, score, sample_weight=weight)
    assert average_precision(y, score, weight) == pytest.approx(expected)
    assert brier(y, score, weight) == pytest.approx(metrics.brier_score_loss(y, score, sample_weight=weight))
    assert log_loss(y, score, weight) == pytest.approx(metrics.log_loss(y, score, sample_weight=weight))
    false_rate, true_rate, _ = metrics.roc_curve(y, score, sample_weight=weight)
    assert ks(y, score, weight) == pytest.approx(max(0, (true_rate - false_rate).max()), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_integer_weights_equal_repeated_rows(rows):
    y, score, weight = unpack(rows)
    repeated = np.repeat(np.arange(y.size), weight)
    for statistic in ALL:
        weighted, plain = statistic(y, score, weight), statistic(y[repeated], score[repeated])
        assert weighted == pytest.approx(plain, nan_ok=True), statistic.name


@settings(max_examples=50, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_row_order_does_not_matter(rows, random):
    y, score, _ = unpack(rows)
    order = list(range(y.size))
    random.shuffle(order)
    for statistic in ALL:
        assert statistic(y, score) == pytest.approx(statistic(y[order], score[order]), nan_ok=True)


def test_a_reversed_score_gets_no_flattering_ks():
    y = np.array([0] * 50 + [1] * 50)
    assert ks(y, -np.arange(100.0)) == 0
    assert ks(y, np.arange(100.0)) == 1


def test_constant_scores_are_no_better_than_chance():
    y = np.array([0, 1, 0, 1, 1])
    assert roc_auc(y, np.full(5, 0.5)) == 0.5
    assert ks(y, np.full(5, 0.5)) == 0
    assert average_precision(y, np.full(5, 0.5)) == pytest.approx(0.6)


@pytest.mark.parametrize("y", [[], [1], [0, 0, 0], [1, 1]])
def test_missing_class_is_undefined_with_a_reason_not_a_crash(y):
    assert np.isnan(roc_auc(y, np.full(len(y), 0.5)))
    assert roc_auc.undefined(y)


def test_average_precision_without_positives_is_undefined_but_brier_is_not():
    assert np.isnan(average_precision([0, 0], [0.1, 0.2]))
    assert brier([0, 0], [0.1, 0.3]) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("y", "score", "message"),
    [
        ([0, 2], [0.1, 0.2], "labels 0 and 1"),
        ([0, np.nan], [0.1, 0.2], "labels 0 and 1"),
        ([0, 1], [0.1, np.nan], "finite"),
        ([0, 1], [0.1, np.inf], "finite"),
        ([0, 1], [0.1], "shape"),
        ([[0, 1]], [[0.1, 0.2]], "shape"),
    ],
)
def test_wrong_input_is_named(y, score, message):
    with pytest.raises(ValueError, match=message):
        roc_auc(y, score)


def test_logits_are_refused_where_probabilities_are_needed():
    with pytest.raises(ValueError, match="probabilities"):
        brier([0, 1], [-2.0, 3.0])
    with pytest.raises(ValueError, match="at least 0"):
        brier([0, 1], [0.1, 0.2], [1, -1])


def test_log_loss_of_a_certain_error_is_finite():
    assert log_loss([1], [0.0]) == pytest.approx(36.04, abs=0.01)


def test_ece_of_a_known_table():
    probability = np.repeat([0.1, 0.7], 10)
    y = np.array([1] * 3 + [0] * 7 + [1] * 5 + [0] * 5)
    for equal_mass in (True, False):
        assert ece_statistic(10, equal_mass=equal_mass)(y, probability) == pytest.approx(0.2)
    assert ece_statistic(1)(y, probability) == pytest.approx(0.0)


def test_ece_bins_cover_probability_one():
    assert ece_statistic(10, equal_mass=False)([1, 0], [1.0, 0.0]) == 0


def test_noise_floor_is_what_a_calibrated_model_shows():
    generator = np.random.default_rng(1)
    probability = generator.beta(2, 5, size=1000)
    observed = [ece(generator.random(1000) < probability, probability) for _ in range(200)]
    assert ece_noise_floor(probability) == pytest.approx(np.mean(observed), rel=0.05)
    assert np.isnan(ece_noise_floor([]))


def test_sensitivity_at_a_share_of_false_alarms_lies_on_the_roc_curve():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 500)
    score = np.round(rng.normal(y, 1.0), 1)
    false, true, _ = metrics.roc_curve(y, score, drop_intermediate=False)
    for share in (0.0, 0.01, 0.05, 0.3):
        assert sensitivity_at(share)(y, score) == pytest.approx(true[false <= share].max())


def test_no_threshold_splits_ties_to_look_better():
    assert sensitivity_at(0.5)([0, 0, 1, 1], [1.0, 2.0, 2.0, 2.0]) == 1.0
    assert sensitivity_at(0.4)([0, 0, 1, 1], [1.0, 2.0, 2.0, 2.0]) == 0.0


def test_a_share_of_false_alarms_is_a_share():
    with pytest.raises(ValueError, match=r"below 1\. Received 1"):
        sensitivity_at(1)
