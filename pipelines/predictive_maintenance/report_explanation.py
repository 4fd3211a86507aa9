"""The part of the report about explanations: how far they hold, and what drives the most urgent machines."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.predictive_maintenance.evidence import EvidenceDocuments
from pipelines.predictive_maintenance.forecasts import FORECAST
from pipelines.predictive_maintenance.window_figures import contributions_over_time
from shared.publishing.blocks import Block, Callout, Column, Details, Figure, Kind, Section, Table, show
from shared.publishing.explanation_figures import beeswarm, importance_bars, waterfall

_SHOWN_SENSORS = 8


def explanation_section(evidence: EvidenceDocuments) -> Section:
    """Checks, what sensors do over all windows, the most urgent machines one by one."""
    document = evidence.explanation
    attribution = document["attribution"]
    kind: Kind = "good" if attribution["faithful"] else "warning"
    blocks: list[Block] = [
        Callout(kind, attribution["warning"] or checks_text(document), "How far the explanations hold"),
        *_overview(evidence),
    ]
    for number, example in enumerate(document["examples"]):
        shown = _example(example, document, evidence.fleet["time_unit"])
        blocks += shown if number == 0 else [Details(_machine(example, evidence.fleet["time_unit"]), shown)]
    return Section("Which sensors say so", blocks)


def checks_text(document: Mapping[str, Any]) -> str:
    """The outcome of all checks in words."""
    attribution, checks = document["attribution"], document["attribution"]["faithfulness"]
    unit = attribution["unit"]
    gain = checks["deletion_gain"]
    parts = [
        f"{attribution['method']} of the {attribution['target']} against {attribution['baseline']}, summed over the "
        f"window; they sum to the difference up to {show(attribution['completeness_error'], 2)} {unit}",
        f"putting the normal in place of the strongest sensors first moves it by {show(gain['value'], 2)} {unit} more "
        f"than a random order ({show(gain['low'], 2)} to {show(gain['high'], 2)})",
    ]
    if checks["randomisation_spearman"] is not None:
        parts.append(
            f"rank correlation with networks of random weights {show(checks['randomisation_spearman'], 2)}"
        )
    if document["truth"]:
        truth = document["truth"]
        parts.append(
            f"of {truth['windows']} generated windows near failure, of {truth['machines']} machines, the strongest "
            f"sensor is one that the failure drives in {truth['share']:.0%}"
        )
    text = "; ".join(parts) + "."
    return text[:1].upper() + text[1:]


def _overview(evidence: EvidenceDocuments) -> list[Block]:
    document, table = evidence.explanation, evidence.contributions
    attribution = document["attribution"]
    names = list(attribution["importance"])
    titles = [document["channels"][name]["title"] for name in names]
    values = table["contribution"].to_numpy().reshape(-1, len(names))
    given = table["deviation"].to_numpy().reshape(values.shape)
    about = f"{len(values)} windows of the test machines, the more and the less urgent"
    return [
        Figure(
            importance_bars(titles, values, unit=attribution["unit"]),
            f"Mean size of what each sensor adds to the {attribution['target']}, over {about}.",
            "Mean contribution of each sensor",
        ),
        Figure(
            beeswarm(titles, values, given, unit=attribution["unit"]),
            f"What each sensor adds to the {attribution['target']} of each of these windows, by the mean of its last "
            "ten readings.",
            "Contributions by sensor and window",
        ),
    ]


def _machine(example: Mapping[str, Any], time_unit: str) -> str:
    """The machine with what was forecast and what came."""
    text = f"{example['unit_id']} at {show(example['time'])} {time_unit}"
    if example.get(FORECAST) is None:
        return f"{text}: anomaly score {show(example['output'], 2)}"
    ends = f"{show(example['low'], 0)} to {_open(example['high'])}"
    truth = f", still ran for {show(example['remaining'], 0)} when its record ended"
    if not example["is_censored"]:
        truth = f", truly {show(example['remaining'], 0)}"
    return f"{text}: {show(example[FORECAST], 0)} {time_unit} left ({ends}){truth}"


def _open(high: float | None) -> str:
    return "open" if high is None or np.isnan(high) else show(high, 0)


def _example(example: Mapping[str, Any], document: Mapping[str, Any], time_unit: str) -> list[Block]:
    channels, about = example["channels"], document["channels"]
    titles = [about[channel["name"]]["title"] for channel in channels]
    unit = document["attribution"]["unit"]
    machine = _machine(example, time_unit)
    bars = Figure(
        waterfall(
            titles,
            [channel["contribution"] for channel in channels],
            base_value=example["base_value"],
            unit=unit,
            values=[_deviations(channel["deviation"]) for channel in channels],
        ),
        f"{machine}. From a machine in healthy operation to this one, sensor by sensor; beside each the mean of its "
        "last ten readings in standard deviations from usual.",
        f"What each sensor adds for {example['unit_id']}",
    )
    return [bars, *_over_time(example, document, titles, time_unit), _readings(channels, about)]


def _over_time(
    example: Mapping[str, Any], document: Mapping[str, Any], titles: list[str], time_unit: str
) -> list[Block]:
    if example["over_time"] is None:
        return []
    values = np.array(example["over_time"])
    times = (np.arange(values.shape[1]) - values.shape[1] + 1) * document["step"]
    figure = contributions_over_time(
        titles,
        values,
        times,
        x=f"Time before the forecast in {time_unit}",
        unit=document["attribution"]["unit"],
        strip=example["evidence"],
        strip_title="Evidence for a shorter life (Grad-CAM)",
        max_rows=_SHOWN_SENSORS,
    )
    caption = (
        f"{example['unit_id']}: when in its last {values.shape[1]} readings which sensor shortens the remaining life. "
        "Above, what the last convolution reacts to."
    )
    if example["num_observed"] < values.shape[1]:
        caption += (
            f" Only {example['num_observed']} readings are there; earlier ones repeat the first of them."
        )
    return [Figure(figure, caption, f"Sensors over time for {example['unit_id']}", wide=True)]


def _readings(channels: list[Mapping[str, Any]], about: Mapping[str, Any]) -> Table:
    strongest = sorted(channels, key=lambda channel: -abs(channel["contribution"]))[:_SHOWN_SENSORS]
    columns: list[Column | str] = [
        "Sensor",
        Column("Last reading", number=True),
        Column("Usual at this load", number=True),
        "Unit",
        Column("From usual\nlast 10 readings", number=True),
        Column("Since its beginning\nlast 10 readings", number=True),
        Column("Contribution", number=True, digits=2),
    ]
    rows = [
        [
            about[channel["name"]]["title"],
            *(channel[key] for key in ("value", "usual")),
            about[channel["name"]]["unit"] or "–",
            *(_deviations(channel[key]) for key in ("deviation", "change")),
            channel["contribution"],
        ]
        for channel in strongest
    ]
    note = (
        "Usual is the mean over the training machines in the same operating regime, sd their standard deviation there. "
        "The beginning is the mean of the machine's own first readings."
    )
    return Table(columns, rows, "The strongest sensors in their units", [note])


def _deviations(value: float | None) -> str | None:
    return None if value is None else f"{value:+.1f} sd".replace("-", "−")
