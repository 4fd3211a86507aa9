"""Which settings the steps of a flow look at."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from shared.orchestration.overrides import Section
from shared.orchestration.step import Step

_call = Step.__call__


@contextmanager
def settings_read(steps: Collection[str]) -> Iterator[set[tuple[str, str]]]:
    """Class of the section and name of each setting that steps of these names read inside."""
    found: set[tuple[str, str]] = set()
    under_way: list[str] = []

    def called(step: Any, *args: Any, **kwargs: Any) -> Any:
        under_way.append(step.name)
        try:
            return _call(step, *args, **kwargs)
        finally:
            under_way.pop()

    def read(section: Any, name: str) -> Any:
        if under_way and under_way[-1] in steps and name in type(section).__pydantic_fields__:
            found.add((type(section).__name__, name))
        return object.__getattribute__(section, name)

    with patch.object(Step, "__call__", called), patch.object(Section, "__getattribute__", read, create=True):
        yield found
