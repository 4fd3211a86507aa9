"""One flow, several processes: torchrun starts them, the first leads the flow, the others join its training.

Only the lead has a flow, a server, a registry. When it comes to a step that trains together, it tells the others which
one and with which arguments, as JSON, and all call its function: `fit` then shares the work of every batch. What the
others return is forgotten; everything else the lead computes by itself.
"""

import functools
import importlib
import inspect
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, get_type_hints

from shared.errors import FieldworkError

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class _Lead:
    """The first process of several. `reachable`: the others wait for a word, and are not amid what has failed here."""

    reachable: bool = True


_lead: ContextVar[_Lead | None] = ContextVar("fieldwork_lead", default=None)


def several() -> bool:
    """Whether torchrun started more than one process."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def follows() -> bool:
    """Whether torchrun started this process to join the training of another."""
    return several() and int(os.environ["RANK"]) > 0


def together(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator below `@step()`: under torchrun all processes call the function with the lead's arguments.

    Everything before and after `fit` in it must do the same in all of them: same data, same shapes, same errors.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        lead = _lead.get()
        if lead is None:
            return function(*args, **kwargs)
        from shared.training.distributed import alone

        bound = inspect.signature(function).bind(*args, **kwargs).arguments
        adapters = _adapters(function)
        values = {name: adapters[name].dump_python(value, mode="json") for name, value in bound.items()}
        _tell({"module": function.__module__, "name": function.__name__, "values": values})
        lead.reachable = False
        try:
            with alone(False):
                result = function(*args, **kwargs)
        except FieldworkError:  # the others have met it too
            lead.reachable = True
            raise
        lead.reachable = True
        return result

    return call


@contextmanager
def leading() -> Iterator[None]:
    """The frame around a run of the first process; the others are sent home at its end. Without torchrun, nothing."""
    if not several():
        yield
        return
    from shared.training.distributed import alone

    lead = _Lead()
    token = _lead.set(lead)
    try:
        with alone():
            yield
    finally:
        _lead.reset(token)
        if lead.reachable:
            with suppress(RuntimeError):  # one that is gone already need not be told
                _tell(None)


def follow() -> None:
    """Join what the lead trains until it sends this process home.

    Errors that the lead meets as well are its to report. Any other ends this process, and torchrun then ends all.
    """
    while (call := _told()) is not None:
        function = getattr(importlib.import_module(call["module"]), call["name"]).function
        adapters = _adapters(function)
        values = {name: adapters[name].validate_python(value) for name, value in call["values"].items()}
        with suppress(FieldworkError):
            function(**values)


def _tell(call: dict[str, Any] | None) -> None:
    _group().share(None if call is None else json.dumps(call).encode())


def _told() -> dict[str, Any] | None:
    payload = _group().share(None)
    return None if payload is None else json.loads(payload)


def _group() -> Any:
    from shared.training.distributed import alone, join_group
    from shared.training.runtime import choose_device

    with alone(False):
        return join_group(choose_device("auto"))


def _adapters(function: Callable[..., Any]) -> dict[str, Any]:
    from pydantic import TypeAdapter

    return {name: TypeAdapter(hint) for name, hint in get_type_hints(function).items() if name != "return"}
