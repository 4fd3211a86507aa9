"""The part of the report that says why: what a recommendation rests on, checked, and what would change it."""

from collections.abc import Mapping
from typing import Any

from pipelines.recommender.evidence import EvidenceDocuments
from pipelines.recommender.score import Scorer
from shared.publishing import explanation_figures
from shared.publishing.blocks import (
    Block,
    Callout,
    Column,
    Details,
    Figure,
    Paragraph,
    Section,
    Table,
    interval,
    show,
)


def explanation_section(scorer: Scorer, evidence: EvidenceDocuments) -> Section:
    """Method, checks, the truth where it is known, examples, and what happens without an item."""
    document = evidence.explanation
    if scorer.kind == "popularity":
        text = (
            "Popularity shows everybody the same order, so no item of a history speaks for or against anything: every "
            "recommendation rests on how many users had the item. There is nothing to check."
        )
        return Section("Explanations", [Paragraph(text)])
    attribution = document["attribution"]
    blocks: list[Block] = [
        Paragraph(
            f"Explained is the {attribution['target']} to each of {attribution['rows']:,} test users, as a sum over "
            f"the items of the user's history. Method: {attribution['method']}. Counted from: "
            f"{attribution['baseline']}."
        ),
        Callout(
            "good" if attribution["faithful"] else "bad",
            attribution["warning"] or checks_text(attribution),
            "Checks passed" if attribution["faithful"] else "Checks failed",
        ),
    ]
    if document["truth"]:
        blocks.append(Paragraph(truth_text(document["truth"])))
    examples = [_example(example) for example in document["examples"]]
    blocks += examples[:1]
    if examples[1:]:
        blocks.append(Details("More users", examples[1:]))
    return Section("Explanations", [*blocks, *_counterfactual_blocks(document["counterfactuals"])])


def checks_text(attribution: Mapping[str, Any]) -> str:
    """What was checked and how it came out, in one sentence."""
    checks = attribution["faithfulness"]
    removed, kept = (
        f"by {show(checks[name]['value'], 3)} ({interval(checks[name])})"
        for name in ("deletion_gain", "insertion_gain")
    )
    return (
        f"Contributions add up to the score within {attribution['completeness_error']:.1e}. When items are taken out "
        f"of the history and the user is folded in again, strongest items first, the score falls faster than in a "
        f"random order {removed} on average; with the strongest kept first it comes back faster {kept}."
    )


def truth_text(truth: Mapping[str, float]) -> str:
    """On the generator: whether reasons name items that are truly alike."""
    return (
        f"On the generator the truth is known. The item that is named first as the reason is truly more like the "
        f"recommended one than {truth['less_alike_share']:.0%} of the user's other items (50% by chance), and for "
        f"{truth['most_alike']:.0%} of {truth['users']:,.0f} users none is more alike."
    )


def _example(example: Mapping[str, Any]) -> Figure:
    names = [name for name, _ in example["contributions"]]
    values = [value for _, value in example["contributions"]]
    what = f"{example['item']} for user {example['user_id']}"
    caption = f"Why {what}: what each item of the history adds to its score."
    if max(values, default=0.0) <= 0:
        caption += " None speaks for it, so the reason given is that it is popular."
    return Figure(
        explanation_figures.contribution_bars(names, values, unit="score"),
        caption,
        f"Contributions to {what}",
    )


def _counterfactual_blocks(found: Mapping[str, Any]) -> list[Block]:
    if not found["users"]:
        return []
    text = (
        "What if the user had not had it? Without the item that speaks most for it, the recommendation falls behind "
        f"for {found['share_that_falls']:.0%} of {found['users']:,} users; its median place is then "
        f"{show(found['median_rank_after'])}. Places are among the unseen items, of the user folded in both times."
    )
    rows = [
        [change["user_id"], change["item"], change["without"], change["rank_before"], change["rank_after"]]
        for change in found["examples"]
    ]
    columns: list[Column | str] = [
        "User",
        "Recommended",
        "Without",
        Column("Place before", number=True),
        Column("Place after", number=True),
    ]
    return [Paragraph(text), Table(columns, rows, "The first item of three users without its first reason")]
