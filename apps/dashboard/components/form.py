"""A case to play with: a slider or a choice for each feature, starting from a real one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from apps.dashboard.components.text import markdown_text

_COLUMNS = 3
_STATED = "a number"


@dataclass(frozen=True, slots=True)
class NumberField:
    """A number between `low` and `high`; `states` are values that are no amounts, with their meaning."""

    name: str
    title: str
    low: float
    high: float
    unit: str = ""
    whole: bool = False
    states: Mapping[float | None, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChoiceField:
    """One out of a list: values with their meaning."""

    name: str
    title: str
    choices: Mapping[str | None, str]


Field = NumberField | ChoiceField


def what_if(fields: Sequence[Field], start: Mapping[str, Any], *, key: str) -> dict[str, Any]:
    """Controls for all fields, and the values that they are at. With another `key` they start anew from `start`."""
    values: dict[str, Any] = {}
    for first in range(0, len(fields), _COLUMNS):
        row = fields[first : first + _COLUMNS]
        for place, each in zip(st.columns(_COLUMNS, gap="medium"), row, strict=False):
            with place:
                draw = _number if isinstance(each, NumberField) else _choice
                values[each.name] = draw(each, start.get(each.name), f"{key}/{each.name}")  # type: ignore[arg-type]
    return values


def _choice(asked: ChoiceField, value: Any, key: str) -> Any:
    known = list(asked.choices)
    index = known.index(value) if value in known else 0
    return st.selectbox(
        markdown_text(asked.title), known, index, format_func=lambda each: asked.choices[each], key=key
    )


def _number(asked: NumberField, value: Any, key: str) -> Any:
    unit = asked.unit if asked.unit and asked.unit not in asked.title else ""
    title = markdown_text(f"{asked.title}, {unit}" if unit else asked.title)
    if asked.states:
        state = _state(asked, value, title, f"{key}/state")
        if state != _STATED:
            return state
        title = f"{title}: value"
    low, high = float(asked.low), float(max(asked.high, asked.low + 1e-6))
    given = (low + high) / 2 if value is None or value in asked.states else float(value)
    low, high = min(low, given), max(high, given)
    if asked.whole:
        # floats as well: sliders of integers have other limits and another type to give back
        return float(st.slider(title, int(low), max(int(high), int(low) + 1), int(given), key=key))
    return st.slider(title, low, high, given, step=_step(high - low), key=key)


def _state(asked: NumberField, value: Any, title: str, key: str) -> Any:
    options = [_STATED, *asked.states]
    index = options.index(value) if value in asked.states else 0
    return st.selectbox(
        title, options, index, format_func=lambda each: asked.states.get(each, str(each)), key=key
    )


def _step(span: float) -> float:
    """About a hundred steps, round ones."""
    step = 1.0
    while step > span / 80:
        step /= 10
    while step < span / 800:
        step *= 10
    return step
