"""Report and card of runs that are unlike each other: any model served, no network, odd data."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from html import unescape
from typing import Any

import polars as pl
import pytest

from pipelines.recommender import evaluate as protocol
from pipelines.recommender import explain as explanations
from pipelines.recommender.evidence import EvidenceDocuments, first_summary
from pipelines.recommender.model_card import run_model_card
from pipelines.recommender.rankers import TITLES
from pipelines.recommender.report import run_report
from pipelines.recommender.report_choice import ABOUT, knobs_text
from pipelines.recommender.report_lists import activity_table
from pipelines.recommender.report_models import by_result
from pipelines.recommender.score import Scorer
from shared.publishing.plain import plain
from tests.drawing import empty_figures

Evidence = Callable[..., EvidenceDocuments]
AUDIT = {
    "clean": True,
    "checks": ["repeated_pairs", "time_order"],
    "findings": [],
    "facts": {"training_after_first_test": 0.37, "unknown_test_users": 0.0, "cold_test_interactions": 0.25},
}
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module", autouse=True)
def _empty_figures() -> Iterator[None]:
    """Most tests read what the report says."""
    with empty_figures():
        yield


@pytest.fixture(scope="module")
def part(world: Any) -> protocol.TestPart:
    return protocol.TestPart.of(world.catalogue, world.before, world.test, world.config)


@pytest.fixture(scope="module")
def results(world: Any, part: protocol.TestPart) -> dict[str, protocol.Tested]:
    return {kind: protocol.run_test(world.final[kind], part, world.config) for kind in TITLES}


@pytest.fixture(scope="module")
def evidence_of(world: Any, part: protocol.TestPart, results: dict[str, protocol.Tested]) -> Evidence:
    """`evidence_of("ease")`: everything measured where EASE is served; `kinds` limits the models of the run."""

    def build(served: str, kinds: tuple[str, ...] = tuple(TITLES)) -> EvidenceDocuments:
        tested = {kind: results[kind] for kind in kinds}
        table = protocol.user_table(tested, part, world.catalogue)
        selection = {kind: selected(world.selected[kind]) for kind in kinds}
        document = protocol.evaluation_document(tested, table, part, selection, served, world.config)
        document |= {
            "fold_in": protocol.fold_in_loss(world.final[served], part, world.config),
            "not_trained": {},
            "truth": None,
        }
        scorer = world.scorer(served)
        explained = explanations.checked_explanation(scorer, scorer.audience(world.before.head(270)), seed=0)
        changes = explanations.counterfactuals(scorer, explained)
        explanation = {
            "attribution": explained.attribution.to_json() | {"importance": None},
            "examples": explanations.examples(scorer, explained),
            "counterfactuals": explanations.counterfactual_summary(changes),
            "truth": None,
        }
        return EvidenceDocuments(
            evaluation=plain(document),
            explanation=plain(explanation),
            selection=plain(selection),
            users=table,
            quarantine=None,
            notes=("864 interactions.",),
            split="The last one is for testing.",
            audit=AUDIT,
        )

    return functools.cache(build)


def selected(model: Any) -> dict[str, Any]:
    trials = [trial.to_json() for trial in model.trials]
    return {
        "best": model.best.to_json(),
        "trials": trials,
        "training": dict(model.training),
        "seconds": 0.004,
    }


def with_changes(evidence: EvidenceDocuments, **changes: Any) -> EvidenceDocuments:
    return replace(evidence, evaluation={**evidence.evaluation, **changes})


def page(world: Any, evidence: EvidenceDocuments, scorer: Scorer | None = None) -> str:
    """The text of the report, without its drawings."""
    rows = {"in": 864, "quarantined": 0, "train": 672, "validation": 96, "test": 96}
    scorer = scorer or world.scorer(evidence.evaluation["served"])
    html = run_report(
        scorer, first_summary("own.csv", "interactions@1.0.0", rows, evidence, world.config), evidence
    )
    assert "<script" not in html
    without = re.sub(
        r"<style.*?</style>|<svg.*?</svg>", lambda match: drawn(match.group()), html, flags=re.DOTALL
    )
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without)))


def drawn(svg: str) -> str:
    """What a drawing says when there is nothing to draw; else nothing."""
    return " Not drawn " if "Not drawn" in svg else ""


def card(world: Any, evidence: EvidenceDocuments) -> str:
    scorer = world.scorer(evidence.evaluation["served"])
    summary = first_summary("own.csv", "interactions@1.0.0", {"in": 864}, evidence, world.config)
    return run_model_card(scorer, summary, evidence)


@pytest.mark.usefixtures("drawn_figures")
@pytest.mark.parametrize("served", ["popularity", "ease", "ials", "neumf"])
def test_report_of_any_served_model_has_no_empty_drawing_and_no_raw_number(
    world: Any, evidence_of: Evidence, served: str
) -> None:
    text = page(world, evidence_of(served))
    assert f"{TITLES[served]} (served)" in text
    assert not re.search(r"Not drawn|\bnan\b|None|\d\.\d{6,}|_at_|neumf_scratch", text)


def test_report_without_a_network_asks_nothing_about_networks_and_draws_no_training(
    world: Any, evidence_of: Evidence
) -> None:
    text = page(world, evidence_of("ease", ("popularity", "ease")))
    assert "What the served model gains" in text
    assert "Is a network worth it?" not in text
    assert "Training of each model" not in text
    assert "No network was trained" in text


def test_report_of_popularity_alone_compares_with_nothing(world: Any, evidence_of: Evidence) -> None:
    text = page(world, evidence_of("popularity", ("popularity",)))
    assert "Popularity alone was trained" in text
    assert "Kendall" not in text


def test_models_are_ordered_served_first_then_by_their_result(evidence_of: Evidence) -> None:
    evidence = evidence_of("gmf")
    order = by_result(evidence)
    values = [evidence.evaluation["metrics"][kind]["test/ndcg_at_20"]["value"] for kind in order]
    assert order[0] == "gmf"
    assert sorted(order) == sorted(TITLES)
    assert values[1:] == sorted(values[1:], reverse=True)


@pytest.mark.parametrize(("tau", "warned"), [(0.79, True), (0.8, False), (1.0, False)])
def test_disagreement_of_the_sampled_metric_is_a_warning(
    world: Any, evidence_of: Evidence, tau: float, warned: bool
) -> None:
    evidence = evidence_of("ease")
    sampled = {**evidence.evaluation["sampled"], "order_agreement": tau}
    text = page(world, with_changes(evidence, sampled=sampled))
    assert ("The two tasks order the models differently" in text) == warned
    assert f"{tau:.2f} (1: the same order)" in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("duplicates", "Of 96 users 7 have a negative twice"),
        ("positives", "Of 96 users 7 have an item among the negatives that they took"),
        ("short", "Of 96 users 7 have fewer than 20 negatives"),
    ],
)
def test_every_fault_of_the_sampled_negatives_is_named(
    world: Any, evidence_of: Evidence, name: str, said: str
) -> None:
    evidence = evidence_of("ease")
    sound = {"users": 96, "duplicates": 0, "positives": 0, "short": 0}
    for audit, expected in ((sound, "The sampled negatives are sound"), ({**sound, name: 7}, said)):
        sampled = {**evidence.evaluation["sampled"], "audit": audit}
        assert expected in page(world, with_changes(evidence, sampled=sampled))


def test_model_that_is_served_by_order_and_not_by_validation_is_a_warning(
    world: Any, evidence_of: Evidence
) -> None:
    evidence = evidence_of("ease")
    warning = "EASE is served because serving.model says so"
    best = {
        kind: with_validation(model, 0.1 if kind == "ease" else 0.0)
        for kind, model in evidence.selection.items()
    }
    worst = {
        kind: with_validation(model, 0.0 if kind == "ease" else 0.1)
        for kind, model in evidence.selection.items()
    }
    assert warning not in page(world, replace(evidence, selection=best))
    assert warning in page(world, replace(evidence, selection=worst))


def with_validation(model: Mapping[str, Any], value: float) -> dict[str, Any]:
    return {**model, "best": {**model["best"], "ndcg_at_20": value}}


def test_models_that_did_better_on_the_test_part_are_named(world: Any, evidence_of: Evidence) -> None:
    evidence = evidence_of("popularity", ("popularity", "ease"))
    selection = {kind: with_validation(model, 0.1) for kind, model in evidence.selection.items()}
    assert "EASE did better on the test part. The choice stands" in page(
        world, replace(evidence, selection=selection)
    )


def test_order_of_time_between_users_is_explained_only_where_it_is_kept_within_them(
    world: Any, evidence_of: Evidence
) -> None:
    evidence = evidence_of("ease")
    said = "keeps the order of time within a user, not between users"
    text = page(world, evidence)
    assert said in text
    assert "37.0%" in text
    given = {**AUDIT, "checks": ["repeated_pairs"]}
    assert said not in page(world, replace(evidence, audit=given))
    without_times = {**AUDIT, "facts": {"unknown_test_users": 0.0}}
    assert said not in page(world, replace(evidence, audit=without_times))


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.0, "Every item of the test part was known before"),
        (0.125, "12.5% of the test interactions are with items"),
    ],
    ids=["none", "some"],
)
def test_what_nobody_could_recommend_is_said(
    world: Any, evidence_of: Evidence, share: float, said: str
) -> None:
    assert said in page(world, with_changes(evidence_of("ease"), unreachable=share))


@pytest.mark.parametrize(
    ("edges", "said"),
    [
        ([(7, 7), (7, 7), (7, 7)], "All users had equally many items: the thirds differ by chance alone."),
        ([(2, 5), (5, 9), (10, 12)], "Thirds share an edge"),
        ([(2, 4), (5, 9), (10, 12)], ""),
    ],
    ids=["all equal", "an edge shared", "apart"],
)
def test_thirds_of_users_that_are_not_apart_say_so(
    evidence_of: Evidence, edges: list[tuple[int, int]], said: str
) -> None:
    evidence = evidence_of("ease")
    users = [
        {**group, "items": pair} for group, pair in zip(evidence.evaluation["users"], edges, strict=True)
    ]
    notes = activity_table(with_changes(evidence, users=users)).notes
    assert len(notes) == bool(said)
    assert "".join(notes).startswith(said)


def test_models_that_could_not_be_trained_are_named_with_the_reason(
    world: Any, evidence_of: Evidence
) -> None:
    evidence = with_changes(evidence_of("ease"), not_trained={"hybrid": "there are no attributes"})
    assert "Hybrid NeuMF was not trained: there are no attributes." in page(world, evidence)


def test_report_and_card_say_when_the_explanations_failed(world: Any, evidence_of: Evidence) -> None:
    evidence = evidence_of("ease")
    failed = {**evidence.explanation["attribution"], "faithful": False, "warning": "Not faithful: no gain."}
    evidence = replace(evidence, explanation={**evidence.explanation, "attribution": failed})
    text = page(world, evidence)
    assert "Checks failed Not faithful: no gain." in text
    assert "Checks passed" not in text
    assert "did NOT pass" in card(world, evidence)


def test_truth_of_the_generator_is_reported_where_there_is_one(world: Any, evidence_of: Evidence) -> None:
    evidence = evidence_of("ease")
    assert "On the generator" not in page(world, evidence)
    best = {"value": 0.5, "low": 0.4, "high": 0.6, "higher_is_better": True, "n": 96, "unit": ""}
    truth = {"less_alike_share": 0.81, "most_alike": 0.24, "users": 96.0}
    known = replace(
        with_changes(evidence, truth={"ndcg_at_20": best}),
        explanation={**evidence.explanation, "truth": truth},
    )
    text = page(world, known)
    assert "more like the recommended one than 81%" in text
    assert "gives an NDCG@20 of 0.500 (0.400 to 0.600)" in text


@pytest.mark.usefixtures("drawn_figures")
def test_titles_and_ids_from_outside_stay_text(world: Any, evidence_of: Evidence) -> None:
    evidence = evidence_of("ease")
    example = {
        "user_id": EVIL,
        "item": EVIL * 9,
        "contributions": [[f"{EVIL} $x$ {EVIL}", 1.0], [EVIL, -0.5]],
    }
    change = {"user_id": EVIL, "item": EVIL, "without": EVIL, "rank_before": 1, "rank_after": 4}
    found = {**evidence.explanation["counterfactuals"], "examples": [change]}
    hostile = {**evidence.explanation, "examples": [example], "counterfactuals": found}
    assert f"Why {EVIL * 9} for user {EVIL}" in page(world, replace(evidence, explanation=hostile))


def test_reasons_that_all_speak_against_an_item_are_not_called_reasons(
    world: Any, evidence_of: Evidence
) -> None:
    evidence = evidence_of("ease")
    example = {"user_id": "u1", "item": "A", "contributions": [["B", -0.1], ["C", -0.3]]}
    explanation = {**evidence.explanation, "examples": [example]}
    assert "None speaks for it" in page(world, replace(evidence, explanation=explanation))


def test_quarantined_rows_are_shown(world: Any, evidence_of: Evidence) -> None:
    quarantine = pl.DataFrame({"row_number": [17], "broken_rules": ["user_id: required"]})
    assert "17 user_id: required" in page(world, replace(evidence_of("ease"), quarantine=quarantine))


def test_card_names_every_model_by_its_title_and_gives_results_by_activity(
    world: Any, evidence_of: Evidence
) -> None:
    text = card(world, evidence_of("ease"))
    assert all(f"| {title} |" in text for kind, title in TITLES.items() if kind != "ease")
    assert "The third with the fewest items" in text
    assert not re.search(r"Neumf|\bnan\b|\d\.\d{6,}", text)


def test_every_kind_of_model_is_described() -> None:
    assert list(ABOUT) == list(TITLES)


def test_knobs_are_written_for_readers() -> None:
    assert (
        knobs_text({"num_neighbours": 50, "target_exponent": 0.25}) == "neighbours 50, target exponent 0.25"
    )
    assert knobs_text({}) is None
