"""The part of the report about what the policy does: one episode beside the rule's, and what it would do elsewhere."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from pipelines.dqn_agent.evidence import EvidenceDocuments
from pipelines.dqn_agent.explainer import decides
from pipelines.dqn_agent.figures_maps import film_figure, map_figure
from pipelines.dqn_agent.figures_policy import episode_figure, lanes_of, num_shown
from pipelines.dqn_agent.playing import NETWORK
from pipelines.dqn_agent.wording import amount, share, words
from shared.publishing.blocks import Block, Column, Figure, Section, Table, Value
from shared.publishing.standard import readable


def policy_section(evidence: EvidenceDocuments) -> Section:
    """Share of each action, one episode step by step, its film, and maps of decisions."""
    blocks: list[Block] = [_actions_table(evidence), _episode(evidence)]
    if evidence.film is not None:
        caption = "The same episode of the served network, from its beginning."
        blocks.append(Figure(film_figure(evidence.film), caption, "Film of an episode"))
    found = evidence.explanation["map"]
    if found is not None:
        blocks.append(
            Figure(
                map_figure(found, evidence.card),
                _map_caption(evidence, found),
                "Maps of decisions",
                wide=True,
            )
        )
    return Section("What the policy does", blocks)


def _actions_table(evidence: EvidenceDocuments) -> Table:
    """How often each action is taken where something can be decided."""
    best = evidence.evaluation["best_rule"]
    shown = {policy: _shares(evidence, policy) for policy in (NETWORK, best)}
    columns: list[Column | str] = [
        "Action",
        Column("Network\ntest episodes", number=True),
        Column("Network\nepisode below", number=True),
        Column(f"{readable(best)}\nepisode below", number=True),
    ]
    rows: list[list[Value]] = [
        [
            action,
            share(evidence.explanation["actions"][action]),
            *(share(found.get(number)) for found in shown.values()),
        ]
        for number, action in enumerate(evidence.card.actions)
    ]
    states = evidence.explanation["states"]
    note = f"Test episodes: of the served network, its decisions in {states:,} visited states."
    return Table(columns, rows, "Share of each action", [note])


def _shares(evidence: EvidenceDocuments, policy: str) -> dict[int, float]:
    rows = evidence.timeline.filter(pl.col("policy") == policy)
    if evidence.card.observation and rows.height:
        observed = np.array(rows["observation"].to_list())
        rows = rows.filter(pl.Series(decides(evidence.card, observed)))
    found = rows.group_by("action").len()
    counts = dict(zip(found["action"].to_list(), found["len"].to_list(), strict=True))
    return (
        {action: counts.get(action, 0) / rows.height for action in range(len(evidence.card.actions))}
        if counts
        else {}
    )


def _episode(evidence: EvidenceDocuments) -> Figure:
    best, card = evidence.evaluation["best_rule"], evidence.card
    found = evidence.explanation["map"]
    lanes = lanes_of(card, [] if found is None else [found[axis]["name"] for axis in ("x", "y")])
    policies = {NETWORK: "Network", best: f"Rule: {readable(best).lower()}"}
    steps = evidence.timeline["step"].n_unique()
    drawn = num_shown(card, steps)
    cut = (
        f" Of {steps} steps the first {drawn} are drawn, and what was earned in all." if drawn < steps else ""
    )
    return Figure(
        episode_figure(evidence.timeline, policies, card, lanes),
        "One test episode step by step, the served network beside the best rule in the same world. One episode is an "
        f"example; what holds on average is above.{cut}",
        "Timeline of an episode, network beside the best rule",
        wide=True,
    )


def _map_caption(evidence: EvidenceDocuments, found: Mapping[str, Any]) -> str:
    units = {feature.name: feature.unit for feature in evidence.card.observation}
    others = ", ".join(
        f"{words(name)} {amount(value, units[name])}" for name, value in found["others"].items()
    )
    asked = "all other features at their median over visited states" + (f" ({others})" if others else "")
    return (
        f"What the network would do over two features, {asked}. Pale: no visited state lies near in these two "
        "features, so the network was never there and what it would do is a guess."
    )
