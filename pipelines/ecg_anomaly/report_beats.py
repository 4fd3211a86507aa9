"""The parts of the report that show beats: strips of recordings, beats found, missed and flagged in vain, and why."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from pipelines.ecg_anomaly.evaluate import ABNORMAL, NORMAL
from pipelines.ecg_anomaly.evidence import EvidenceDocuments
from pipelines.ecg_anomaly.explain import DIFFERENCE_ALONE, GRAD_CAM, HEAT
from pipelines.ecg_anomaly.explainer import RHYTHM
from pipelines.ecg_anomaly.figures import pieces_by_class
from pipelines.ecg_anomaly.traces import STRIP_S, beat_panels, strip
from pipelines.ecg_anomaly.wording import CLASS_TITLES, beat_sentence, moment, share
from shared.publishing.blocks import (
    Block,
    Bullets,
    Callout,
    Column,
    Details,
    Figure,
    Kind,
    Section,
    Table,
    Value,
    estimate,
    interval,
    show,
)

_GALLERIES = {
    "found": "Abnormal beats that are flagged",
    "missed": "Abnormal beats that are missed",
    "false_alarms": "False alarms: normal beats that are flagged",
}
_OTHERS = {
    HEAT: "Heat (surprise of the autoencoder)",
    GRAD_CAM: "Grad-CAM",
    DIFFERENCE_ALONE: "Difference from the usual beat alone",
}
_POOR = 0.5
_MOST = 0.4


def beats_section(evidence: EvidenceDocuments) -> Section:
    """Ten seconds of recordings, then single beats beside the usual beat of their patient."""
    strips = [
        Figure(
            figure,
            f"{record}, {evidence.recordings.leads[at]}, from {moment(start)}: {words}",
            words,
            wide=True,
        )
        for at, record, start, words, figure in _strips(evidence)
    ]
    blocks: list[Block] = [*strips[:1]]
    blocks += [Details(one.alt, [one]) for one in strips[1:]]
    document = evidence.explanation
    for name, title in _GALLERIES.items():
        examples = document["examples"][name]
        if examples:
            figure = beat_panels(examples, document["rate_hz"], document["before"], document["segment"])
            caption = (
                f"{title}. Grey: the usual beat of the patient, the median of the beats before. Orange under the "
                "trace: where the autoencoder is surprised. Below: what each piece adds to the score (orange) or takes "
                "from it (blue) by integrated gradients, and Grad-CAM. Squares of 0.04 s and 0.1 mV."
            )
            blocks.append(Figure(figure, caption, title, wide=True))
            blocks.append(Bullets([f"{beat_sentence(example)}." for example in examples]))
    return Section("Which beats, and where in them", blocks)


def _strips(evidence: EvidenceDocuments) -> list[tuple[int, str, float, str, str]]:
    """Where most abnormal beats are found, where most are missed, and where most normal ones are flagged."""
    is_abnormal = pl.col("beat_class").is_in(ABNORMAL)
    wanted = {
        "Ten seconds with abnormal beats that are flagged": is_abnormal & pl.col("flagged"),
        "Ten seconds with abnormal beats that are missed": is_abnormal & ~pl.col("flagged"),
        "Ten seconds with false alarms": (pl.col("beat_class") == NORMAL) & pl.col("flagged"),
    }
    recordings, found = evidence.recordings, []
    for words, chosen in wanted.items():
        place = _fullest(evidence.beats, chosen)
        if place is not None:
            record, start = place
            at = recordings.names.index(record)
            own = evidence.beats.filter(pl.col("record") == record)
            figure = strip(recordings.signal_of(at), recordings.rate_hz, start, own)
            found.append((at, record, start, words, figure))
    return found


def _fullest(beats: pl.DataFrame, chosen: pl.Expr) -> tuple[str, float] | None:
    """The ten seconds of good signal with most such beats, among more others, so that the usual beat is seen."""
    windows = (
        beats.with_columns(start=(pl.col("beat_time") / STRIP_S).floor() * STRIP_S, chosen=chosen)
        .group_by("record", "start")
        .agg(
            num=pl.col("chosen").sum(), share=pl.col("chosen").mean(), quality=pl.col("signal_quality").min()
        )
        .filter(pl.col("num") > 0, pl.col("share") <= _MOST)
        .sort(pl.col("quality") >= _POOR, "num", "record", "start", descending=[True, True, False, False])
    )
    return None if windows.is_empty() else (str(windows["record"][0]), float(windows["start"][0]))


def explanation_section(evidence: EvidenceDocuments) -> Section:
    """Checks of the explanations, and what pieces of a beat do on average."""
    document = evidence.explanation
    attribution = document["attribution"]
    kind: Kind = "good" if attribution["faithful"] else "warning"
    blocks: list[Block] = [
        Callout(kind, attribution["warning"] or checks_text(document), "How far the explanations hold"),
        _checks_table(document),
    ]
    if document["truth"]:
        blocks.append(_truth_table(document["truth"]))
    blocks.append(
        Figure(
            pieces_by_class(evidence.explained),
            f"What each piece of a beat adds to its score, mean over the {attribution['rows']} beats that were "
            "checked: half of them flagged, half not.",
            "Mean contribution of each piece of a beat, by class",
            wide=True,
        )
    )
    return Section("Why a beat is flagged", blocks)


def checks_text(document: Mapping[str, Any]) -> str:
    """The outcome of all checks in words."""
    attribution, checks = document["attribution"], document["attribution"]["faithfulness"]
    gain = checks["deletion_gain"]
    text = (
        f"The {attribution['method']} from {attribution['baseline']}, and the rhythm, sum to how far the score lies "
        f"above that of the usual beat, up to {show(attribution['completeness_mean'], 2)} on average; putting the "
        f"usual beat in place of the strongest pieces first lowers the score by {show(gain['value'], 2)} more than a "
        f"random order ({show(gain['low'], 2)} to {show(gain['high'], 2)}). Networks of random weights rank the pieces "
        f"of a beat alike, with a correlation of {show(document['likeness_to_random'], 2)}: what is far from the usual "
        "beat surprises any network. What training adds is how far the heat lies above the last row of the table."
    )
    if not document["others"][GRAD_CAM]["passed"]:
        text += " Grad-CAM fails its check: it says what the encoder looks at, not what makes the score."
    return text


def _checks_table(document: Mapping[str, Any]) -> Table:
    rows: list[list[Value]] = []
    found = {"Integrated gradients and rhythm": document["attribution"]["faithfulness"]}
    found |= {
        title: document["others"][name] for name, title in _OTHERS.items() if name in document["others"]
    }
    for title, checks in found.items():
        gains = [checks[name] for name in ("deletion_gain", "insertion_gain")]
        rows.append(
            [
                title,
                *(f"{estimate(gain)}\n{interval(gain)}" for gain in gains),
                "pass" if checks["passed"] else "warning",
            ]
        )
    columns: list[Column | str] = [
        "Explanation",
        Column("Strongest first\nscore lost beyond a random order", number=True),
        Column("Weakest first\nscore kept beyond a random order", number=True),
        "Check",
    ]
    note = (
        f"Pieces of {document['segment']} samples are replaced by those of the usual beat, on "
        f"{document['attribution']['rows']} test beats. Only the first row also removes the rhythm, so it has more to "
        "gain than the others. A pass: both intervals lie above 0."
    )
    return Table(columns, rows, "Removing pieces of beats", [note])


def _truth_table(truth: Mapping[str, Any]) -> Table:
    rows: list[list[Value]] = [
        [
            CLASS_TITLES[kind],
            facts["beats"],
            share(facts["stretch"], 0),
            *(f"{share(facts[name]['share'], 0)}\n{_gain(facts[name])}" for name in (HEAT, "gradients")),
        ]
        for kind, facts in truth["stretches"].items()
    ]
    columns: list[Column | str] = [
        "Class",
        Column("Beats", number=True),
        Column("Stretch that differs\nof the beat", number=True),
        Column("Heat inside\nbeyond that", number=True),
        Column("Gradients inside\nbeyond that", number=True),
    ]
    rhythm = truth[RHYTHM]
    note = (
        f"The generator knows where its abnormal beats differ. Of what raises the score, the rhythm has "
        f"{share(rhythm['rhythm_only']['share'], 0)} in the {rhythm['rhythm_only']['beats']} beats that differ in "
        f"rhythm alone and {share(rhythm['in_time']['share'], 0)} in the {rhythm['in_time']['beats']} that come in "
        "time."
    )
    return Table(columns, rows, "Against the truth of the generator", [note])


def _gain(found: Mapping[str, Any]) -> str:
    ends = [np.round(100 * found[name]) for name in ("gain", "low", "high")]
    return f"{ends[0]:+.0f} points, {ends[1]:+.0f} to {ends[2]:+.0f}".replace("-", "−")
