"""The part of the report that compares models: what the served one gains, and what the paper's metric says."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.recommender.evaluate import HEADLINE
from pipelines.recommender.evidence import EvidenceDocuments
from pipelines.recommender.rankers import TITLES
from shared.publishing.blocks import (
    Block,
    Callout,
    Column,
    Figure,
    Paragraph,
    Section,
    Table,
    Value,
    interval,
    show,
)
from shared.publishing.run_figures import difference_forest

# Below, every tenth pair of models or more stands in the other order.
_AGREEMENT_WANTED = 0.8


def by_result(evidence: EvidenceDocuments) -> list[str]:
    """All kinds of model: the served one, then the others from the best NDCG@20 on the test part down."""
    evaluation = evidence.evaluation
    others = [kind for kind in evaluation["metrics"] if kind != evaluation["served"]]
    return [
        evaluation["served"],
        *sorted(others, key=lambda kind: -on_test(evidence, kind, HEADLINE)["value"]),
    ]


def on_test(evidence: EvidenceDocuments, kind: str, metric: str) -> Mapping[str, Any]:
    """A metric of a model on the test part."""
    found: Mapping[str, Any] = evidence.evaluation["metrics"][kind][f"test/{metric}"]
    return found


def one_item_each(evidence: EvidenceDocuments) -> bool:
    """Whether every test user has exactly one item to find."""
    return bool((evidence.users["num_relevant"] == 1).all())


def value_text(metric: Mapping[str, Any]) -> str:
    """A metric with its interval, in running text."""
    between = interval(metric)
    return show(float(metric["value"]), 3) + (f" ({between})" if between else "")


def cell(metric: Mapping[str, Any]) -> str:
    """A metric with its interval below, in a table."""
    between = interval(metric)
    return show(float(metric["value"]), 3) + (f"\n{between}" if between else "")


def worth_section(evidence: EvidenceDocuments) -> Section:
    """What the served model gains over each other one, and what each costs."""
    served, order = evidence.evaluation["served"], by_result(evidence)
    against = evidence.evaluation["against_served"]
    title = "Is a network worth it?" if evidence.evaluation["network"] else "What the served model gains"
    if not against:
        text = f"{TITLES[served]} alone was trained: there is nothing to compare it with."
        return Section(title, [Paragraph(text), _cost_table(evidence, order)])
    drawn = {TITLES[kind]: against[kind] for kind in order[1:]}
    blocks: list[Block] = [
        Paragraph(
            f"Differences are paired: NDCG@20 of {TITLES[served]}, which is served, minus that of another model for "
            "the same users. Right of zero the served model is better; where the interval holds zero, these data do "
            "not tell the two apart."
        ),
        Figure(
            difference_forest(drawn, x=f"NDCG@20 of {TITLES[served]} minus that of the other model"),
            "Paired differences with 95 % intervals, test part; blue where the interval leaves zero out.",
            f"Differences in NDCG@20 between {TITLES[served]} and {', '.join(drawn)}",
            wide=True,
        ),
        *_better_on_test(evidence, order),
        _cost_table(evidence, order),
    ]
    return Section(title, blocks)


def _better_on_test(evidence: EvidenceDocuments, order: Sequence[str]) -> list[Block]:
    served = order[0]
    chosen = all(
        evidence.selection[served]["best"][HEADLINE] >= evidence.selection[kind]["best"][HEADLINE]
        for kind in order
    )
    if not chosen:
        text = f"{TITLES[served]} is served because serving.model says so; it is not the best on validation."
        return [Callout("warning", text)]
    better = [
        kind
        for kind in order[1:]
        if on_test(evidence, kind, HEADLINE)["value"] > on_test(evidence, served, HEADLINE)["value"]
    ]
    if not better:
        return []
    names = " and ".join(", ".join(TITLES[kind] for kind in better).rsplit(", ", 1))
    return [
        Callout(
            "neutral",
            f"{names} did better on the test part. The choice stands: a model that is chosen by its test result has "
            "a test result that is too good.",
        )
    ]


def _cost_table(evidence: EvidenceDocuments, order: Sequence[str]) -> Table:
    num_users, rank_seconds = len(evidence.users), evidence.evaluation["rank_seconds"]
    rows: list[list[Value]] = [
        [
            TITLES[kind],
            evidence.selection[kind]["best"][HEADLINE],
            cell(on_test(evidence, kind, HEADLINE)),
            round(evidence.selection[kind]["seconds"], 2),
            round(1e6 * rank_seconds[kind] / num_users),
        ]
        for kind in order
    ]
    columns: list[Column | str] = [
        "Model",
        Column("NDCG@20, validation", number=True, digits=3),
        Column("NDCG@20, test", number=True),
        Column("Seconds to choose and fit", number=True, digits=2),
        Column("Milliseconds to rank for 1,000 users", number=True),
    ]
    notes = [
        "Knobs and epochs were chosen by the validation part, which flatters its column; for the test the models were "
        "fitted again with it. Seconds include every trial and that last fit."
    ]
    return Table(columns, rows, "What each model gives and costs", notes, emphasis=(0,))


def sampled_section(evidence: EvidenceDocuments) -> Section:
    """The metric of the paper beside the one that this report rests on."""
    sampled, order = evidence.evaluation["sampled"], by_result(evidence)
    num, full, among = sampled["negatives"], "ndcg_at_10", f"ndcg_at_10_sampled{sampled['negatives']}"
    hits = f"hit_rate_at_10_sampled{num}"
    places = {name: _places(evidence, order, name) for name in (full, among)}
    rows: list[list[Value]] = [
        [
            TITLES[kind],
            cell(on_test(evidence, kind, hits)),
            cell(on_test(evidence, kind, among)),
            places[among][kind],
            cell(on_test(evidence, kind, "hit_rate_at_10")),
            cell(on_test(evidence, kind, full)),
            places[full][kind],
        ]
        for kind in order
    ]
    columns: list[Column | str] = ["Model"]
    for task in (f"among {num}", "whole catalogue"):
        columns += [
            Column(f"{name}\n{task}", number=True) for name in ("Hit rate@10", "NDCG@10", "Place by NDCG")
        ]
    blocks: list[Block] = [
        Paragraph(
            f"He et al. (2017) test whether a model finds one item that the user took among {num} that he did not, "
            "drawn at random. That is another and much easier task than finding it in the whole catalogue: the two "
            "kinds of numbers must not be compared with each other, and models need not come in the same order "
            "(Krichene and Rendle 2020). Sampled numbers are here only to be held against published ones."
        ),
        Table(columns, rows, "The same models by two tasks", emphasis=(0,)),
        *_agreement(sampled["order_agreement"]),
        _audit(sampled),
    ]
    return Section("For comparison with the paper", blocks)


def _places(evidence: EvidenceDocuments, order: Sequence[str], metric: str) -> dict[str, int]:
    values = {kind: on_test(evidence, kind, metric)["value"] for kind in order}
    return {kind: 1 + sum(other > value for other in values.values()) for kind, value in values.items()}


def _agreement(tau: float | None) -> list[Block]:
    if tau is None:
        return []
    text = f"Kendall's tau between the two orders of the models by NDCG@10 is {show(tau, 2)} (1: the same order)."
    if tau < _AGREEMENT_WANTED:
        return [
            Callout(
                "warning",
                f"{text} Do not choose a model by the sampled metric: what is served is the whole catalogue.",
                "The two tasks order the models differently",
            )
        ]
    return [Paragraph(text)]


def _audit(sampled: Mapping[str, Any]) -> Callout:
    audit, num = sampled["audit"], sampled["negatives"]
    found = {
        "have a negative twice": audit["duplicates"],
        "have an item among the negatives that they took": audit["positives"],
        f"have fewer than {num} negatives, because there are not so many unseen items, and an easier task": audit[
            "short"
        ],
    }
    parts = [f"{count:,} {what}" for what, count in found.items() if count]
    if not parts:
        text = f"For all {audit['users']:,} users the {num} negatives are distinct, and the user had none of them."
        return Callout("good", text, "The sampled negatives are sound")
    text = f"Of {audit['users']:,} users {'; '.join(parts)}."
    return Callout("warning", text, "The sampled negatives are not what they should be")
