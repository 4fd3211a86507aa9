"""What orchestration costs: a flow of five empty steps on a new home, a warm home, and beside a running server.

Run: python -m tests.benchmarks.orchestration [--rounds 3]. Each figure is a whole process. `plain` calls the same
functions without Prefect; `again` is the second run, whose steps are all reused. Prints Markdown, medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORK = """
import sys
from shared.orchestration.server import local_server
with local_server():
    from shared.orchestration.flows import flow
    from shared.orchestration.run import running
    from tests.benchmarks.orchestration import steps
    work = steps()
    @flow(name="empty", persist_result=False)
    def empty() -> None:
        for number in range(5):
            work(number)
    with running(use_cache=True):
        empty()
"""
PLAIN = (
    "from tests.benchmarks.orchestration import steps\nwork = steps()\n[work.function(n) for n in range(5)]"
)


def steps():  # type: ignore[no-untyped-def]
    """A step that does nothing."""
    from shared.orchestration.step import step

    @step()
    def nothing(number: int) -> int:
        """Return what comes in."""
        return number

    return nothing


def seconds(code: str, folder: Path, url: str | None = None) -> float:
    """Wall seconds of one process."""
    environment = {**os.environ, "FIELDWORK_HOME": str(folder)}
    environment.pop("PREFECT_API_URL", None)
    if url:
        environment["PREFECT_API_URL"] = url
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - started


def one_round() -> dict[str, float]:
    """Every case once, on a home of its own."""
    from shared.orchestration.server import local_server

    with tempfile.TemporaryDirectory() as scratch:
        home, other = Path(scratch) / "home", Path(scratch) / "other"
        found = {
            "plain functions": seconds(PLAIN, home),
            "new home (creates the database)": seconds(WORK, home),
            "warm home, steps reused": seconds(WORK, home),
        }
        os.environ["FIELDWORK_HOME"] = str(home)
        with local_server() as ready:
            ready()
            url = os.environ["PREFECT_API_URL"]
            found["server running already"] = seconds(WORK, other, url)
            found["server running already, steps reused"] = seconds(WORK, other, url)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = [one_round() for _ in range(parser.parse_args().rounds)]
    print("| five empty steps, whole process | seconds |\n|---|---:|")
    for name in rounds[0]:
        values = [found[name] for found in rounds]
        print(f"| {name} | {statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f}) |")
