"""What one run knows of itself: whether it may reuse results, how it shows progress, what each step cost."""

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from shared.orchestration.server import local_server, server_answers, without_heartbeats
from shared.training.progress import Progress, RichProgress, SilentProgress

if TYPE_CHECKING:
    from shared.orchestration.scoring import ScoreSummary
    from shared.publishing.summary import RunSummary

Config = TypeVar("Config")


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One finished step."""

    name: str
    seconds: float
    reused: bool


@dataclass(slots=True)
class Run:
    """The run that is under way; steps add their records."""

    use_cache: bool = True
    progress: bool = False
    records: list[StepRecord] = field(default_factory=list)

    def say(self, text: str) -> None:
        """One line for the person who waits; nothing when progress is off."""
        if self.progress:
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    def bar(self) -> Progress:
        """Where a long step shows how far it is."""
        return RichProgress() if self.progress else SilentProgress()

    def record(self, record: StepRecord) -> None:
        """Notes a finished step and says when its result was reused."""
        self.records.append(record)
        what = "reused from an earlier run" if record.reused else f"{record.seconds:.1f} s"
        self.say(f"  {record.name:<10} {what}")

    @property
    def seconds(self) -> dict[str, float]:
        """Wall seconds by step, of all its calls."""
        names = dict.fromkeys(record.name for record in self.records)
        return {name: sum(one.seconds for one in self.records if one.name == name) for name in names}

    @property
    def reused(self) -> list[str]:
        """Names of the steps whose results came from an earlier run."""
        return list(dict.fromkeys(record.name for record in self.records if record.reused))


_current: ContextVar[Run | None] = ContextVar("fieldwork_run", default=None)


def current_run() -> Run:
    """The run under way. A step that is called on its own, by a scheduled worker or a test, gets a quiet one."""
    run = _current.get()
    if run is None:
        run = Run()
        _current.set(run)
    return run


# Imports of three seconds that most runs make later on; a server takes five to start.
_NEEDED_LATER = ("torch._dynamo", "sklearn.ensemble", "scipy.stats")


def _use_the_wait() -> None:
    """Import what will be needed, one module at a time, for as long as the server does not answer."""
    for module in _NEEDED_LATER:
        if server_answers():
            return
        importlib.import_module(module)


@contextmanager
def running(*, use_cache: bool = True, progress: bool = False) -> Iterator[Run]:
    """The frame around a flow that is called directly: Prefect configured, a server at hand, progress on stderr.

    Whoever enters `local_server` before importing the flow has the server start beside the imports.
    """
    run = Run(use_cache=use_cache, progress=progress)
    token = _current.set(run)
    try:
        with local_server() as ready:
            _use_the_wait()
            ready()
            with without_heartbeats():
                yield run
    finally:
        _current.reset(token)
    if run.reused:
        run.say(f"Reused from an earlier run: {', '.join(run.reused)}. --no-cache computes them again.")


def run_flow(
    train: "Callable[[str, Config], RunSummary]",
    source: str,
    config: Config,
    *,
    use_cache: bool,
    progress: bool,
) -> "RunSummary":
    """Call a training flow directly, with a server at hand; the summary gets the seconds of its steps."""
    with running(use_cache=use_cache, progress=progress) as this_run:
        summary = train(source, config)
        return summary.model_copy(update={"seconds": this_run.seconds})


def timed_score(score: "Callable[[], ScoreSummary]") -> "ScoreSummary":
    """Call a scoring flow directly, with a server at hand; the summary gets the seconds of all of it."""
    started = time.perf_counter()
    with running():
        summary = score()
    return summary.model_copy(update={"seconds": time.perf_counter() - started})
