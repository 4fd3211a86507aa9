"""Steps of a flow: Prefect tasks that take and give references, and whose results are reused by content.

A step's key is the digest of its name, its arguments (configuration and `Ref`s, never data) and the code that it
runs. Prefect's own policies hash pickled inputs and the lines of one function, which misses changed helpers and
differs between processes; here equal keys mean equal work, on any day and any machine.
"""

import functools
import hashlib
import importlib.metadata
import inspect
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints

from pydantic import TypeAdapter

from shared.data.files import file_lock
from shared.data.home import home
from shared.data.store import Ref, default_store
from shared.errors import FieldworkError
from shared.orchestration.carried import carried, recall, remember
from shared.orchestration.run import StepRecord, current_run

P = ParamSpec("P")
R = TypeVar("R")

_ROOT = Path(__file__).parents[2]
# Releases that decide numbers; others may change without making old results wrong.
_LIBRARIES = ("torch", "numpy", "polars", "scikit-learn", "scipy")


class Step(Generic[P, R]):
    """A function of JSON-able arguments (pydantic models, Refs, plain values) as a cached Prefect task.

    `function` is the plain function, for tests and notebooks. `retries` is for steps that wait on the outside
    world: only an OSError is worth another try. `reuse=False` is for steps that act on the world.
    """

    def __init__(self, function: Callable[P, R], *, retries: int = 0, reuse: bool = True) -> None:
        functools.update_wrapper(self, function)
        self.function, self.retries, self.reuse = function, retries, reuse
        self.name = function.__name__
        hints = get_type_hints(function)
        self._result: TypeAdapter[Any] = TypeAdapter(hints.pop("return"))
        self._arguments = {name: TypeAdapter(hint) for name, hint in hints.items()}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs as a task of the flow under way, or takes the result of an equal earlier call."""
        bound = inspect.signature(self.function).bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = {
            name: self._arguments[name].dump_python(value, mode="json")
            for name, value in bound.arguments.items()
        }
        key, started = self.key(arguments), time.perf_counter()
        # Two equal runs at once: the second waits here and then finds the first one's result.
        with file_lock(home().root / "locks" / f"{self.name}-{key[:32]}"):
            document, reused = self._run(arguments, key)
        current_run().record(StepRecord(self.name, time.perf_counter() - started, reused))
        result: R = self._result.validate_python(document)
        return result

    def key(self, arguments: dict[str, Any]) -> str:
        """Digest that decides whether an earlier result may be used."""
        package = inspect.getmodule(self.function).__name__.rpartition(".")[0]  # type: ignore[union-attr]
        parts = [self.name, code_digest(package), arguments]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _run(self, arguments: dict[str, Any], key: str) -> tuple[Any, bool]:
        state = self._task(arguments, key, return_state=True)
        return state.result(), state.name == "Cached"

    @functools.cached_property
    def _task(self) -> Any:
        from prefect import task
        from prefect.cache_policies import NO_CACHE
        from prefect.states import Completed

        def work(arguments: dict[str, Any], key: str) -> Any:
            remembered = self._recall(key)
            if remembered is not None:
                return Completed(name="Cached", data=remembered["result"])
            values = {name: self._arguments[name].validate_python(value) for name, value in arguments.items()}
            folder = home().checkpoints / f"{self.name}-{key[:32]}"
            with carried(folder):
                with _saving_in(folder):
                    result = self.function(**values)  # type: ignore[call-arg]
                document = self._result.dump_python(result, mode="json", warnings=False)
                self._result.validate_python(document)  # what cannot be read back must not be remembered
                if self.reuse:
                    remember(f"{self.name}-{key}.json", json.dumps({"result": document}))
            shutil.rmtree(folder, ignore_errors=True)
            return document

        decorate = task(
            name=self.name,
            description=inspect.getdoc(self.function),
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=self.retries,
            retry_delay_seconds=2,
            retry_condition_fn=_worth_a_retry,
        )
        return decorate(work)

    def _recall(self, key: str) -> dict[str, Any] | None:
        """The remembered document of an equal call, if it may be used, is sound, and points at what is there.

        Prefect's own result files name the serializer that reads them, which may be pickle: a file that somebody
        changed would run code. Here a file is JSON of the declared type, or it is ignored.
        """
        if not (current_run().use_cache and self.reuse):
            return None
        try:
            document = json.loads(recall(f"{self.name}-{key}.json"))
            self._result.validate_python(document["result"])
            found = all(_is_held(ref) for ref in _refs(document))
        except (OSError, ValueError, TypeError, KeyError, FieldworkError):
            return None
        return document if found else None


def step(*, retries: int = 0, reuse: bool = True) -> Callable[[Callable[P, R]], Step[P, R]]:
    """Decorator: see `Step`."""
    return lambda function: Step(function, retries=retries, reuse=reuse)


_checkpoint_folder: ContextVar[Path | None] = ContextVar("fieldwork_checkpoint_folder", default=None)


def checkpoint_folder() -> Path | None:
    """Where the step under way may save its progress; None outside of a step.

    It belongs to one key: after a kill an equal call finds it again, calls that differ in data, configuration or
    code never do, equal calls at once wait for each other, and success removes it.
    """
    return _checkpoint_folder.get()


@contextmanager
def _saving_in(folder: Path) -> Iterator[None]:
    token = _checkpoint_folder.set(folder)
    try:
        yield
    finally:
        _checkpoint_folder.reset(token)


@functools.cache
def code_digest(package: str) -> str:
    """Digest of the shared code, one pipeline's code, the contracts and the numeric libraries' versions."""
    digest = hashlib.sha256()
    for folder in ("shared", "data_contracts", package.replace(".", "/")):
        for path in sorted((_ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".yaml", ".yml", ".css", ".j2", ".html"):
                digest.update(f"{path.relative_to(_ROOT)}\0".encode())
                digest.update(path.read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library}={importlib.metadata.version(library)}\0".encode())
    return digest.hexdigest()


def _worth_a_retry(task: Any, task_run: Any, state: Any) -> bool:
    try:
        state.result()
    except OSError:
        return True
    except BaseException:
        return False
    return False


def _is_held(ref: Ref) -> bool:
    """Whether the store has it; of a folder, every file."""
    store = default_store()
    if not store.has(ref):
        return False
    members = _refs(store.json(ref)) if ref.path.endswith(".tree.json") else ()
    return all(store.has(member) for member in members)


def _refs(document: Any) -> Iterator[Ref]:
    if isinstance(document, dict):
        if {"path", "sha256", "bytes"} <= document.keys():
            yield Ref.model_validate(document)
        else:
            for value in document.values():
                yield from _refs(value)
    elif isinstance(document, list):
        for value in document:
            yield from _refs(value)
