"""The report of a run: for the one who decides what is shown, and for the one who built it."""

from collections.abc import Mapping
from typing import Any

from pipelines.recommender.evidence import LIMITS, QUESTION, EvidenceDocuments
from pipelines.recommender.model_card import OUT_OF_SCOPE
from pipelines.recommender.rankers import TITLES
from pipelines.recommender.report_choice import choice_section
from pipelines.recommender.report_explanation import explanation_section
from pipelines.recommender.report_lists import lists_section
from pipelines.recommender.report_models import (
    by_result,
    one_item_each,
    sampled_section,
    value_text,
    worth_section,
)
from pipelines.recommender.score import Scorer
from shared.publishing.blocks import Block, KeyValues, Kind, Paragraph, Report, Section
from shared.publishing.report import render
from shared.publishing.standard import data_section, limits_section, results_section, run_section
from shared.publishing.summary import RunSummary

# The first two are drawn: ten models in six panels would fill the page.
METRICS = {
    "test/ndcg_at_20": "NDCG@20",
    "test/recall_at_20": "Recall@20",
    "test/hit_rate_at_10": "Hit rate@10",
    "test/ndcg_at_10": "NDCG@10",
    "test/recall_at_10": "Recall@10",
    "test/hit_rate_at_20": "Hit rate@20",
}
_NUM_DRAWN = 2
_FACTS = {
    "training_after_first_test": "Training interactions later than the first test interaction",
    "unknown_test_users": "Test users without a training interaction",
    "unknown_test_items": "Test items without a training interaction",
    "cold_test_interactions": "Test interactions with such items",
}


def run_report(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The evaluation report as one self-contained HTML page."""
    sections = [
        _results_section(scorer, summary, evidence),
        worth_section(evidence),
        choice_section(evidence),
        sampled_section(evidence),
        lists_section(scorer, evidence),
        explanation_section(scorer, evidence),
        _data_section(evidence),
        _run_section(summary, evidence),
        limits_section(LIMITS, OUT_OF_SCOPE),
    ]
    return render(
        Report(
            title="Recommender: evaluation report",
            subtitle=QUESTION,
            sections=sections,
            facts={
                "Data": summary.source,
                "Preset": summary.preset,
                "Contract": summary.contract,
                "Served": TITLES[scorer.kind],
                "Users": len(scorer.catalogue.users),
                "Items": len(scorer.catalogue.items),
            },
        )
    )


def _results_section(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> Section:
    kinds: dict[str, Kind] = {"yes": "good", "within noise": "neutral", "no": "warning"}
    notes = [
        f"For each of {len(evidence.users):,} test users every model ranks all {scorer.catalogue.num_warm:,} items "
        "that somebody had before the test part, without those that the user had. Intervals: bootstrap over users."
    ]
    cold = len(scorer.catalogue.items) - scorer.catalogue.num_warm
    if cold and "hybrid" in evidence.selection:
        notes.append(f"The hybrid also ranks {cold:,} items that are known by their attributes alone.")
    if one_item_each(evidence):
        notes.append("Each test user has one item to find, so recall is the hit rate.")
    section = results_section(
        summary,
        METRICS,
        model_title=f"{TITLES[scorer.kind]} (served)",
        verdict_kind=kinds[evidence.evaluation["verdict"]["beats"]]
        if evidence.evaluation["network"]
        else "neutral",
        notes=notes,
        others="other model",
        other_titles={kind: TITLES[kind] for kind in by_result(evidence)},
        num_drawn=_NUM_DRAWN,
    )
    return Section(section.title, [*section.blocks, *_oracle(evidence)])


def _oracle(evidence: EvidenceDocuments) -> list[Block]:
    truth: Mapping[str, Any] | None = evidence.evaluation.get("truth")
    if truth is None:
        return []
    best = truth["ndcg_at_20"]
    served = evidence.evaluation["metrics"][evidence.evaluation["served"]]["test/ndcg_at_20"]
    share = (
        f" The served model reaches {served['value'] / best['value']:.0%} of that." if best["value"] else ""
    )
    return [
        Paragraph(
            "What could be had at best: these data are generated, so the chance of every choice is known. Ranking by "
            f"it gives an NDCG@20 of {value_text(best)} on the same users.{share}"
        )
    ]


def _data_section(evidence: EvidenceDocuments) -> Section:
    audit = evidence.audit
    section = data_section(
        split=evidence.split,
        audit=audit,
        notes=evidence.notes,
        quarantine=evidence.quarantine,
    )
    facts = {title: f"{audit['facts'][name]:.1%}" for name, title in _FACTS.items() if name in audit["facts"]}
    blocks: list[Block] = [*section.blocks, KeyValues(facts)]
    if audit["facts"].get("training_after_first_test") and "time_order" in audit["checks"]:
        blocks.append(
            Paragraph(
                "Leaving out the last items of each user keeps the order of time within a user, not between users: "
                "the models have seen what others took while the tested users were still choosing. That flatters all "
                "models alike. With protocol.split=global_time they learn from the time before the test alone."
            )
        )
    return Section(section.title, blocks)


def _run_section(summary: RunSummary, evidence: EvidenceDocuments) -> Section:
    network = evidence.evaluation["network"]
    if network is None:
        note = "Training seconds are of all models together, their trials included. No network was trained."
    else:
        note = (
            f"Epochs and samples per second are of {TITLES[network]}, the best network; training seconds are of all "
            "models together, their trials included. A positive item and its negatives are that many samples."
        )
    section = run_section(summary)
    return Section(section.title, [*section.blocks, Paragraph(note)])
