"""Values of masks become structures, and nothing else does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.medical_segmentation.labels import Labels
from shared.errors import RequestError


@given(st.sets(st.integers(1, 65_535), min_size=1, max_size=20).map(sorted), st.integers(0, 999))
def test_values_survive_the_way_to_numbers_and_back(values, seed):
    labels = Labels.of({f"s{value}": value for value in values})
    mask = np.random.default_rng(seed).choice([0, *values], (5, 7))
    numbers = labels.encode(mask)
    assert numbers.dtype == np.uint8
    assert np.array_equal(labels.decode(numbers, brightest=True), mask)
    assert Labels.from_json(labels.to_json()) == labels


@pytest.mark.parametrize("shown", [1, 255], ids=["1", "255"])
def test_without_a_declaration_0_and_1_or_0_and_255_are_one_structure(shown):
    assert Labels.binary().encode(np.array([0, shown], np.uint8)).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.array([0, 2]), r"0 and 1 or 255 \(structure\)\. Received 2"),
        (np.array([-1, 0]), "Received -1, 0"),
        (np.array([0, 1 << 40]), "Received 0, 1099511627776"),
        (np.array([0.0, 0.5]), "fractions"),
        (np.array([0.0, np.nan]), "fractions"),
    ],
    ids=["undeclared", "negative", "huge", "probability", "nan"],
)
def test_other_values_are_refused_with_the_way_out(mask, message):
    with pytest.raises(RequestError, match=message):
        Labels.binary().encode(mask)


def test_whole_floats_are_labels():
    assert Labels.of({"a": 1, "b": 2}).encode(np.array([0.0, 2.0], np.float32)).tolist() == [0, 2]


@pytest.mark.parametrize(
    "structures",
    [{}, {"a": 0}, {"a": 1, "b": 1}, {" ": 1}, {"a": 70_000}],
    ids=["none", "0", "same", "name", "range"],
)
def test_a_declaration_that_means_nothing_is_refused(structures):
    with pytest.raises(RequestError, match=r"data\.structures"):
        Labels.of(structures)
