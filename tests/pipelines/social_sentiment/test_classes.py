"""Metrics of several classes: against scikit-learn, and what their intervals and differences promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score

from pipelines.social_sentiment.classes import (
    ClassResults,
    accuracy,
    f1_of,
    macro_f1,
    macro_recall,
    recall_of,
)

CLASSES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@settings(deadline=None)
@given(CLASSES)
def test_statistics_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, said = (np.array(column) for column in zip(*pairs, strict=True))
    results = ClassResults(truth, {"model": said}, 4, num_replicates=2)
    confusion = results.confusion("model")
    present = np.unique(truth)
    assert accuracy(confusion) == pytest.approx(accuracy_score(truth, said))
    assert macro_recall(confusion) == pytest.approx(
        recall_score(truth, said, labels=present, average="macro", zero_division=0)
    )
    either = np.unique(np.concatenate([truth, said]))
    assert macro_f1(confusion) == pytest.approx(
        f1_score(truth, said, labels=either, average="macro", zero_division=0)
    )
    for number in present:
        assert recall_of(int(number))(confusion) == pytest.approx((said[truth == number] == number).mean())
        assert f1_of(int(number))(confusion) == pytest.approx(
            f1_score(truth, said, labels=[number], average="macro", zero_division=0)
        )


def test_always_one_class_has_the_macro_recall_of_chance() -> None:
    truth = np.repeat([0, 1, 2], [80, 15, 5])
    results = ClassResults(truth, {"model": np.zeros(100, np.int64)}, 3)
    assert results.metric("model", macro_recall, "macro_recall").value == pytest.approx(1 / 3)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        truth = random.integers(0, 3, 300)
        said = np.where(random.random(300) < 0.7, truth, random.integers(0, 3, 300))
        metric = ClassResults(truth, {"model": said}, 3, num_replicates=200, seed=seed).metric(
            "model", accuracy, "accuracy"
        )
        covered += metric.low <= 0.8 <= metric.high
    assert 178 <= covered <= 200


def test_copies_of_rows_in_groups_do_not_narrow_the_interval() -> None:
    random = np.random.default_rng(1)
    truth, said = random.integers(0, 2, 200), random.integers(0, 2, 200)
    once = ClassResults(truth, {"model": said}, 2, groups=np.arange(200)).metric("model", accuracy, "a")
    copies = np.repeat(np.arange(200), 10)
    tenfold = ClassResults(truth[copies], {"model": said[copies]}, 2, groups=copies).metric(
        "model", accuracy, "a"
    )
    assert tenfold.n == once.n == 200
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low, rel=0.15)


def test_a_better_model_is_better_outside_noise_and_a_copy_is_not() -> None:
    random = np.random.default_rng(2)
    truth = random.integers(0, 3, 1000)
    good = np.where(random.random(1000) < 0.8, truth, 0)
    poor = np.where(random.random(1000) < 0.6, truth, 0)
    results = ClassResults(truth, {"good": good, "poor": poor, "copy": good.copy()}, 3)
    better = results.compare("good", "poor", macro_recall, "macro_recall")
    assert better.outside_noise
    assert better.low > 0
    same = results.compare("good", "copy", macro_recall, "macro_recall")
    assert (same.difference, same.low, same.high, same.outside_noise) == (0, 0, 0, False)


def test_a_class_without_rows_has_no_recall_and_says_so() -> None:
    metric = ClassResults(np.array([0, 0, 1]), {"model": np.array([0, 1, 1])}, 3).metric(
        "model", recall_of(2), "recall"
    )
    assert not metric.is_defined
    assert "no rows" in metric.reason


@pytest.mark.parametrize(
    ("truth", "said"),
    [([0, 3], [0, 0]), ([0, 1], [0, -1]), ([0, 1], [0]), ([0.5, 1.0], [0, 1])],
    ids=["unknown class", "negative", "other length", "not whole"],
)
def test_what_are_no_classes_is_refused(truth: list, said: list) -> None:
    with pytest.raises(ValueError, match="Expected"):
        ClassResults(np.array(truth), {"model": np.array(said)}, 3)
