"""The parts of the report about alarms: whether the promise was kept, for whom, and what comes of raw recordings."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.ecg_anomaly.config import EcgConfig
from pipelines.ecg_anomaly.evaluate import ABNORMAL, DETECTOR, NORMAL, SHARES
from pipelines.ecg_anomaly.evidence import EvidenceDocuments
from pipelines.ecg_anomaly.figures import (
    false_alarms_by_record,
    scores_by_class,
    sensitivity_by_false_alarms,
)
from pipelines.ecg_anomaly.predictions import SCORE
from pipelines.ecg_anomaly.report_data import hours_of
from pipelines.ecg_anomaly.wording import CLASS_TITLES, share
from shared.publishing.blocks import (
    Block,
    Column,
    Details,
    Figure,
    Paragraph,
    Section,
    Table,
    Value,
    estimate,
    interval,
    show,
)


def alarms_section(config: EcgConfig, evidence: EvidenceDocuments) -> Section:
    """Promise against truth, over all recordings and for each; what other thresholds would find."""
    known = evidence.beats.filter(pl.col("beat_class").is_in((NORMAL, *ABNORMAL)))
    promised = config.threshold.false_alarms
    classes = Figure(
        sensitivity_by_false_alarms(known, SHARES),
        "Share of each class that is flagged when the threshold lets so many normal beats through. The large dots are "
        "where the threshold lies that was fixed before the test; dashed are 1 and 5 %.",
        "Sensitivity of each class against false alarms",
    )
    scores = Figure(
        scores_by_class(known, _cuts(evidence)),
        "Scores of the test beats. Each fold has thresholds of its own, drawn are their means; the highest scores are "
        "in the last bin.",
        "Scores by class with both thresholds",
        wide=True,
    )
    records = Figure(
        false_alarms_by_record(evidence.evaluation["per_record"], promised),
        "The promise is for the average over patients. Single ones lie far above and below, which no threshold for "
        "everybody can mend; threshold.adapt_minutes judges each patient by how the first minutes score.",
        "False alarms and AUROC of each test recording, worst first",
        wide=True,
    )
    blocks: list[Block] = [
        Paragraph(_promise_text(config, evidence)),
        _rules_table(config, evidence),
        _sensitivity_table(evidence),
        classes,
        records,
        Details("All test recordings in numbers", [_records_table(evidence)]),
        scores,
    ]
    return Section("Can the alarm rate be trusted", blocks)


def _promise_text(config: EcgConfig, evidence: EvidenceDocuments) -> str:
    metric = evidence.evaluation["metrics"][DETECTOR]["test/false_alarm_rate"]
    over = evidence.evaluation["over_records"]["false_alarm_rate"]
    promised = config.threshold.false_alarms
    held = f"{share(metric['value'], 2)} of the normal test beats are flagged"
    if metric["low"] is not None:
        held += f" ({share(metric['low'], 2)} to {share(metric['high'], 2)}, patients drawn anew)"
    text = f"{held}. "
    if config.threshold.rule == "conformal":
        text = f"Promised were {share(promised)} of the normal beats of patients that were never seen. {text}"
    return text + (
        f"In the median recording it is {share(over['median'], 2)}, in the worst {share(over['highest'])}."
    )


def _rules_table(config: EcgConfig, evidence: EvidenceDocuments) -> Table:
    metrics = evidence.evaluation["metrics"][DETECTOR]
    rows: list[list[Value]] = []
    rules = {
        f"{evidence.threshold['title']} (served)": ("test/false_alarm_rate", config.threshold.rule),
        "Mean + 3 standard deviations (textbook)": ("test/false_alarm_rate_textbook", "three_deviations"),
    }
    for title, (name, rule) in rules.items():
        promised = share(config.threshold.false_alarms) if rule == "conformal" else "nothing"
        rows.append([title[:1].upper() + title[1:], promised, _cell(metrics[name])])
    note = (
        "Both are fixed on normal beats of training patients, each scored by a network that had not seen its patient. "
        "The textbook's rate is whatever the skewness of the scores makes it."
    )
    columns: list[Column | str] = ["Threshold", "Promised", Column("Normal test beats flagged", number=True)]
    return Table(columns, rows, "Thresholds, fixed before the test", [note], emphasis=(0,))


def _sensitivity_table(evidence: EvidenceDocuments) -> Table:
    metrics = evidence.evaluation["metrics"][DETECTOR]
    names = {"Flagged\nthreshold fixed before": ""}
    names |= {f"At {share(value, 0)}\nfalse alarms": f"_at_{value:.0%}"[:-1] for value in SHARES}
    rows: list[list[Value]] = [
        [
            CLASS_TITLES[one],
            *(_cell(metrics[f"test/sensitivity_{one.lower()}{end}"]) for end in names.values()),
        ]
        for one in ABNORMAL
    ]
    columns: list[Column | str] = ["Class", *(Column(title, number=True) for title in names)]
    note = (
        "Only the first column is what a user gets: the others take the threshold from the test beats themselves, "
        "and say what the score could do."
    )
    return Table(columns, rows, "Share of abnormal beats that are flagged", [note])


def _records_table(evidence: EvidenceDocuments) -> Table:
    cards = sorted(evidence.evaluation["per_record"], key=lambda card: -(card["false_alarm_rate"] or 0.0))
    columns: list[Column | str] = ["Recording", Column("Quality", number=True, digits=2)]
    columns += [Column(f"{CLASS_TITLES[one]}\nbeats", number=True) for one in (NORMAL, *ABNORMAL)]
    columns += [
        Column("False alarms", number=True),
        Column("AUROC", number=True, digits=3),
        Column("Average precision", number=True, digits=3),
    ]
    rows = [
        [
            card["record"],
            card["quality"],
            *(card["beats"][one] for one in (NORMAL, *ABNORMAL)),
            share(card["false_alarm_rate"], 2),
            card["auroc"],
            card["average_precision"],
        ]
        for card in cards
    ]
    note = "An en dash: too few beats to say."
    return Table(columns, rows, "Most false alarms first", [note])


def _cuts(evidence: EvidenceDocuments) -> dict[str, float]:
    """Mean over the folds of both thresholds; the textbook's lies between the beats that it flags and the others."""
    by_fold = evidence.beats.group_by("fold").agg(
        own=pl.col("threshold").median(),
        below=pl.col(SCORE).filter(~pl.col("flagged_textbook")).max(),
        above=pl.col(SCORE).filter(pl.col("flagged_textbook")).min(),
    )
    textbook = by_fold.select(pl.mean_horizontal("below", "above").mean()).item()
    return {
        evidence.threshold["title"].split(",")[0]: float(by_fold["own"].mean()),  # type: ignore[arg-type]
        "mean + 3 sd": float(textbook),
    }


def end_to_end_section(evidence: EvidenceDocuments) -> Section:
    """What a user gets: a recording of which nobody marked the beats."""
    document = evidence.evaluation["end_to_end"]
    columns: list[Column | str] = [
        "Class",
        Column("Marked", number=True),
        Column("Found", number=True),
        Column("Flagged", number=True),
    ]
    rows: list[list[Value]] = [
        [CLASS_TITLES[one], facts["marked"], share(facts["found"], 2), share(facts["flagged"], 1)]
        for one, facts in document["classes"].items()
    ]
    notes = [
        "A marked beat is found when the peak detector has a beat within 150 ms of it. Shares are of the marked beats: "
        "one that was not found is not flagged.",
        f"{share(document['not_marked'], 2)} of the {show(document['beats'])} beats that were found are near no marked "
        "one.",
    ]
    table = Table(columns, rows, "From the signal alone, test recordings", notes)
    return Section("From recording to alarms", [Paragraph(_alarms_text(evidence)), table])


def _alarms_text(evidence: EvidenceDocuments) -> str:
    found = evidence.found
    hours = hours_of(evidence.recordings, evidence.beats)
    flagged = found.filter("flagged")
    false_alarms = flagged.filter(pl.col("beat_class") == NORMAL).height
    per_record = _alarms_per_hour(evidence)
    return (
        f"On {show(hours, 1)} hours of test recordings {show(flagged.height)} beats are flagged: "
        f"{show(flagged.height / hours, 0)} an hour, {show(false_alarms / hours, 0)} of them on beats marked normal. "
        f"In the median recording that is {show(per_record['median'], 0)} an hour, in the quietest "
        f"{show(per_record['lowest'], 0)}, in the loudest {show(per_record['highest'], 0)}. At 70 beats a minute "
        "1 % false alarms are 42 an hour."
    )


def _alarms_per_hour(evidence: EvidenceDocuments) -> Mapping[str, Any]:
    recordings = evidence.recordings
    hours = pl.DataFrame(
        {
            "record": list(recordings.names),
            "hours": recordings.lengths / recordings.rate_hz / 3600,
        }
    )
    rates = (
        evidence.found.group_by("record")
        .agg(pl.col("flagged").sum())
        .join(hours, on="record")
        .select(pl.col("flagged") / pl.col("hours"))["flagged"]
    )
    return {"median": rates.median(), "lowest": rates.min(), "highest": rates.max()}


def _cell(metric: Mapping[str, Any]) -> str | None:
    if metric["value"] is None:
        return None
    between = interval(metric)
    return estimate(metric) + (f"\n{between}" if between else "")
