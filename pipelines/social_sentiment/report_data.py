"""The part of the report about data: how many posts of which label are in which part."""

from collections.abc import Mapping
from typing import Any

from pipelines.social_sentiment.evidence import EvidenceDocuments
from pipelines.social_sentiment.wording import share
from shared.publishing.blocks import Column, Section, Table, Value
from shared.publishing.standard import data_section

_PARTS = {"train": "Training", "calibration": "Calibration", "test": "Test"}


def posts_data_section(evidence: EvidenceDocuments) -> Section:
    """Division, leak audit, notes and quarantine, with the posts of each part."""
    common = data_section(
        split=evidence.split,
        audit=evidence.audit,
        notes=evidence.notes,
        quarantine=evidence.quarantine,
    )
    return Section(common.title, [_parts_table(evidence.posts), *common.blocks])


def _parts_table(facts: Mapping[str, Any]) -> Table:
    parts = {title: facts["parts"][name] for name, title in _PARTS.items()}
    rows: list[list[Value]] = [
        [
            title,
            part["posts"],
            part["groups"],
            part["authors"] or None,
            part["weak"],
            _period(part),
            *(share(part["labels"][label] / max(1, part["posts"]), 0) for label in facts["labels"]),
        ]
        for title, part in parts.items()
    ]
    columns: list[Column | str] = [
        "Part",
        Column("Posts", number=True),
        Column("Say different things", number=True),
        Column("Authors", number=True),
        Column("Weak labels\nof emoji", number=True),
        "Posted",
        *(Column(f"Share\n{label}", number=True) for label in facts["labels"]),
    ]
    return Table(columns, rows, "Posts of each part")


def _period(part: Mapping[str, Any]) -> str | None:
    return None if part["first"] is None else f"{part['first'][:10]} to {part['last'][:10]}"
