import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.credit_scoring.folds import repeated_stratified
from shared.errors import RequestError


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=6, max_size=120), st.integers(2, 5), st.integers(0, 9))
def test_stratified_folds_test_each_row_once_a_repeat_with_balanced_classes(labels, num_folds, seed):
    target = np.array(labels + [0, 1, 2] * num_folds)
    folds = repeated_stratified(target, num_folds, 3, seed)
    assert len(folds) == 3 * num_folds
    for repeat in range(3):
        mine = [fold for fold in folds if fold.repeat == repeat]
        assert sorted(np.concatenate([fold.test for fold in mine]).tolist()) == list(range(len(target)))
        for fold in mine:
            assert sorted([*fold.train, *fold.test]) == list(range(len(target)))
        for label in range(3):
            counts = [(target[fold.test] == label).sum() for fold in mine]
            assert max(counts) - min(counts) <= 1
        sizes = [len(fold.test) for fold in mine]
        assert max(sizes) - min(sizes) <= 1


def test_folds_repeat_with_the_seed_and_differ_between_repeats():
    target = np.arange(100) % 2
    first, again = (repeated_stratified(target, 2, 2, 7) for _ in range(2))
    assert all((a.test == b.test).all() for a, b in zip(first, again, strict=True))
    assert set(first[0].test) not in ({*first[2].test}, {*first[3].test})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([0] * 10, "two classes"),
        ([0] * 9 + [1], "Received 1 of class 1"),
        ([0.0, float("nan")] * 5, "missing values"),
    ],
)
def test_targets_that_cannot_be_folded_are_refused(target, message):
    with pytest.raises(RequestError, match=message):
        repeated_stratified(np.array(target), 2, 1, 0)
