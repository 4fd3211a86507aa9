"""Seconds of the dashboard as its server gives them, without a browser: first pages, and users who move a slider.

Run: python -m tests.benchmarks.dashboard [--home HOME] [--rounds 3] [--users 1 10]. HOME has published models; without
it all pipelines run first with `quick` in a new one. A first page counts from the command to its last element, from
an empty process. Users open the page of the applicant at once and then move a slider every 1.5 s. Prints Markdown.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from tests.apps.dashboard.served import served

PAGES = {"operations": "", "a pipeline": "credit_scoring"}
PAGE_WITH_SLIDER, SLIDER = "credit_scoring", "debt_to_income"
MOVES_EACH, SECONDS_BETWEEN = 8, 1.5
LONGEST_ANSWER_SECONDS = 120


class Session:
    """One visitor: asks for pages, moves sliders, and counts the seconds to the last element."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._sliders = socket, dict[str, tuple[Any, str]]()

    async def open(self, page: str) -> float:
        """A page from its beginning."""
        message = BackMsg()
        message.rerun_script.page_name = page
        return await self._answered(message)

    async def move(self, slider: str, share: float) -> float:
        """The slider whose key contains the word, to a share of its range, as its fragment of the page."""
        [found] = [name for name in self._sliders if slider in name]
        element, fragment = self._sliders[found]
        message = BackMsg()
        message.rerun_script.page_name = PAGE_WITH_SLIDER
        message.rerun_script.fragment_id = fragment
        widget = message.rerun_script.widget_states.widgets.add()
        widget.id = found
        widget.double_array_value.data.append(element.min + share * (element.max - element.min))
        return await self._answered(message)

    async def _answered(self, message: Any) -> float:
        started = time.perf_counter()
        await self._socket.send(message.SerializeToString())
        while True:
            answer = ForwardMsg()
            answer.ParseFromString(
                await asyncio.wait_for(self._socket.recv(decode=False), LONGEST_ANSWER_SECONDS)
            )
            kind = answer.WhichOneof("type")
            if kind == "script_finished":
                return time.perf_counter() - started
            if kind == "delta":
                self._take(answer.delta)

    def _take(self, delta: Any) -> None:
        element = delta.new_element
        if element.WhichOneof("type") == "slider":
            self._sliders[element.slider.id] = element.slider, delta.fragment_id
        if element.WhichOneof("type") == "exception":
            sys.exit(f"The page shows an error: {element.exception.message}")


def visit(address: str) -> connect:
    """The connection of one visitor."""
    return connect(
        f"ws{address.removeprefix('http')}_stcore/stream", origin=address.rstrip("/"),  # type: ignore[arg-type]
        subprotocols=["streamlit"], max_size=None,  # type: ignore[list-item]
    )  # fmt: skip


async def opened(address: str, page: str) -> None:
    """One visitor opens one page."""
    async with visit(address) as socket:
        await Session(socket).open(page)


async def used(address: str, number: int, users: int) -> tuple[float, list[float]]:
    """Seconds of the page and of each move of one of the users, whose moves are spread over the time between them."""
    async with visit(address) as socket:
        session = Session(socket)
        page = await session.open(PAGE_WITH_SLIDER)
        await asyncio.sleep(SECONDS_BETWEEN * number / users)
        moves = []
        for move in range(MOVES_EACH):
            moves.append(await session.move(SLIDER, 0.2 + 0.6 * move / MOVES_EACH))
            await asyncio.sleep(SECONDS_BETWEEN)
    return page, moves


async def together(address: str, users: int) -> list[tuple[float, list[float]]]:
    """All users from the first second."""
    return await asyncio.gather(*(used(address, number, users) for number in range(users)))


def first_pages(home: Path, rounds: int) -> Iterator[str]:
    """From the command to the last element of a page, as rows of a table."""
    for name, page in PAGES.items():
        seconds = []
        for _ in range(rounds):
            started = time.perf_counter()
            with served(home) as address:
                asyncio.run(opened(address, page))
                seconds.append(time.perf_counter() - started)
        yield f"| first page, {name} | {statistics.median(seconds):.2f} | | {max(seconds):.2f} |"


def moves(home: Path, users: int, rounds: int) -> Iterator[str]:
    """The slider of so many users at once, one row for each round."""
    for _ in range(rounds):
        with served(home) as address:
            found = asyncio.run(together(address, users))
        yield row(f"page, {users} at once", [page for page, _ in found])
        yield row(f"a slider, {users} at once", [seconds for _, moved in found for seconds in moved])


def row(name: str, seconds: Sequence[float]) -> str:
    """Median, the 90th percentile and the longest."""
    ordered = sorted(seconds)
    ninety = ordered[int(0.9 * (len(ordered) - 1))]
    return f"| {name} | {statistics.median(ordered):.2f} | {ninety:.2f} | {ordered[-1]:.2f} |"


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="a data home with published models")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--users", type=int, nargs="*", default=[1, 10])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = chosen.home or Path(folder)
        if chosen.home is None:
            command = [sys.executable, "-m", "apps.cli.main", "run", "--all", "--preset", "quick"]
            subprocess.run(command, check=True, env={**os.environ, "FIELDWORK_HOME": folder})
        print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores\n")
        print("| seconds | median | 90 % | longest |\n|---|---:|---:|---:|")
        for line in first_pages(home, chosen.rounds):
            print(line, flush=True)
        for users in chosen.users:
            for line in moves(home, users, chosen.rounds):
                print(line, flush=True)


if __name__ == "__main__":
    main()
