"""What happens when a command fails: one plain message on stderr and the exit code that scripts rely on."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from apps.cli.console import say
from shared.errors import FieldworkError, Stopped

P = ParamSpec("P")

MESSAGE_LIMIT_CHARS = 400

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback when something fails.")]


def explain(error: BaseException) -> tuple[str, int]:
    """The message for the user and the exit code: 1 failed, 2 wrong request, 3 stopped but resumable."""
    if isinstance(error, FieldworkError):
        message = str(error) or type(error).__name__
        return _with_way_on(message) if isinstance(error, Stopped) else message, error.exit_code
    if not isinstance(error, Exception):  # Ctrl-C, SIGTERM, or the orchestrator's own termination signal
        return _with_way_on("Stopped."), Stopped.exit_code
    lines = str(error).strip().splitlines()
    detail = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if len(detail) > MESSAGE_LIMIT_CHARS:
        detail = detail[:MESSAGE_LIMIT_CHARS] + " ..."
    return f"unexpected: {detail} (rerun with --debug for the traceback)", FieldworkError.exit_code


def _with_way_on(message: str) -> str:
    way_on = "Run the same command to continue."
    return message if "same command" in message else f"{message} {way_on}"


def report(error: BaseException, *, debug: bool = False, prefix: str = "") -> int:
    """Print the message (with `debug` the traceback before it) on stderr and return the exit code."""
    message, exit_code = explain(error)
    if debug:
        sys.stderr.write("".join(traceback.format_exception(error)))
    say(prefix + message, stderr=True)
    return exit_code


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command so that its errors end in `report`. Usage errors stay with Typer, which exits with 2."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, SystemExit, BrokenPipeError):  # a closed pipe (`| head`) is no error
            raise
        except BaseException as error:
            raise typer.Exit(report(error, debug=bool(kwargs.get("debug")))) from None

    return wrapper
