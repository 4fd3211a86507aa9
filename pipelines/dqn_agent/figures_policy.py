"""Figure of an episode step by step: what was there, what the network did, and the best rule in the same world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pipelines.dqn_agent.cards import Card
from pipelines.dqn_agent.environments.register import INVENTORY, MAINTENANCE
from pipelines.dqn_agent.explainer import decides
from pipelines.dqn_agent.wording import unit_of, with_unit, words
from shared.publishing.figure_style import (
    BLUE,
    ORANGE,
    SERIES,
    SMALL_POINTS,
    WIDE_INCHES,
    dress,
    few_ticks,
    legend,
    literal,
    literals,
    new_figure,
    nothing,
    save,
)
from shared.publishing.svg import INK

# More actions than these are shown by their number.
FEW_ACTIONS = 6
_STACK_COLOURS = ("#1f5d92", "#2f7fc1", "#79aedb", "#b5d2ec")
# Stock turns over within days: of more of them nothing can be seen.
_MOST_DAYS_OF_STOCK = 56


@dataclass(frozen=True, slots=True)
class Lane:
    """Features that are drawn together over time: some on top of each other, some as lines."""

    title: str
    stacked: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


def lanes_of(card: Card, map_features: Sequence[str]) -> tuple[Lane, ...]:
    """What to watch in an episode: of our own environments what planners do, else the features of the map."""
    names = {feature.name: feature.unit for feature in card.observation}
    if card.id == INVENTORY:
        stock = tuple(name for name in names if name.startswith("stock"))
        return (Lane("On the shelf by days left, units", stock, ("forecast_today",)),)
    if card.id == MAINTENANCE:
        watched = {"vibration_trend": "Vibration above usual", "temperature_trend": "Temperature above usual"}
        lanes = [Lane(with_unit(title, names[name]), lines=(name,)) for name, title in watched.items()]
        return (*lanes, Lane("Load", lines=("load",)))
    return tuple(Lane(with_unit(words(name), names[name]), lines=(name,)) for name in map_features)


def num_shown(card: Card, steps: int) -> int:
    """How many steps of an episode are drawn, from its beginning on."""
    return min(steps, _MOST_DAYS_OF_STOCK) if card.id == INVENTORY else steps


def episode_figure(
    timeline: pl.DataFrame, policies: Mapping[str, str], card: Card, lanes: Sequence[Lane]
) -> str:
    """A column for each policy: its lanes and what it did; below, what both have earned so far.

    timeline: see `evidence.EvidenceDocuments`. policies: titles by name, in order.
    """
    drawn = {name: timeline.filter(pl.col("policy") == name).sort("step") for name in policies}
    drawn = {name: rows for name, rows in drawn.items() if rows.height}
    if not drawn:
        return nothing("no episode was recorded")
    heights = [*(2.0 if lane.stacked else 1.35 for lane in lanes), 1.5 if len(card.actions) > 2 else 0.9, 1.7]
    figure = new_figure(WIDE_INCHES, sum(heights) + 1.0)
    grid = figure.add_gridspec(len(heights), len(drawn), height_ratios=heights)
    longest = max(rows.height for rows in drawn.values())
    for column, (name, rows) in enumerate(drawn.items()):
        part = rows.head(num_shown(card, longest))
        table = _features_of(part, card)
        for number, lane in enumerate(lanes):
            axes = figure.add_subplot(grid[number, column], sharey=figure.axes[number] if column else None)
            _draw_lane(axes, table, lane)
            _dress_step_axis(axes, lane.title, policies[name] if number == 0 else "", part.height)
            if lane.stacked and not column:
                _legend_below(figure, axes)
        axes = figure.add_subplot(grid[len(lanes), column])
        _draw_actions(axes, part, table, card)
        _dress_step_axis(axes, "Action", "" if lanes else policies[name], part.height)
    _draw_earned(figure.add_subplot(grid[len(heights) - 1, :]), drawn, policies, card)
    return save(figure)


def _dress_step_axis(axes: Any, title: str, head: str, num_steps: int) -> None:
    above = f"{literal(head, 40)}\n" if head else ""
    dress(axes, title=above + literal(title, 44), grid="y")
    axes.set_xlim(-0.5, num_steps - 0.5)
    axes.xaxis.set_major_locator(few_ticks(6, integer=True))


def _legend_below(figure: Any, axes: Any) -> None:
    handles = axes.get_legend_handles_labels()
    drawn = figure.legend(
        *handles, loc="outside lower center", ncols=6, frameon=False, fontsize=SMALL_POINTS, labelcolor=INK
    )
    drawn.get_frame().set_alpha(0)


def _features_of(rows: pl.DataFrame, card: Card) -> dict[str, np.ndarray]:
    if not card.observation:
        return {}
    table = np.array(rows["observation"].to_list(), dtype=float)
    return {feature.name: table[:, place] for place, feature in enumerate(card.observation)}


def _draw_lane(axes: Any, table: Mapping[str, np.ndarray], lane: Lane) -> None:
    steps = np.arange(len(next(iter(table.values()))))
    bottom = np.zeros(len(steps))
    # the freshest at the bottom: what lies on top goes first
    for number, name in enumerate(reversed(lane.stacked)):
        colour = _STACK_COLOURS[number % len(_STACK_COLOURS)]
        top = bottom + table[name]
        label = literal(words(name).replace("stock for", "stock:") + " left", 22)
        axes.fill_between(steps, bottom, top, step="mid", color=colour, linewidth=0, label=label)
        bottom = top
    for name in lane.lines:
        colour = ORANGE if lane.stacked else BLUE
        axes.plot(steps, table[name], color=colour, linewidth=1.3, label=literal(words(name), 22))
    if lane.stacked:
        axes.set_ylim(bottom=0)


def _draw_actions(axes: Any, rows: pl.DataFrame, table: Mapping[str, np.ndarray], card: Card) -> None:
    """Bars of numbers for many actions, a row for each of few; nothing where nothing could be decided."""
    steps, actions = np.arange(rows.height), rows["action"].to_numpy()
    if table:
        asked = decides(card, np.stack(list(table.values()), axis=1))
        steps, actions = steps[asked], actions[asked]
    if len(card.actions) > FEW_ACTIONS:
        taken = actions > 0
        axes.vlines(steps[taken], 0, actions[taken], color=BLUE, linewidth=1.6)
        marks = sorted({0, len(card.actions) // 2, len(card.actions) - 1})
        axes.set_ylim(0, len(card.actions) - 0.5)
    else:
        for action in np.unique(actions):
            own = steps[actions == action]
            axes.vlines(own, action - 0.36, action + 0.36, color=SERIES[action], linewidth=1.2)
        marks = list(range(len(card.actions)))
        axes.set_ylim(-0.6, len(card.actions) - 0.4)
    axes.set_yticks(marks, literals([card.actions[mark] for mark in marks], 18))


def _draw_earned(
    axes: Any, drawn: Mapping[str, pl.DataFrame], policies: Mapping[str, str], card: Card
) -> None:
    for colour, (name, rows) in zip((BLUE, ORANGE), drawn.items(), strict=False):
        axes.plot(
            rows["reward"].cum_sum().to_numpy(), color=colour, linewidth=1.8, label=literal(policies[name])
        )
    unit = unit_of(card)
    dress(axes, x="Step", title=with_unit("Sum of rewards so far, same world", unit))
    axes.xaxis.set_major_locator(few_ticks(8, integer=True))
    legend(axes, "best")
