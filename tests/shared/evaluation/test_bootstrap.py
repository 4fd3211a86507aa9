import numpy as np
import pytest
from scipy.stats import norm

from shared.evaluation import bootstrap
from shared.evaluation.binary import average_precision, brier, ece, ks, roc_auc
from shared.evaluation.bootstrap import Resampler, interval, metric_with_interval, replicates
from shared.evaluation.delong import auc_metric, delong


def scored(n, seed=0, shift=1.0, rate=0.3):
    generator = np.random.default_rng(seed)
    y = (generator.random(n) < rate).astype(int)
    return y, 1 / (1 + np.exp(-(generator.normal(size=n) + shift * y)))


@pytest.mark.parametrize("statistic", [roc_auc, ks, average_precision, brier, ece])
def test_fast_path_equals_the_statistic_on_resampled_rows(statistic):
    y, score = scored(60)
    score = score.round(1)
    groups = np.arange(60) // 3
    for grouping in (None, groups):
        fast = replicates(statistic, [y], [score], Resampler(60, groups=grouping, seed=3), 20)

        def plain(labels, scores):
            return statistic(labels, scores)

        slow = replicates(plain, [y], [score], Resampler(60, groups=grouping, seed=3), 20)
        np.testing.assert_allclose(fast, slow, rtol=1e-12)


def test_chunks_do_not_change_the_replicates(monkeypatch):
    y, score = scored(50)
    whole = replicates(roc_auc, [y], [score], Resampler(50, seed=1), 30)
    monkeypatch.setattr(bootstrap, "CHUNK_CELLS", 60)
    np.testing.assert_array_equal(whole, replicates(roc_auc, [y], [score], Resampler(50, seed=1), 30))


def test_same_seed_same_interval_and_another_seed_another():
    y, score = scored(80)
    first, again, other = (metric_with_interval("a", roc_auc, y, score, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_group_is_drawn_whole():
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    resampler = Resampler(6, groups=groups, seed=0)
    for _ in range(20):
        counts = resampler.row_counts()
        for name in "abc":
            assert np.unique(counts[groups == name]).size == 1
        assert counts[1] + counts[0] + counts[3] == 3


def test_strata_keep_their_sizes():
    strata = np.array([0] * 7 + [1] * 3)
    resampler = Resampler(10, strata=strata, seed=0)
    for _ in range(20):
        counts = resampler.row_counts()
        assert (counts[:7].sum(), counts[7:].sum()) == (7, 3)


def test_group_across_strata_is_refused():
    with pytest.raises(ValueError, match="one stratum"):
        Resampler(4, groups=[0, 0, 1, 1], strata=[0, 1, 1, 1])
    with pytest.raises(ValueError, match="groups of shape"):
        Resampler(4, groups=[0, 0])


def test_grouped_interval_is_wider_when_rows_of_a_group_repeat_each_other():
    y, score = scored(100)
    y, score, groups = (np.repeat(values, 10) for values in (y, score, np.arange(100)))
    naive, honest = (metric_with_interval("a", roc_auc, y, score, groups=g) for g in (None, groups))
    assert (honest.high - honest.low) > 2.5 * (naive.high - naive.low)
    assert (naive.n, honest.n) == (1000, 100)


def test_auc_intervals_cover_the_truth_as_often_as_they_say():
    truth = norm.cdf(1 / np.sqrt(2))
    repeats = 300
    covered = {"bootstrap": 0, "delong": 0}
    for seed in range(repeats):
        y, score = scored(150, seed=seed)
        by_bootstrap = metric_with_interval("a", roc_auc, y, score, num_replicates=250, seed=seed)
        by_delong = auc_metric("a", y, score)
        covered["bootstrap"] += by_bootstrap.low <= truth <= by_bootstrap.high
        covered["delong"] += by_delong.low <= truth <= by_delong.high
    for name, count in covered.items():
        assert 0.92 <= count / repeats <= 0.98, name


def test_basic_interval_takes_back_bias_that_the_percentile_interval_doubles():
    lows = {"basic": [], "percentile": []}
    for seed in range(40):
        generator = np.random.default_rng(seed)
        probability = generator.beta(2, 5, size=400)
        y = (generator.random(400) < probability).astype(int)
        for method, values in lows.items():
            metric = metric_with_interval(
                "ece", ece, y, probability, method=method, bounds=(0, 1), num_replicates=100
            )
            values.append(metric.low)
    # The truth is 0: the model is calibrated.
    assert min(lows["percentile"]) > 0.01
    assert np.median(lows["basic"]) < 0.005
    assert min(lows["basic"]) == 0


def test_interval_is_widened_to_hold_a_biased_value():
    generator = np.random.default_rng(0)
    probability = generator.beta(2, 5, size=100)
    metric = metric_with_interval("ece", ece, generator.random(100) < probability, probability)
    assert metric.low <= metric.value <= metric.high


def test_delong_agrees_with_the_bootstrap_with_ties():
    y, score = scored(400)
    score = score.round(1)
    auc, covariance = delong(y, [score])
    values = replicates(roc_auc, [y], [score], Resampler(400, seed=0), 3000)[0]
    assert auc[0] == pytest.approx(roc_auc(y, score))
    assert np.sqrt(covariance[0, 0]) == pytest.approx(values.std(), rel=0.06)


def test_perfect_separation_is_not_reported_as_certain():
    metric = auc_metric("a", [0] * 50 + [1] * 10, np.arange(60.0))
    assert metric.value == metric.high == 1
    assert metric.low == pytest.approx(0.025**0.1)
    reverse = auc_metric("a", [1] * 10 + [0] * 50, np.arange(60.0))
    assert (reverse.low, reverse.high) == pytest.approx((0, 1 - 0.025**0.1))


def test_one_positive_has_an_auc_without_an_interval():
    metric = auc_metric("a", [0, 0, 1, 0], [0.1, 0.2, 0.3, 0.4])
    assert metric.value == pytest.approx(2 / 3)
    assert not metric.has_interval


@pytest.mark.parametrize("y", [[], [1], [0, 0, 0]])
def test_undefined_metric_has_a_reason(y):
    for metric in (
        metric_with_interval("a", roc_auc, y, np.zeros(len(y))),
        auc_metric("a", y, np.zeros(len(y))),
    ):
        assert not metric.is_defined
        assert metric.reason


def test_one_unit_has_a_value_without_an_interval():
    y, score = scored(30)
    metric = metric_with_interval("a", roc_auc, y, score, groups=np.zeros(30))
    assert metric.is_defined
    assert not metric.has_interval
    assert metric.n == 1


def test_mostly_undefined_replicates_give_no_interval():
    values = np.r_[np.full(60, np.nan), np.ones(40)]
    assert np.isnan(interval(1.0, values)).all()
    assert interval(1.0, values[30:]) == (1.0, 1.0)


def test_general_statistic_with_direction_unit_and_groups():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=200)
    prediction = truth + generator.normal(size=200)

    def rmse(y, p):
        return float(np.sqrt(np.mean((y - p) ** 2)))

    metric = metric_with_interval("rmse", rmse, truth, prediction, unit="mm", higher_is_better=False)
    assert metric.low < metric.value < metric.high
    error = truth - prediction
    standard_error = (error**2).std() / (2 * metric.value * np.sqrt(200))
    assert (metric.high - metric.low) == pytest.approx(2 * 1.96 * standard_error, rel=0.1)
    with pytest.raises(ValueError, match="higher_is_better"):
        metric_with_interval("rmse", rmse, truth, prediction)
    with pytest.raises(ValueError, match="weights"):
        metric_with_interval("rmse", rmse, truth, prediction, weight=truth**2, higher_is_better=False)


def test_weights_reach_every_replicate():
    y, score = scored(100)
    weight = np.where(np.arange(100) < 50, 1.0, 0.0)
    values = replicates(brier, [y], [score], Resampler(100, seed=0), 10, weight)
    counts = Resampler(100, seed=0).row_counts()
    assert values[0, 0] == pytest.approx(brier(y[:50], score[:50], counts[:50]))


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_wrong_confidence_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        metric_with_interval("a", roc_auc, [0, 1, 0, 1], [0.1, 0.4, 0.3, 0.2], confidence=confidence)


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_groups_counted_once_give_the_replicates_of_groups_counted_each_time(monkeypatch, weighted):
    rng = np.random.default_rng(0)
    groups, y, score = rng.integers(0, 9, 300), rng.integers(0, 2, 300), rng.integers(0, 40, 300) / 40
    weight = rng.integers(1, 5, 300) / 2 if weighted else None

    def found() -> np.ndarray:
        return replicates(roc_auc, [y], [score, -score], Resampler(300, groups=groups), 50, weight)

    at_once = found()
    monkeypatch.setattr(bootstrap, "MAX_UNIT_CELLS", 0)
    assert at_once == pytest.approx(found(), abs=1e-12)
