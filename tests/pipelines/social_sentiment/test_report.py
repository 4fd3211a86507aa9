"""The report: every part is there, hostile posts stay text, and no author is named."""

import re
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from pipelines.social_sentiment.audit import audit_division
from pipelines.social_sentiment.evaluate import evaluation_document
from pipelines.social_sentiment.evidence import EvidenceDocuments, first_summary
from pipelines.social_sentiment.explain import explain_test
from pipelines.social_sentiment.facts import facts_of
from pipelines.social_sentiment.report import run_report
from pipelines.social_sentiment.report_labels import abstention_section, labels_section
from pipelines.social_sentiment.report_trend import trend_section
from pipelines.social_sentiment.report_words import posts_section, trust_section
from pipelines.social_sentiment.trend import trend_of_test
from shared.publishing.blocks import Report, Section
from shared.publishing.plain import plain
from shared.publishing.report import render

EVIL = "<script>alert(1)</script> <img src=x onerror=alert(1)> $x$ 😍"
_SECTIONS = (
    "Results",
    "What posts say, and how it changes",
    "Which posts and words decide it",
    "How far deciding words can be trusted",
    "Which labels are taken for which",
    "How far probabilities can be believed",
    "What to leave to a human",
    "Data",
    "Training",
    "Run",
    "Limits and misuse",
)
_RECORD = {
    "history": [{"epoch": 0, "train_loss": 1.1}, {"epoch": 1, "train_loss": 0.9}],
    "epochs": 2,
    "seconds": 1.0,
    "samples_per_second": 1000.0,
    "tokens_per_second": 20_000.0,
    "padding_share": 0.04,
    "vocabulary": 500,
    "num_parameters": 1000,
    "device": "cpu",
    "precision": "fp32",
    "tier": "eager",
    "tier_reason": "asked for",
}


@pytest.fixture(scope="module")
def evidence(world) -> EvidenceDocuments:
    table, scorer = world.table, world.scorer
    document = evaluation_document(table, scorer.labels, scorer.calibration.prior, world.config)
    explanation, explained = explain_test(scorer, world.test, table, world.posts.made)
    trend, shares = trend_of_test(scorer, world.test, table, world.posts.made)
    audit = audit_division(world.posts, world.division, world.config.protocol)
    return EvidenceDocuments(
        evaluation=plain(document),
        explanation=plain(explanation),
        training=_RECORD,
        calibration=scorer.calibration.summary(),
        posts=plain(facts_of(world.posts, world.division)),
        trend=plain(trend),
        table=table,
        explained=explained,
        shares=shares,
        quarantine=None,
        notes=("A note.",),
        split="By time",
        audit=audit.to_json(),
    )


@pytest.fixture(scope="module")
def page(world, evidence) -> str:
    return page_of(world, evidence)


def page_of(world: Any, evidence: EvidenceDocuments) -> str:
    summary = first_summary("synthetic", "social_posts@1.0.0", {"in": 800}, evidence, world.config)
    return run_report(world.config, summary, evidence)


def text_of(section: Section) -> str:
    return render(Report("Title", "Subtitle", [section]))


def test_every_section_is_there_in_the_order_of_the_question(page):
    found = re.findall(r'<h2 id="[^"]*"><span class="counter">\d+</span> ([^<]*)</h2>', page)
    assert tuple(found) == _SECTIONS


def test_nothing_is_missing_or_unfinished_in_the_text(page):
    assert not re.search(r"\b(nan|None|inf)\b", re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL))
    assert "Not drawn" not in page


def test_no_author_is_in_the_report(page, world):
    authors = world.posts.frame["author"].drop_nulls().unique().to_list()
    assert authors
    assert not [author for author in authors if author in page]
    assert not re.search(r"@(sam|kim|lee|max|ada|joe)\d", page)


def test_hostile_posts_labels_and_topics_stay_text(world, evidence):
    examples = {
        name: [
            post | {"text": EVIL, "spans": [[0, 8], [9, 17]], "contributions": [1.0, -0.5]} for post in posts
        ]
        for name, posts in evidence.explanation["examples"].items()
    }
    words = {label: [{"word": EVIL, "count": 3, "mean": 1.0}] for label in world.scorer.labels}
    hostile = replace(
        evidence,
        explanation={**evidence.explanation, "examples": examples, "words": words},
        shares=evidence.shares.with_columns(
            pl.when(pl.col("topic").is_not_null()).then(pl.lit(EVIL)).alias("topic")
        ),
        notes=(EVIL,),
    )
    page = page_of(world, hostile)
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "<img" not in page


def test_shares_stand_beside_what_people_said_and_beside_the_truth(evidence):
    text = text_of(trend_section(evidence))
    assert "All test posts together" in text
    assert "beside the truth of the generator" in text
    unknown = replace(
        evidence, trend={**evidence.trend, "by_day": None, "by_topic": None}, shares=evidence.shares.clear()
    )
    assert "No post of the test has a time" in text_of(trend_section(unknown))


def test_posts_are_marked_and_their_deciding_words_named(evidence):
    text = text_of(posts_section(evidence))
    assert re.search(r'<mark class="for-4">[^<]+</mark>', text)
    for posts in evidence.explanation["examples"].values():
        for post in posts:
            assert f"Given {post['label']}" in text


def test_explanations_that_fail_are_labelled_so(evidence):
    attribution = {
        **evidence.explanation["attribution"],
        "faithful": False,
        "warning": "Not faithful: because.",
    }
    failed = replace(evidence, explanation={**evidence.explanation, "attribution": attribution})
    text = text_of(trust_section(failed))
    assert "Not faithful: because." in text
    assert 'class="callout warning"' in text


def test_explanations_that_were_not_checked_are_not_called_good(evidence):
    attribution = {**evidence.explanation["attribution"], "faithful": None, "faithfulness": None}
    unchecked = {"attribution": attribution, "removal": [], "left_out": None, "truth": None}
    text = text_of(trust_section(replace(evidence, explanation={**evidence.explanation, **unchecked})))
    assert "Not checked" in text
    assert 'class="callout good"' not in text


def test_a_label_without_test_posts_has_no_recall_and_the_report_is_made(evidence):
    unknown = {"value": None, "low": None, "high": None, "n": 0, "higher_is_better": True}
    evaluation = evidence.evaluation
    metrics = {
        model: {**found, "test/recall_neutral": unknown, "test/f1_neutral": unknown}
        for model, found in evaluation["metrics"].items()
    }
    kept = {**evaluation["abstention"], "accuracy_kept": unknown, "macro_recall_kept": unknown}
    lacking = replace(evidence, evaluation={**evaluation, "metrics": metrics, "abstention": kept})
    assert "–" in text_of(labels_section(lacking))
    assert "–" in text_of(abstention_section(lacking))
