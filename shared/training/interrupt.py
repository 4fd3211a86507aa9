"""Stopping a run from outside: a flag that the loop polls, set by signals or by the caller."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from shared.errors import Stopped


class StopFlag:
    """Ask a run to stop after the current step. Safe to set from other threads and from signal handlers."""

    def __init__(self) -> None:
        self.reason = ""
        self.signal_number: int | None = None

    def request(self, reason: str) -> None:
        self.reason = reason

    @property
    def requested(self) -> bool:
        return bool(self.reason)


@contextlib.contextmanager
def catch_signals(flag: StopFlag) -> Iterator[None]:
    """SIGTERM and SIGINT set the flag inside the block; a second SIGINT interrupts at once.

    The previous handlers come back at the end. One that was installed by the program around us (an
    orchestrator's, say) is then called with the signal that we caught, so that it still learns of it, only
    after the checkpoint; it may raise. Outside the main thread, where Python allows no handlers, nothing is
    changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and flag.signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        flag.signal_number = number
        flag.request(signal.Signals(number).name)

    numbers = (signal.SIGTERM, signal.SIGINT)
    # A handler that was not installed from Python reads as None and could not be put back: leave it alone.
    previous = {number: before for number in numbers if (before := signal.getsignal(number)) is not None}
    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
        if flag.signal_number is not None:
            _pass_on(flag.signal_number, previous[signal.Signals(flag.signal_number)])
    if flag.signal_number is not None:  # it came after the last look, and must not be swallowed
        raise Stopped(f"Stopped by {flag.reason} when training had just ended. The same command continues.")


def _pass_on(number: int, handler: object) -> None:
    """Default handlers are not called: they would end the process before the caller could report."""
    if callable(handler) and handler is not signal.default_int_handler:
        handler(number, None)
