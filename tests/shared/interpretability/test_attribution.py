"""The result type: sums that survive grouping, honest gaps, JSON that holds no NaN."""

import json
from dataclasses import replace

import numpy as np
import pytest

from shared.errors import RequestError
from shared.interpretability.attribution import Attribution
from shared.interpretability.faithfulness import Faithfulness, Gain

VALUES = np.array([[1.0, -2.0, 0.5, 0.0], [0.0, 0.0, -3.0, 3.0]])


def _attribution(**changes: object) -> Attribution:
    made = Attribution(
        VALUES, ("age", "job=a", "job=b", "rate"), "log-odds", "mean of 10 rows", "test", "log-odds",
        base_value=1.0, output=np.array([0.5, 1.25]),
    )  # fmt: skip
    return replace(made, **changes)


def test_completeness_is_the_gap_between_the_sum_and_the_move_of_the_output() -> None:
    attribution = _attribution()
    assert attribution.gaps is not None
    np.testing.assert_allclose(attribution.gaps, [0.0, -0.25])
    assert attribution.completeness_error == 0.25
    assert attribution.completeness_mean == 0.125
    assert _attribution(base_value=None).completeness_error is None


def test_grouping_sums_columns_and_keeps_completeness() -> None:
    grouped = _attribution().grouped({"job": [1, 2], "age": [0], "rate": [3]})
    assert grouped.names == ("job", "age", "rate")
    np.testing.assert_array_equal(grouped.values, [[-1.5, 1.0, 0.0], [-3.0, 0.0, 3.0]])
    assert grouped.completeness_error == _attribution().completeness_error


@pytest.mark.parametrize("columns", [[[0], [1, 2]], [[0, 1], [1, 2], [3]], [[0], [1], [2], [9]], []])
def test_groups_that_lose_or_repeat_a_column_are_refused(columns: list[list[int]]) -> None:
    with pytest.raises(RequestError, match="exactly once"):
        _attribution().grouped({str(i): members for i, members in enumerate(columns)})


def test_top_respects_direction_and_never_lists_zeros() -> None:
    attribution = _attribution()
    assert attribution.top(2) == [[("job=a", -2.0), ("age", 1.0)], [("job=b", -3.0), ("rate", 3.0)]]
    assert attribution.top(4, "up") == [[("age", 1.0), ("job=b", 0.5)], [("rate", 3.0)]]
    assert attribution.top(4, "down") == [[("job=a", -2.0)], [("job=b", -3.0)]]
    with pytest.raises(RequestError):
        attribution.top(0)


def test_json_has_no_nan_and_values_only_when_asked_for() -> None:
    attribution = _attribution(base_value=float("nan"))
    text = json.dumps(attribution.to_json(with_values=True), allow_nan=False)
    assert json.loads(text)["base_value"] is None
    assert json.loads(text)["values"][0] == [1.0, -2.0, 0.5, 0.0]
    assert "values" not in attribution.to_json()
    assert attribution.to_json()["importance"]["age"] == 0.5


def test_json_and_properties_of_zero_rows() -> None:
    empty = _attribution(values=np.zeros((0, 4)), output=np.zeros(0))
    assert empty.completeness_error is None
    json.dumps(empty.to_json(with_values=True), allow_nan=False)


def test_a_failed_check_is_a_warning_wherever_the_result_goes() -> None:
    gain = Gain(0.1, -0.1, 0.3, "log-odds", 2)
    failed = _attribution().checked(Faithfulness(gain, gain, 0.9, 0.0, False, ("Too similar.",)))
    assert failed.faithful is False
    assert "Too similar." in (failed.warning or "")
    assert json.loads(json.dumps(failed.to_json()))["faithfulness"]["deletion_gain"]["low"] == -0.1
    assert failed.grouped({"all": [0, 1, 2, 3]}).warning == failed.warning
    assert _attribution().faithful is None
    assert _attribution().warning is None


def test_shapes_that_cannot_be_an_attribution_are_refused() -> None:
    with pytest.raises(RequestError, match="one name per feature"):
        _attribution(names=("a",))
    with pytest.raises(RequestError, match="rows"):
        _attribution(values=np.zeros(3), names=())
