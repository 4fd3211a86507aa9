"""A property says the same after a trip through ODCS."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.contracts.properties import Property

words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
numbers = st.integers(-100, 100)


@st.composite
def properties(draw):
    kind = draw(
        st.sampled_from(["string", "integer", "number", "boolean", "date", "timestamp", "time", "array"])
    )
    fields = {
        "name": draw(words),
        "logical_type": kind,
        "description": draw(words),
        "unit": draw(st.sampled_from(["EUR", "1"])),
        "required": draw(st.booleans()),
        "optional": draw(st.booleans()),
        "unique": draw(st.booleans()),
    }
    if kind in ("integer", "number"):
        low = draw(st.none() | numbers)
        fields |= {"minimum": low, "exclusive_maximum": draw(st.none() | numbers)}
        fields |= {"special_codes": tuple(draw(st.lists(numbers, max_size=2))), "finite": draw(st.booleans())}
        fields["valid_values"] = draw(st.none() | st.lists(numbers, min_size=1, max_size=3).map(tuple))
    if kind == "string":
        fields |= {
            "min_length": draw(st.none() | st.integers(0, 3)),
            "pattern": draw(st.none() | st.just("^a")),
        }
        fields["valid_values"] = draw(st.none() | st.lists(words, min_size=1, max_size=3).map(tuple))
    if kind == "date":
        fields["minimum"] = draw(st.none() | st.dates().map(str))
    if kind == "array":
        fields |= {"tensor_shape": (None, 12, "samples"), "dtype": "float32", "layout": "NCT"}
        fields["sampling_rate_hz"] = draw(st.none() | st.just(100.0))
    return Property(**fields)


@settings(deadline=None, max_examples=50)
@given(properties())
def test_property_survives_odcs(prop):
    assert Property.from_odcs(prop.to_odcs()) == prop


@pytest.mark.parametrize(
    "fields",
    [
        {"logical_type": "integer", "valid_values": (0.5,)},
        {"logical_type": "integer", "valid_values": ()},
        {"logical_type": "integer", "valid_values": (True,)},
        {"logical_type": "number", "maximum": float("nan")},
        {"logical_type": "number", "special_codes": (float("inf"),)},
        {"logical_type": "string", "minimum": 1},
        {"logical_type": "number", "pattern": "a"},
        {"logical_type": "number", "dtype": "float32"},
        {"logical_type": "array", "dtype": "float32"},
        {"logical_type": "array", "dtype": "float32", "tensor_shape": (3,)},
        {"logical_type": "array", "dtype": "float32", "tensor_shape": (0,), "unit": "1"},
        {"logical_type": "array", "dtype": "float32", "tensor_shape": (3,), "unit": "1", "layout": "NC"},
        {"logical_type": "string", "units": "EUR"},
    ],
)
def test_contradictions_are_refused(fields):
    with pytest.raises(ValidationError):
        Property(name="x", **fields)
