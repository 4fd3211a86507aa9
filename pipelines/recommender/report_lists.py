"""The part of the report about what users get to see: how much of the catalogue, and who is served how well."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from pipelines.recommender.evaluate import HEADLINE
from pipelines.recommender.evidence import EvidenceDocuments
from pipelines.recommender.rankers import TITLES
from pipelines.recommender.report_models import by_result, cell, on_test, value_text
from pipelines.recommender.score import Scorer
from shared.publishing.blocks import Block, Column, Paragraph, Section, Table, Value, interval

_GROUPS = {
    "fewest": "The third with the fewest items",
    "middle": "The third between them",
    "most": "The third with the most items",
}


def lists_section(scorer: Scorer, evidence: EvidenceDocuments) -> Section:
    """Coverage, concentration, groups of users, what nobody could recommend, and how new users fare."""
    tail = scorer.config.evaluation.tail_share
    blocks: list[Block] = [
        Paragraph(
            "Lists of ten for all test users together, which describe and do not judge. Coverage is the share of the "
            "items that stand in at least one list. Gini is 0 when all items are shown equally often and near 1 when "
            f"a few take everything. The long tail is the least popular items with {tail:.0%} of the test users' past "
            f"interactions between them: lists that followed what was taken would have {tail:.0%} of it."
        ),
        _lists_table(evidence),
        activity_table(evidence),
        Paragraph(_unreachable_text(evidence.evaluation["unreachable"])),
        Paragraph(fold_in_text(evidence)),
    ]
    return Section("Who and what is served", blocks)


def _lists_table(evidence: EvidenceDocuments) -> Table:
    rows: list[list[Value]] = [
        [
            TITLES[kind],
            cell(on_test(evidence, kind, HEADLINE)),
            f"{found['coverage']:.1%}",
            found["gini"],
            f"{found['tail_share']:.1%}",
        ]
        for kind in by_result(evidence)
        for found in [evidence.evaluation["lists"][kind]]
    ]
    columns: list[Column | str] = [
        "Model",
        Column("NDCG@20", number=True),
        Column("Coverage", number=True),
        Column("Gini", number=True, digits=2),
        Column("Long tail", number=True),
    ]
    return Table(columns, rows, "What the lists of ten show", emphasis=(0,))


def _unreachable_text(share: float) -> str:
    if not share:
        return "Every item of the test part was known before, by an interaction or by its attributes."
    return (
        f"{share:.1%} of the test interactions are with items that had neither an interaction before the test part nor "
        "attributes. Nobody could recommend them; they count as missed."
    )


def activity_table(evidence: EvidenceDocuments) -> Table:
    """NDCG@20 of the served model for users who had few, some and many items before."""
    rows: list[list[Value]] = [
        [
            _GROUPS[group["group"]],
            f"{group['items'][0]:,} to {group['items'][1]:,}",
            group[HEADLINE]["n"],
            group[HEADLINE]["value"],
            interval(group[HEADLINE]) or None,
        ]
        for group in evidence.evaluation["users"]
    ]
    columns: list[Column | str] = [
        "Users",
        Column("Items before", number=True),
        Column("Test users", number=True),
        Column("NDCG@20", number=True, digits=3),
        Column("95 % interval", number=True),
    ]
    title = TITLES[evidence.evaluation["served"]]
    caption = f"{title} for users by how much they had before the test part"
    return Table(columns, rows, caption, _ties(evidence.evaluation["users"]))


def _ties(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader must know where users with equally many items are in different thirds."""
    edges = [group["items"] for group in groups]
    if len({edge for pair in edges for edge in pair}) == 1:
        return ["All users had equally many items: the thirds differ by chance alone."]
    if any(before[1] == after[0] for before, after in pairwise(edges)):
        return [
            "Thirds share an edge where users had equally many items; who of them is in which is arbitrary."
        ]
    return []


def fold_in_text(evidence: EvidenceDocuments) -> str:
    """What a new user loses against one who was there in training."""
    found = evidence.evaluation["fold_in"]
    difference = found["difference"]
    opening = (
        f"A user who comes after training is folded in from his history. {found['users']:,} test users, treated as "
        f"such, get an NDCG@20 of {value_text(found['folded_in'])} instead of {value_text(found['trained'])}"
    )
    if not difference["difference"] and difference["low"] == difference["high"]:
        return f"{opening}: nothing is lost."
    outside = "outside" if difference["outside_noise"] else "within"
    size = f"{difference['difference']:.3f}".replace("-", "−")
    return f"{opening}: a difference of {size} ({interval(difference)}), {outside} noise."
