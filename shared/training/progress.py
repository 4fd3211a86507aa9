"""Progress of a run: a small protocol, and a bar on the terminal."""

from typing import Any, Protocol


class Progress(Protocol):
    """What `fit` reports to, at most about ten times a second."""

    def start(self, total: int, label: str) -> None: ...

    def advance(self, n: int, **numbers: float) -> None: ...

    def close(self) -> None: ...


class SilentProgress:
    """Reports nothing."""

    def start(self, total: int, label: str) -> None:
        return

    def advance(self, n: int, **numbers: float) -> None:
        return

    def close(self) -> None:
        return


class RichProgress:
    """A bar with the remaining time and the latest numbers; plain silence when stderr is no terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def start(self, total: int, label: str) -> None:
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[numbers]}"),
            console=Console(stderr=True),
            transient=True,
            disable=not Console(stderr=True).is_terminal,
        )
        self._task = self._bar.add_task(label, total=total, numbers="")
        self._bar.start()

    def advance(self, n: int, **numbers: float) -> None:
        text = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        self._bar.update(self._task, advance=n, numbers=text)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
