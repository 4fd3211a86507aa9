"""The report: every part is there, names from outside stay text, and what was not measured is left out."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.dqn_agent.environments.register import INVENTORY
from pipelines.dqn_agent.evidence import EvidenceDocuments, first_summary
from pipelines.dqn_agent.explain import explain_visited
from pipelines.dqn_agent.film import film_of
from pipelines.dqn_agent.make import Stepper, make_vector
from pipelines.dqn_agent.report import run_report
from pipelines.dqn_agent.report_returns import ablation_sections
from pipelines.dqn_agent.report_why import trust_section
from pipelines.dqn_agent.score import Scorer
from shared.publishing.blocks import Report
from shared.publishing.plain import plain
from shared.publishing.report import render

EVIL = "<script>alert(1)</script> <img src=x onerror=alert(1)> $x$"
_SECTIONS = (
    "Results",
    "How surely it was learnt",
    "Where the difference comes from",
    "What the policy does",
    "Why it acts as it does",
    "How far the reasons can be trusted",
    "The environment",
    "Training",
    "Run",
    "Limits and misuse",
)
_RECORD = {
    "device": "cpu",
    "epochs": 1,
    "seconds": 2.0,
    "steps_per_second": 5000.0,
    "samples_per_second": 5000.0,
    "updates": 100,
    "lived": 10_000,
    "threads": 1,
    "peak_memory_bytes": 1_000_000,
    "resumed_from_step": None,
    "notes": ["Went on after a stop."],
}
RULES = ("random", "order_up_to")


def metric(value: float | None, *, higher: bool = True) -> dict[str, Any]:
    ends = (None, None) if value is None else (value - 1, value + 1)
    return {"value": value, "low": ends[0], "high": ends[1], "unit": "", "higher_is_better": higher, "n": 6}


def metrics_of(card: Any, mean: float) -> dict[str, Any]:
    found = {
        "test/return_iqm": metric(mean),
        "test/return_mean": metric(mean - 1),
        "test/length_mean": metric(200),
    }
    return found | {f"test/cost_{term}_mean": metric(-mean / 4, higher=False) for term in card.cost_terms}


def evaluation_of(card: Any) -> dict[str, Any]:
    return {
        "metrics": metrics_of(card, -80.0),
        "seeds": [
            {"seed": 0, "return_mean": metric(-80.0), "success_rate": None, "solved": None, "selected": True},
            {
                "seed": 1,
                "return_mean": metric(-90.0),
                "success_rate": None,
                "solved": None,
                "selected": False,
            },
        ],
        "baselines": {"random": metrics_of(card, -300.0), "order_up_to": metrics_of(card, -100.0)},
        "descriptions": {"random": "Anything.", "order_up_to": EVIL},
        "best_rule": "order_up_to",
        "differences": {
            "random": {"difference": 220.0, "low": 200.0, "high": 240.0, "outside_noise": True},
            "order_up_to": {"difference": 20.0, "low": -5.0, "high": 45.0, "outside_noise": False},
        },
        "verdict": {"sentence": "It beats the rule.", "beats": "yes", "best_baseline": "order_up_to"},
        "curve": {
            "steps": [100, 200],
            "iqm": [-200.0, -80.0],
            "low": [-250.0, None],
            "high": [-150.0, None],
            "seeds": {"0": [-200.0, -80.0], "1": [-210.0, -90.0]},
            "rule": -100.0,
        },
        "notes": ["Nothing was reported twice."],
    }


def episodes_of(card: Any, policy: str, seed: int | None, mean: float) -> pl.DataFrame:
    returns = mean + np.arange(6.0)
    columns = {"policy": policy, "network_seed": seed, "return": returns}
    return pl.DataFrame(columns, schema_overrides={"network_seed": pl.Int64})


def timeline_of(scorer: Scorer, policy: str) -> pl.DataFrame:
    stepper = Stepper(make_vector(scorer.card.id, 1, scorer.config.environment), scorer.card.cost_terms)
    seen, rows = stepper.reset(3), []
    for number in range(70):
        action = scorer.act(seen)
        step = stepper.step(action)
        row = (
            policy,
            number,
            seen[0].tolist(),
            int(action[0]),
            float(step.reward[0]),
            step.costs[0].tolist(),
        )
        rows.append((*row, scorer.values(seen)[0].tolist() if policy == "network" else None))
        seen = step.observation
    names = ("policy", "step", "observation", "action", "reward", "costs", "values")
    return pl.DataFrame(rows, schema=list(names), orient="row", strict=False)


def evidence_of(scorer: Scorer, states: np.ndarray, timeline: pl.DataFrame) -> EvidenceDocuments:
    document, table = explain_visited(scorer, states)
    card = scorer.card
    episodes = [episodes_of(card, "network", seed, -80.0) for seed in (0, 1)]
    episodes += [episodes_of(card, rule, None, -100.0) for rule in RULES]
    return EvidenceDocuments(
        card=card,
        evaluation=plain(evaluation_of(card)),
        explanation=plain(document),
        training=_RECORD,
        curves=pl.DataFrame(),
        episodes=pl.concat(episodes),
        explained=table,
        timeline=timeline,
        film=None,
        notes=("A note.",),
    )


@pytest.fixture(scope="module")
def stock(random_policy) -> tuple[Scorer, EvidenceDocuments]:
    scorer, states = random_policy(INVENTORY)
    timeline = pl.concat([timeline_of(scorer, policy) for policy in ("network", "order_up_to")])
    return scorer, evidence_of(scorer, states, timeline)


@pytest.fixture(scope="module")
def page(stock) -> str:
    return page_of(*stock)


def page_of(scorer: Scorer, evidence: EvidenceDocuments) -> str:
    summary = first_summary(scorer.card.id, "environment_card@1.0.0", {"in": 1}, evidence, scorer.config)
    return run_report(scorer.config, summary, evidence)


def titles(page: str) -> list[str]:
    return [re.sub(r"<[^>]+>|\d+", "", found).strip() for found in re.findall(r"<h2[^>]*>(.*?)</h2>", page)]


def test_every_part_of_the_report_is_there(page):
    assert titles(page) == list(_SECTIONS)
    assert "Not drawn" not in page


def test_names_from_outside_stay_text(page):
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_report_needs_no_network(page):
    assert not re.search(r"""(?:src|href)=["']https?:""", page)


def test_a_number_that_is_the_same_for_all_policies_is_not_shown(page):
    assert "Steps of an episode" not in page


def test_the_best_rule_stands_next_to_the_networks(page):
    assert page.index("Order up to") < page.index("Random")


def test_long_episodes_of_stock_are_cut_and_say_so(page):
    assert "Of 70 steps the first 56 are drawn" in page


def test_an_ablation_is_shown_where_one_was_made(stock):
    _, evidence = stock
    assert ablation_sections(evidence) == []
    rows = [
        {
            "variant": name,
            "return_iqm": metric(value),
            "steps_to_rule": steps,
            "steps_per_second": 900.0,
            "seconds": 1.0,
        }
        for name, value, steps in (("all", -80.0, 100), ("plain", -120.0, None))
    ]
    found = replace(evidence, evaluation={**evidence.evaluation, "ablation": rows})
    (section,) = ablation_sections(found)
    page = render(Report("Report", "", [section]))
    assert "Not drawn" not in page
    assert page.count("plain") >= 2


def test_an_explanation_that_failed_its_check_is_labelled_so(stock):
    _, evidence = stock
    attribution = {
        **evidence.explanation["attribution"],
        "faithful": False,
        "warning": "Not faithful at all.",
    }
    section = trust_section(
        replace(evidence, explanation={**evidence.explanation, "attribution": attribution})
    )
    page = render(Report("Report", "", [section]))
    assert re.search(
        r'callout warning"[^>]*>\s*<strong>How far the reasons hold</strong>\s*<p>Not faithful', page
    )


def test_environments_without_cost_terms_have_no_part_about_costs(random_policy):
    scorer, states = random_policy("CartPole-v1")
    timeline = pl.concat([timeline_of(scorer, policy) for policy in ("network", "order_up_to")])
    frames = [np.full((40, 60, 3), shade, np.uint8) for shade in (0, 120, 250)]
    page = page_of(scorer, replace(evidence_of(scorer, states, timeline), film=film_of(frames)))
    assert "Where the difference comes from" not in titles(page)
    assert "data:image/png;base64" in page[page.index("Film of an episode") :]


def test_agents_of_frames_have_a_report_too(frames_policy):
    scorer, frames = frames_policy
    columns = {"policy": ["network"] * 3, "step": [0, 1, 2], "observation": [[]] * 3, "action": [0, 1, 2]}
    timeline = pl.DataFrame(columns | {"reward": [0.0, 1.0, 0.0]}, strict=False)
    page = page_of(scorer, evidence_of(scorer, frames, timeline))
    assert "Grad-CAM" in page
    assert "Evidence in frames" in page
