"""The part of the report about data: which machines there are, and what the networks see of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.predictive_maintenance.evidence import EvidenceDocuments
from pipelines.predictive_maintenance.features import Preparation
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.targets import Scale
from pipelines.predictive_maintenance.wording import Words
from shared.publishing.blocks import Callout, Column, KeyValues, Section, Table, Value, show
from shared.publishing.standard import data_section


def fleet_facts(fleet: Fleet, preparation: Preparation) -> dict[str, Any]:
    """Plain values about a fleet as it was read, in its time unit, and about its preparation for the networks."""
    lives = fleet.lives
    spans = fleet.time[fleet.offsets[1:] - 1] - lives.start
    between = np.diff(fleet.time)[np.diff(fleet.row_life) == 0]
    regime = preparation.regimes.assign(fleet.values[:, fleet.columns_of("setting")])
    return {
        "machines": fleet.num_units,
        "lives": len(spans),
        "failed_lives": int(lives.failed.sum()),
        "published_ends": int((~np.isnan(lives.given_rul)).sum()),
        "readings": fleet.num_rows,
        "length": _quartiles(spans[lives.failed]) if lives.failed.any() else None,
        "missing_share": float(np.isnan(fleet.values).mean()),
        "gaps": int((between > preparation.step * preparation.max_gap_steps).sum()),
        "step": preparation.step,
        "max_gap_steps": preparation.max_gap_steps,
        "settings": [fleet.channels[place].title for place in fleet.columns_of("setting")],
        "sensors": len(fleet.columns_of("sensor")),
        "regimes": _regimes(preparation, fleet, regime),
        "time_unit": fleet.time_unit,
    }


def _quartiles(spans: np.ndarray) -> list[float]:
    return [float(value) for value in np.quantile(spans, [0.0, 0.25, 0.5, 0.75, 1.0])]


def _regimes(preparation: Preparation, fleet: Fleet, regime: np.ndarray) -> list[dict[str, Any]]:
    regimes = preparation.regimes
    centres = regimes.centres * regimes.scale + regimes.mean
    names = [fleet.channels[place].title for place in fleet.columns_of("setting")]
    return [
        {
            "readings": int((regime == number).sum()),
            "settings": dict(zip(names, centre.tolist(), strict=True)),
        }
        for number, centre in enumerate(centres)
    ]


def words_of(evidence: EvidenceDocuments) -> Words:
    """Writes times of the report as scoring does."""
    return Words(Scale(**evidence.evaluation["scale"]), evidence.fleet["time_unit"])


def fleet_section(evidence: EvidenceDocuments) -> Section:
    """Machines and lives, operating regimes, division, leak audit, quarantine."""
    facts = evidence.fleet
    common = data_section(
        split=evidence.split,
        audit=evidence.audit,
        notes=evidence.notes,
        quarantine=evidence.quarantine,
    )
    warnings = [Callout("warning", text, "Look at this first") for text in evidence.warnings]
    regimes = [_regime_table(facts)] if len(facts["regimes"]) > 1 else []
    return Section(common.title, [*warnings, KeyValues(_facts(facts)), *regimes, *common.blocks])


def _facts(facts: Mapping[str, Any]) -> dict[str, Value]:
    unit, running = facts["time_unit"], facts["lives"] - facts["failed_lives"]
    published = facts["published_ends"]
    ends = f"{facts['failed_lives']} failed, {running} still running when their record ends"
    if published:
        ends += f" (of {published} of them the remaining life was published)"
    shown: dict[str, Value] = {
        "Machines": facts["machines"],
        "Lives": f"{show(facts['lives'])}: {ends}",
        "Readings": facts["readings"],
    }
    if facts["length"]:
        least, low, middle, high, most = (show(value) for value in facts["length"])
        shown["Life until failure"] = (
            f"{least} to {most} {unit}, half of them {low} to {high}, median {middle}"
        )
    shown |= {
        "Sensors": f"{facts['sensors']}, settings {len(facts['settings'])}",
        "Step of the grid": f"{show(facts['step'])} {unit}",
        "Missing readings": f"{facts['missing_share']:.1%} of values; carried forward for at most "
        f"{show(facts['max_gap_steps'])} steps",
        "Longer gaps": f"{facts['gaps']}, after each of which windows begin anew",
        "Operating regimes": len(facts["regimes"]),
    }
    return shown


def _regime_table(facts: Mapping[str, Any]) -> Table:
    columns: list[Column | str] = ["Regime", Column("Readings", number=True)]
    columns += [Column(name, number=True) for name in facts["settings"]]
    rows: list[list[Value]] = [
        [f"{number}", regime["readings"], *(regime["settings"][name] for name in facts["settings"])]
        for number, regime in enumerate(facts["regimes"], start=1)
    ]
    note = "Found on training machines alone; every sensor is scaled within the regime that it was read in."
    return Table(columns, rows, "Operating regimes: the middle of each", [note])
