"""The report of a run: for the planner who has a rule of thumb, and for whoever answers for the policy."""

from collections.abc import Mapping
from typing import Any

from pipelines.dqn_agent.config import AgentConfig
from pipelines.dqn_agent.evidence import LIMITS, METRICS, OUT_OF_SCOPE, QUESTION, EvidenceDocuments
from pipelines.dqn_agent.report_policy import policy_section
from pipelines.dqn_agent.report_returns import (
    RANDOM,
    ablation_sections,
    costs_section,
    rules_in_order,
    seeds_section,
)
from pipelines.dqn_agent.report_why import trust_section, why_section
from pipelines.dqn_agent.wording import READERS, amount, networks, unit_of, with_unit
from shared.publishing.blocks import (
    Bullets,
    Callout,
    Column,
    Figure,
    KeyValues,
    Kind,
    Paragraph,
    Report,
    Section,
    Table,
    Value,
)
from shared.publishing.report import render
from shared.publishing.run_figures import difference_forest
from shared.publishing.standard import limits_section, readable, results_section, run_section
from shared.publishing.summary import RunSummary

_TRAINING = {
    "device": "Device",
    "seconds": "Seconds of learning",
    "seconds_judging": "Seconds of development episodes",
    "steps_per_second": "Environment steps a second, all seeds together",
    "lived": "Environment steps, all seeds together",
    "updates": "Updates of each seed",
    "threads": "Threads",
    "peak_memory_bytes": "Peak memory, bytes",
    "resumed_from_step": "Continued from step",
}


def run_report(config: AgentConfig, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The evaluation report as one self-contained HTML page."""
    sections = [
        _results(config, summary, evidence),
        seeds_section(config, evidence),
        *costs_section(evidence),
        policy_section(evidence),
        why_section(evidence),
        trust_section(evidence),
        *ablation_sections(evidence),
        _environment(evidence),
        _training(config, evidence),
        run_section(summary),
        limits_section(LIMITS, OUT_OF_SCOPE),
    ]
    return render(
        Report(
            title="Agents: evaluation report",
            subtitle=QUESTION,
            sections=sections,
            facts=_facts(config, summary, evidence),
        )
    )


def _facts(config: AgentConfig, summary: RunSummary, evidence: EvidenceDocuments) -> dict[str, Value]:
    return {
        "Environment": evidence.card.id,
        "Preset": summary.preset,
        "Contract": summary.contract,
        "Learnt": f"{networks(config)}, {config.learning.steps:,} environment steps each",
        "Tested": f"{config.evaluation.num_episodes:,} episodes of each network and rule, the same worlds",
        "Best rule": readable(evidence.evaluation["best_rule"]),
    }


def _results(config: AgentConfig, summary: RunSummary, evidence: EvidenceDocuments) -> Section:
    kinds: dict[str, Kind] = {"yes": "good", "within noise": "neutral", "no": "warning"}
    evaluation = evidence.evaluation
    order = rules_in_order(evaluation)
    notes = [
        f"Each of {networks(config)} and each rule played the same {config.evaluation.num_episodes} episodes, "
        "greedily, in worlds that nobody had learnt from, chosen by or fitted rules on. The interquartile mean is over "
        "the mean returns of the networks, without the lowest and the highest quarter of them. Intervals draw networks "
        "and episodes anew."
    ]
    section = results_section(
        summary,
        _telling(summary),
        model_title="Networks, all seeds",
        verdict_kind=kinds[evaluation["verdict"]["beats"]],
        notes=notes,
        others="rule",
        other_titles={name: readable(name) for name in order},
        num_drawn=2,
    )
    rules = Table(
        ["Rule", "What it does"],
        [[readable(name), evaluation["descriptions"][name]] for name in order],
        "The rules of thumb, with the numbers that were computed for them",
    )
    first = Callout("neutral", READERS, "Who this is for")
    blocks = [first, *section.blocks, _differences(evidence), rules, *_remarks(evaluation)]
    return Section(section.title, blocks)


def _differences(evidence: EvidenceDocuments) -> Figure:
    """The networks less each rule; random actions, worse by far than anything, only where there is nothing else."""
    found = evidence.evaluation["differences"]
    rules = [name for name in rules_in_order(evidence.evaluation) if name != RANDOM] or list(found)
    title = with_unit(
        "Interquartile mean return of the networks less that of the rule", unit_of(evidence.card)
    )
    return Figure(
        difference_forest({readable(name): found[name] for name in rules}, x=title),
        "Right of the line the networks are better. Points with 95 % intervals, all in the same worlds; blue where the "
        "interval leaves 0 out.",
        "Differences of the networks to each rule",
        wide=True,
    )


def _telling(summary: RunSummary) -> dict[str, str]:
    """Metrics that differ between policies: where every episode has as many steps, their number says nothing."""
    policies = [summary.metrics, *summary.baselines.values()]
    return {
        name: title
        for name, title in METRICS.items()
        if len({metrics[name].value for metrics in policies if name in metrics}) > 1
    }


def _remarks(evaluation: Mapping[str, Any]) -> list[Bullets]:
    return [Bullets(list(evaluation["notes"]))] if evaluation.get("notes") else []


def _environment(evidence: EvidenceDocuments) -> Section:
    """What the card says, in tables."""
    card = evidence.card
    unit = unit_of(card)
    facts: dict[str, Value] = {
        "Environment": card.id,
        "Reward": unit or "points without a unit",
        "Horizon": None if card.horizon is None else f"{card.horizon:,} steps",
        "Success": None
        if card.success_threshold is None
        else f"return of at least {amount(card.success_threshold, unit)}",
        "Discount": card.discount,
        "Cost terms": ", ".join(card.cost_terms) or None,
        "Frames": None if card.image is None else " x ".join(str(edge) for edge in card.image),
    }
    blocks: list[Bullets | KeyValues | Paragraph | Table] = [
        Paragraph(
            "Data are made by acting: there is no table, but an environment, and a card that says what its numbers "
            "mean. The card was held against the environment by stepping it."
        ),
        KeyValues({name: value for name, value in facts.items() if value is not None}),
    ]
    if card.observation:
        columns: list[Column | str] = [
            "Feature",
            "Unit",
            Column("Lowest", number=True),
            Column("Highest", number=True),
        ]
        rows: list[list[Value]] = [[one.name, one.unit, one.low, one.high] for one in card.observation]
        blocks.append(Table(columns, rows, "What is observed"))
    actions: list[list[Value]] = [[number, name] for number, name in enumerate(card.actions)]
    blocks.append(Table([Column("Number", number=True), "Action"], actions, "What can be done"))
    return Section("The environment", [*blocks, *([Bullets(list(evidence.notes))] if evidence.notes else [])])


def _training(config: AgentConfig, evidence: EvidenceDocuments) -> Section:
    record = evidence.training
    learning, network = config.learning, config.network
    switches: dict[str, Value] = {
        "Double": learning.double,
        "Dueling": network.dueling,
        "Steps of returns": learning.num_steps,
        "Prioritised replay": learning.priority_power > 0,
        "Noisy layers": network.noisy,
        "Distribution of returns": {"mean": "no", "atoms": "C51", "quantiles": "QR-DQN"}[
            network.distribution
        ],
        "Batch": learning.batch_size,
        "Steps between updates": learning.steps_per_update,
        "Remembered transitions": learning.capacity,
        "Learning rate": learning.learning_rate,
    }
    text = (
        "Deep Q-learning (Mnih et al. 2015). All seeds learn side by side, each in environments of its own; what one "
        "lives through touches no other. Returns while learning are not reported: they hold random actions."
    )
    known = {title: record[name] for name, title in _TRAINING.items() if record.get(name) is not None}
    return Section("Training", [Paragraph(text), KeyValues(known), KeyValues(switches), *_remarks(record)])
