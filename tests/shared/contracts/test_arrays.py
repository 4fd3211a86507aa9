"""Arrays: shape with names, dtype, finite values, range, codes; the rows at fault are named."""

import numpy as np
import pytest

from shared.contracts.arrays import check_arrays
from shared.contracts.contract import parse
from shared.contracts.properties import Property
from shared.contracts.report import ContractBroken


def array(name="signal", shape=(None, 2, 5), dtype="float32", unit="mV", optional=False, **fields):
    prop = Property(
        name=name,
        logical_type="array",
        tensor_shape=shape,
        dtype=dtype,
        unit=unit,
        optional=optional,
        **fields,
    )
    return prop.to_odcs().model_dump(exclude_none=True, by_alias=True)


def only(check):
    (violation,) = check.violations
    return violation


def test_good_arrays_pass_in_any_memory_order(contract):
    compiled = contract([array(minimum=-5, maximum=5)])
    check = check_arrays({"signal": np.zeros((3, 2, 5), np.float32), "other": np.zeros(1)}, compiled)
    assert check.passed
    assert check.ignored_arrays == ("other",)
    check.require()
    assert check_arrays({"signal": np.zeros((5, 2, 3), np.float32).T}, compiled).passed


@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 6), (3, 3, 5), (2, 5), ()])
def test_wrong_shape_is_named(contract, shape):
    violation = only(check_arrays({"signal": np.zeros(shape, np.float32)}, contract([array()])))
    assert violation.rule == "shape"
    assert violation.expected == "[any, 2, 5]"
    assert violation.blocking


def test_minus_one_in_a_file_is_any_size(document):
    raw = array()
    raw["customProperties"] = [
        {**item, "value": [-1, 2, 5]} if item["property"] == "tensorShape" else item
        for item in raw["customProperties"]
    ]
    (prop,) = parse(document([raw])).properties
    assert prop.tensor_shape == (None, 2, 5)


def test_named_size_is_shared_between_arrays(contract):
    compiled = contract([array("x", ("records", 2)), array("y", ("records",), dtype="int64", unit="1")])
    assert check_arrays({"x": np.zeros((3, 2), np.float32), "y": np.zeros(3, np.int64)}, compiled).passed
    check = check_arrays({"x": np.zeros((3, 2), np.float32), "y": np.zeros(4, np.int64)}, compiled)
    assert only(check).expected == "[records=3]"
    assert only(check).received == "[4]"


@pytest.mark.parametrize("dtype", [np.float64, np.int16, bool, object, "U3"])
def test_wrong_dtype_is_named_and_values_are_left_alone(contract, dtype):
    violation = only(check_arrays({"signal": np.ones((1, 2, 5)).astype(dtype)}, contract([array(maximum=0)])))
    assert violation.rule == "dtype"
    assert violation.expected == "float32"


def test_missing_array_is_named_unless_optional(contract):
    check = check_arrays({"signals": np.zeros(1)}, contract([array(), array("extra", optional=True)]))
    assert only(check).received == "no such array (close: signals)"
    with pytest.raises(ContractBroken, match="orders@"):
        check.require()


def test_array_without_elements_is_refused(contract):
    assert (
        only(check_arrays({"signal": np.zeros((0, 2, 5), np.float32)}, contract([array()]))).rule
        == "empty_array"
    )


def test_bad_elements_are_counted_with_their_rows_over_blocks(contract, monkeypatch):
    monkeypatch.setattr("shared.contracts.arrays.ELEMENTS_PER_BLOCK", 20)
    values = np.zeros((50, 2, 5), np.float32)
    values[3, 0, :2] = np.nan
    values[40, 1, 1] = -np.inf
    values[41:48, 0, 0] = 9
    check = check_arrays({"signal": values}, contract([array(maximum=5, exclusive_minimum=-1)]))
    found = {violation.rule: violation for violation in check.violations}
    assert found["finite"].count == 3
    assert found["finite"].rows == (4, 41)
    assert found["finite"].examples == ("nan", "-inf")
    assert found["range"].count == 7
    assert found["range"].rows == (42, 43, 44, 45, 46)


def test_nan_passes_where_finite_is_false_and_is_not_out_of_range(contract):
    values = np.full((1, 2, 5), np.nan, np.float32)
    assert check_arrays({"signal": values}, contract([array(maximum=5, finite=False)])).passed


def test_codes_and_special_codes_in_narrow_types(contract):
    mask = array("mask", (None,), dtype="uint8", unit="1", valid_values=(0, 1), special_codes=(255, -9))
    assert check_arrays({"mask": np.array([0, 1, 255], np.uint8)}, contract([mask])).passed
    violation = only(check_arrays({"mask": np.array([0, 247, 2], np.uint8)}, contract([mask])))
    assert (violation.rule, violation.rows, violation.examples) == ("valid_values", (2, 3), ("247", "2"))


def test_bounds_mean_the_value_in_the_arrays_own_type(contract):
    tenth = array("x", (None,), maximum=0.1, valid_values=(0.1,))
    assert check_arrays({"x": np.array([0.1], np.float32)}, contract([tenth])).passed


def test_bounds_outside_an_integer_type_compare_exactly(contract):
    compiled = contract([array("x", (None,), dtype="uint8", unit="1", minimum=-1, maximum=300)])
    assert check_arrays({"x": np.array([0, 255], np.uint8)}, compiled).passed


def test_scalar_array_is_checked(contract):
    compiled = contract([array("x", (), maximum=1)])
    assert check_arrays({"x": np.float32(1)}, compiled).passed
    assert only(check_arrays({"x": np.float32(2)}, compiled)).rule == "range"
