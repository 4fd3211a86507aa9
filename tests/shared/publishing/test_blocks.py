"""Which model is best at a metric."""

from hypothesis import given
from hypothesis import strategies as st

from shared.publishing.blocks import best_first

numbers = st.none() | st.floats(-1e9, 1e9)


@given(st.dictionaries(st.text(min_size=1, max_size=3), numbers), st.booleans())
def test_the_best_model_is_first_and_those_without_a_value_are_left_out(values, higher_is_better):
    ranked = best_first(values, higher_is_better)
    assert set(ranked) == {name for name, value in values.items() if value is not None}
    in_order = [values[name] for name in ranked]
    assert in_order == sorted(in_order, reverse=higher_is_better)


def test_equal_models_keep_their_order():
    for higher_is_better in (True, False):
        assert best_first({"b": 0.5, "a": 0.5}, higher_is_better) == ["b", "a"]


def test_nothing_is_best_where_no_direction_is_better():
    assert best_first({"rule": 0.5, "unknown": None}, None) == []
