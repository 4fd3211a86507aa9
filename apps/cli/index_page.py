"""The page that `run --all` leaves: its results beside each other, each with the way to its report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from apps.cli.summary import Outcome
from shared.data.files import atomic_write
from shared.data.home import home
from shared.publishing.blocks import (
    Block,
    Bullets,
    Callout,
    Column,
    Report,
    Section,
    Table,
    Value,
    estimate,
    interval,
)
from shared.publishing.report import render
from shared.publishing.standard import readable

_READING = (
    "Every pipeline ran on the data of its own generator, a simulator whose truth is known: the numbers say that it "
    "works, not how good it is on real data. Results on public data are in the README of each pipeline.",
    "All values are of the test part, which no decision was made on, with 95 % intervals; the baselines were judged "
    "on the same rows.",
)


def write_index(outcomes: Sequence[Outcome], preset: str) -> Path:
    """Write the page into the data home, in place of an earlier one, and return its path.

    Raises FieldworkError where the home cannot be written.
    """
    path = home().root / "index.html"
    atomic_write(path, render(index_report(outcomes, preset, path.parent)))
    return path


def index_report(outcomes: Sequence[Outcome], preset: str, folder: Path) -> Report:
    """The page as a report; its links are relative to `folder`, so that a home can be moved as a whole."""
    failed = [outcome for outcome in outcomes if outcome.summary is None]
    blocks: list[Block] = [
        Callout("bad", outcome.error, f"{outcome.pipeline.title} failed") for outcome in failed
    ]
    return Report(
        title="Fieldwork",
        subtitle="All pipelines on generated data. Each name leads to its report.",
        facts={
            "Finished": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "Preset": preset,
            "Pipelines": len(outcomes),
            "Failed": len(failed),
            "Seconds": round(sum(outcome.seconds for outcome in outcomes)),
        },
        sections=[
            Section("Results", [*blocks, _table(outcomes, folder)]),
            Section("How to read this", [Bullets(_READING)]),
        ],
    )


def _table(outcomes: Sequence[Outcome], folder: Path) -> Table:
    columns = (
        "Pipeline",
        "Headline",
        Column("This model", number=True),
        Column("Best baseline", number=True),
        "Verdict",
        Column("Seconds", number=True),
    )
    reports = {row: outcome.summary.get("report") for row, outcome in enumerate(outcomes) if outcome.summary}
    links = {row: _link(Path(report), folder) for row, report in reports.items() if report}
    return Table(columns, [_row(outcome) for outcome in outcomes], links=links)


def _row(outcome: Outcome) -> list[Value]:
    name, best = outcome.best_baseline
    unit = outcome.headline.get("unit") or ""
    metric = readable(outcome.pipeline.headline.removeprefix("test/"))
    return [
        f"{outcome.pipeline.title}\n{outcome.pipeline.question}",
        f"{metric}\n{unit}" if unit else metric,
        f"{estimate(outcome.headline)}\n{interval(outcome.headline)}" if outcome.headline else "failed",
        f"{estimate(best)}\n{readable(name)}" if best else None,
        outcome.verdict if outcome.summary else None,
        round(outcome.seconds),
    ]


def _link(report: Path, folder: Path) -> str:
    """Relative within the folder, whole elsewhere."""
    if not report.is_relative_to(folder):
        return report.absolute().as_uri()
    return quote(report.relative_to(folder).as_posix())
