import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.cli.overrides import parse_overrides
from shared.errors import RequestError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("2.", 2.0),
        ("true", True),
        ("null", None),
        ("", None),
        ("adam", "adam"),
        ("'5'", "5"),
        ("a=b", "a=b"),
        ("[16, 8]", [16, 8]),
        ("[]", []),
        ("[a, true, null, 1e2]", ["a", True, None, 100.0]),
        ("no", "no"),
        ("on", "on"),
        ("007", "007"),
        ("1:30", "1:30"),
        ("2026-01-31", "2026-01-31"),
        ("0x10", "0x10"),
    ],
)
def test_value_is_read_without_yaml_surprises(text, value):
    parsed = parse_overrides([f"key.part={text}"])["key.part"]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [true]",
        "!!python/name:os.system",
        "!!binary aGVsbG8=",
        "!!set {a, b}",
        "!custom x",
        "&anchor x",
        "*alias",
        "[&a x, *a]",
        "{a: 1}",
        "a: 1",
        "[[1], [2]]",
        "[{a: 1}]",
        "[1, 2",
        "'open",
        "one\n---\ntwo",
        "1e400",
        "9" * 5000,
        "[" * 5000,
        "\x00",
    ],
)
def test_value_that_is_no_plain_scalar_or_flat_list_is_refused(text):
    with pytest.raises(RequestError, match=r"--set key"):
        parse_overrides([f"key={text}"])


@pytest.mark.parametrize(
    "text", ["", "key", "=1", "a..b=1", ".a=1", "a.=1", "a b=1", "a-b=1", "1a=1", "a/b=1"]
)
def test_key_that_is_not_dotted_words_is_refused(text):
    with pytest.raises(RequestError, match="Expected --set key=value"):
        parse_overrides([text])


def test_key_given_twice_is_refused_and_not_silently_decided():
    with pytest.raises(RequestError, match=r"a\.b twice"):
        parse_overrides(["a.b=1", "a.b=2"])


@pytest.mark.parametrize("order", [["a=1", "a.b=2"], ["a.b=2", "a=1"]])
def test_key_together_with_one_of_its_parts_is_refused(order):
    with pytest.raises(RequestError, match=r"a or a\.b, not both"):
        parse_overrides(order)


def test_keys_with_a_common_beginning_are_different_keys():
    assert parse_overrides(["rate=1", "rate_decay=2"]) == {"rate": 1, "rate_decay": 2}


@given(
    st.one_of(st.integers(-(10**15), 10**15), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
)
def test_every_number_and_boolean_survives_the_way_through(value):
    text = str(value).lower()
    parsed = parse_overrides([f"key={text}"])["key"]
    assert parsed == value
    assert isinstance(parsed, bool) == isinstance(value, bool)


@given(st.text())
def test_any_text_either_parses_to_plain_values_or_is_refused(text):
    try:
        value = parse_overrides([f"key={text}"])["key"]
    except RequestError:
        return
    for item in value if isinstance(value, list) else [value]:
        assert item is None or isinstance(item, str | int | float)
        assert not isinstance(item, float) or math.isfinite(item)
