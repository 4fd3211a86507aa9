"""One record of networks that were fitted one after the other."""

from dataclasses import replace

import pytest

from shared.training.fit import fit, training_record
from shared.training.settings import FitSettings


@pytest.fixture(scope="module")
def result(problem):
    return fit(problem.network(), problem.loss, problem.data(), FitSettings(epochs=1))


def test_the_last_fit_counts_in_full_and_the_seconds_of_all(result):
    record = training_record([replace(result, seconds=2.0, epochs=9), replace(result, seconds=3.0)])
    assert record == result.to_json() | {"seconds": 5.0, "resumed_from_step": None}


def test_a_fit_that_went_on_shows_even_when_later_ones_began_anew(result):
    results = [replace(result, resumed_from_step=step) for step in (None, 0, 40, None)]
    assert training_record(results)["resumed_from_step"] == 40
    assert training_record(results[:2])["resumed_from_step"] == 0
