"""Where time and memory of the pipelines go: each as a process of its own, with a data home of its own.

Run: python -m tests.benchmarks.costs [--preset quick] [--pipelines NAME ...]. Prints Markdown, one row as soon as a
pipeline has ended. CPU seconds are of the process and all that it started and waited for, the Prefect server too, and
change little with what else the machine does; wall seconds do. Peak memory is that of the largest process.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.catalogue import PIPELINES

COMMANDS = {
    "fieldwork --help": ["-m", "apps.cli.main", "--help"],
    "fieldwork list": ["-m", "apps.cli.main", "list"],
    "import torch": ["-c", "import torch"],
    "import prefect": ["-c", "import prefect"],
    "import mlflow": ["-c", "import mlflow"],
    "the flow of credit scoring": ["-c", "import pipelines.credit_scoring.flow"],
}
STEPS_SHOWN = 4


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float


def cost_of(arguments: Sequence[str], home: Path) -> Cost:
    """Run the interpreter with these arguments and wait for it."""
    environment = {**os.environ, "FIELDWORK_HOME": str(home), "OMP_WAIT_POLICY": "PASSIVE"}
    environment.pop("PREFECT_API_URL", None)
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read().decode(errors="replace")
    _, status, used = os.wait4(process.pid, 0)  # of this child alone: RUSAGE_CHILDREN adds up all of them
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.stderr.write(said)
    wall = time.perf_counter() - started
    return Cost(process.returncode, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def row_of(pipeline: str, preset: str) -> str:
    """One run as a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [
            "-m",
            "apps.cli.main",
            "run",
            pipeline,
            "--preset",
            preset,
            "--quiet",
            "--json",
            str(result),
        ]
        cost = cost_of(command, Path(folder) / "home")
        if cost.exit_code:
            return f"| {pipeline} | failed with exit code {cost.exit_code} | | | |"
        shares = step_shares(json.loads(result.read_text()))
    numbers = f"{cost.cpu_seconds:.0f} | {cost.wall_seconds:.0f} | {cost.peak_megabytes:,.0f}"
    return f"| {pipeline} | {numbers} | {shares} |"


def step_shares(summary: Mapping[str, Any]) -> str:
    """The dearest steps with their share of the wall seconds of all steps."""
    seconds = {name: value or 0.0 for name, value in summary["seconds"].items()}
    total = sum(seconds.values()) or 1.0
    dearest = sorted(seconds, key=lambda name: -seconds[name])[:STEPS_SHOWN]
    return ", ".join(f"{name} {100 * seconds[name] / total:.0f} %" for name in dearest)


def start_rows(rounds: int) -> Iterator[str]:
    """How long commands and imports take: the best of several rounds."""
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in COMMANDS.items():
            found = [cost_of(arguments, Path(folder)) for _ in range(rounds)]
            best = [min(getattr(cost, field) for cost in found) for field in ("cpu_seconds", "wall_seconds")]
            peak = statistics.median(cost.peak_megabytes for cost in found)
            yield f"| {name} | {best[0]:.2f} | {best[1]:.2f} | {peak:,.0f} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--pipelines", nargs="*", default=[pipeline.name for pipeline in PIPELINES])
    parser.add_argument("--rounds", type=int, default=5, help="of commands and imports; 0 leaves them out")
    chosen = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, preset {chosen.preset}\n")
    if chosen.rounds:
        print("| start | CPU s, best | wall s, best | MB |\n|---|---:|---:|---:|")
        for row in start_rows(chosen.rounds):
            print(row, flush=True)
    if chosen.pipelines:
        print("\n| pipeline | CPU s | wall s | peak MB | dearest steps |\n|---|---:|---:|---:|---|")
    for pipeline in chosen.pipelines:
        print(row_of(pipeline, chosen.preset), flush=True)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
