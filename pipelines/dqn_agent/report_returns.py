"""The parts of the report about returns: how learning went, how seeds and costs differ, what each switch is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from pipelines.dqn_agent.config import AgentConfig
from pipelines.dqn_agent.evidence import KEPT, EvidenceDocuments
from pipelines.dqn_agent.figures import costs_by_term, learning_curve, returns_by_policy
from pipelines.dqn_agent.playing import NETWORK
from pipelines.dqn_agent.wording import amount, share, unit_of, with_unit, words
from shared.publishing.blocks import (
    Block,
    Column,
    Figure,
    Paragraph,
    Section,
    Table,
    Value,
    estimate,
    interval,
    show,
)
from shared.publishing.run_figures import metric_forest
from shared.publishing.standard import readable

RANDOM = "random"


def rules_in_order(evaluation: Mapping[str, Any]) -> list[str]:
    """Names of the rules, that with the highest mean return first."""
    rules: Mapping[str, Any] = evaluation["baselines"]
    return sorted(rules, key=lambda name: -rules[name]["test/return_mean"]["value"])


def seeds_section(config: AgentConfig, evidence: EvidenceDocuments) -> Section:
    """The learning curve, each seed by itself, and single episodes beside those of the rules."""
    evaluation, card = evidence.evaluation, evidence.card
    unit, best = unit_of(card), evaluation["best_rule"]
    solved = (
        config.evaluation.solved_at if config.evaluation.solved_at is not None else card.success_threshold
    )
    curve = Figure(
        learning_curve(evaluation["curve"], unit=unit, rule=readable(best), threshold=solved),
        f"Mean return of {config.evaluation.num_curve_episodes} greedy development episodes over the steps of a seed. "
        f"Interquartile mean over the seeds with a 95 % interval. {KEPT[config.evaluation.kept]}",
        "Learning curve of all seeds beside the best rule",
        wide=True,
    )
    spread = Figure(
        returns_by_policy(_returns(evidence), unit=unit, threshold=card.success_threshold),
        "Each dot is a test episode; the bar holds the middle half, the ring is the median. Every row played the same "
        "worlds." + (" Random actions are left out." if len(evaluation["baselines"]) > 1 else ""),
        "Returns of single episodes by policy",
        wide=True,
    )
    return Section("How surely it was learnt", [curve, _seeds_table(evaluation["seeds"], unit), spread])


def costs_section(evidence: EvidenceDocuments) -> list[Section]:
    """Where the difference to the best rule comes from; nothing without cost terms."""
    card, evaluation = evidence.card, evidence.evaluation
    best, unit = evaluation["best_rule"], unit_of(card)
    names = {term: f"test/cost_{term}_mean" for term in card.cost_terms}
    shown = {"Networks": evaluation["metrics"], readable(best): evaluation["baselines"][best]}
    names = {term: name for term, name in names.items() if all(name in metrics for metrics in shown.values())}
    if not names:
        return []
    costs = {
        readable(term): {title: metrics[name] for title, metrics in shown.items()}
        for term, name in names.items()
    }
    figure = Figure(
        costs_by_term(costs, unit=unit),
        "Mean of an episode, networks of all seeds and the best rule, with 95 % intervals.",
        "Costs by term, networks beside the best rule",
        wide=True,
    )
    blocks: list[Block] = [Paragraph(_costs_sentence(costs, unit)), figure, _costs_table(costs, unit)]
    return [Section("Where the difference comes from", blocks)]


def ablation_sections(evidence: EvidenceDocuments) -> list[Section]:
    """Each switch by itself; nothing when the run made no ablation."""
    found = evidence.evaluation.get("ablation")
    if not found:
        return []
    unit = unit_of(evidence.card)
    figure = Figure(
        metric_forest({"Return, interquartile mean": {one["variant"]: one["return_iqm"] for one in found}}),
        "Networks with all switches on, with each one off, and plain DQN; the band is the interval of the first.",
        "Ablation of the switches",
        wide=True,
    )
    rows: list[list[Value]] = [
        [
            one["variant"],
            f"{estimate(one['return_iqm'])}\n{interval(one['return_iqm'])}",
            one["steps_to_rule"],
            round(one["steps_per_second"]),
            one["seconds"],
        ]
        for one in found
    ]
    columns: list[Column | str] = [
        "Variant",
        Column(f"{with_unit('Return', unit)}\ninterquartile mean", number=True),
        Column("Steps until\nas good as the rule", number=True),
        Column("Steps a second", number=True),
        Column("Seconds", number=True, digits=1),
    ]
    note = "All variants learnt for as many steps and played the same test episodes. A dash: never as good as the rule."
    return [Section("What each switch is worth", [figure, Table(columns, rows, "Variants", [note])])]


def _seeds_table(seeds: Sequence[Mapping[str, Any]], unit: str) -> Table:
    solvable = any(one["solved"] is not None for one in seeds)
    columns: list[Column | str] = [
        "Seed",
        Column(f"{with_unit('Mean return', unit)}\ntest episodes", number=True),
    ]
    columns += [Column("Successful\nepisodes", number=True), "Solved"] if solvable else []
    rows: list[list[Value]] = []
    for one in seeds:
        name = f"{one['seed']}, served" if one["selected"] else str(one["seed"])
        row: list[Value] = [name, f"{estimate(one['return_mean'])}\n{interval(one['return_mean'])}"]
        rows.append([*row, *([_rate(one["success_rate"]), one["solved"]] if solvable else [])])
    means = [one["return_mean"]["value"] for one in seeds if one["return_mean"]["value"] is not None]
    notes = (
        [
            f"Between seeds: from {amount(min(means), unit)} to {amount(max(means), unit)}, standard deviation "
            f"{amount(float(np.std(means, ddof=1)), unit)}. The served seed was best on development episodes."
        ]
        if len(means) > 1
        else ["One seed alone: how far luck decides was not measured."]
    )
    served = [number for number, one in enumerate(seeds) if one["selected"]]
    return Table(
        columns, rows, "Each seed by itself, with 95 % intervals over its episodes", notes, emphasis=served
    )


def _rate(found: Mapping[str, Any] | float | None) -> str:
    return share(found["value"] if isinstance(found, Mapping) else found, 0)


def _returns(evidence: EvidenceDocuments) -> dict[str, np.ndarray]:
    """Returns by title: the served network, all networks, the rules from the best one on; random only if alone."""
    episodes, evaluation = evidence.episodes, evidence.evaluation
    networks = episodes.filter(pl.col("policy") == NETWORK)
    served = networks.filter(pl.col("network_seed") == evidence.served_seed)
    found = {
        "Network, served": served["return"].to_numpy(),
        "Networks, all seeds": networks["return"].to_numpy(),
    }
    for name in [name for name in rules_in_order(evaluation) if name != RANDOM] or [RANDOM]:
        found[readable(name)] = episodes.filter(pl.col("policy") == name)["return"].to_numpy()
    return found


def _costs_sentence(costs: Mapping[str, Mapping[str, Mapping[str, Any]]], unit: str) -> str:
    """The terms in which both differ most, in words."""
    lower = {}
    for term, found in costs.items():
        network, rule = (metric["value"] or 0.0 for metric in found.values())
        lower[term] = rule - network
    saved = max(lower, key=lambda term: lower[term])
    spent = min(lower, key=lambda term: lower[term])
    rule = words(list(next(iter(costs.values())))[1]).lower()
    parts = []
    if lower[saved] > 0:
        parts.append(f"most is saved on {saved.lower()}, {amount(lower[saved], unit)} an episode")
    if lower[spent] < 0:
        parts.append(f"most more is spent on {spent.lower()}, {amount(-lower[spent], unit)}")
    return f"Beside the rule {rule}: {'; '.join(parts) or 'no term differs'}."


def _costs_table(costs: Mapping[str, Mapping[str, Mapping[str, Any]]], unit: str) -> Table:
    titles = list(next(iter(costs.values())))
    rows: list[list[Value]] = []
    for term, found in costs.items():
        values = [metric["value"] for metric in found.values()]
        cells = [f"{estimate(metric)}\n{interval(metric)}" for metric in found.values()]
        rows.append([term, *cells, show(float(values[0] - values[1]), None)])
    columns: list[Column | str] = [
        "Cost term",
        *(Column(with_unit(title, unit), number=True) for title in titles),
        Column(with_unit("Difference", unit), number=True),
    ]
    return Table(columns, rows, "Mean of an episode, with 95 % intervals")
