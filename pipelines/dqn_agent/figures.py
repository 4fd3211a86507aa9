"""Figures of results: how learning went, how returns spread, which costs differ."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.publishing.figure_style import (
    BLUE,
    GREY,
    ORANGE,
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
from shared.publishing.svg import INK, MUTED, PAPER

# More dots than these in a row say nothing more.
_MOST_DOTS = 150
_THOUSAND = 1000


def learning_curve(curve: Mapping[str, Any], *, unit: str, rule: str, threshold: float | None = None) -> str:
    """Return on development episodes over steps: interquartile mean of the seeds, its interval, each seed, the rule.

    curve: steps, iqm, low, high, seeds (values by seed) and rule, as `evaluate.evaluation_document` gives it.
    """
    steps = np.array(curve["steps"], dtype=float)
    if not len(steps):
        return nothing("nobody looked at the policy while it learnt")
    figure = new_figure(WIDE_INCHES, 3.6)
    axes = figure.subplots()
    mark = "o" if len(steps) < 3 else ""
    for number, values in enumerate(curve["seeds"].values()):
        label = "single seeds" if number == 0 else None
        axes.plot(steps, _numbers(values), color=BLUE, alpha=0.3, linewidth=0.9, label=label)
    low, high = _numbers(curve["low"]), _numbers(curve["high"])
    axes.fill_between(steps, low, high, color=BLUE, alpha=0.18, linewidth=0, label="95 % interval")
    axes.plot(
        steps,
        _numbers(curve["iqm"]),
        color=BLUE,
        marker=mark,
        linewidth=2,
        label="interquartile mean of the seeds",
    )
    if curve.get("rule") is not None:
        axes.axhline(
            curve["rule"], color=ORANGE, linestyle="--", linewidth=1.5, label=f"rule: {literal(rule)}"
        )
    if threshold is not None:
        axes.axhline(threshold, color=MUTED, linestyle=":", linewidth=1.2, label="success threshold")
    dress(axes, x="Environment steps of a seed", y=f"Return in {unit}" if unit else "Return")
    axes.xaxis.set_major_formatter(_thousands())
    axes.yaxis.set_major_formatter(_thousands())
    legend(axes, "best")
    return save(figure)


def returns_by_policy(returns: Mapping[str, np.ndarray], *, unit: str, threshold: float | None = None) -> str:
    """A row for each policy: single episodes, the middle half as a bar, the median; the first two are networks."""
    rows = {name: values for name, values in returns.items() if len(values)}
    if not rows:
        return nothing("nobody played an episode")
    figure = new_figure(WIDE_INCHES, 0.46 * len(rows) + 0.9)
    axes = figure.subplots()
    random = np.random.default_rng(0)
    for row, (name, values) in enumerate(rows.items()):
        colour = BLUE if name.startswith("Network") else GREY
        some = values[np.linspace(0, len(values) - 1, min(_MOST_DOTS, len(values))).round().astype(int)]
        axes.plot(
            some, row + random.uniform(-0.28, 0.28, len(some)), ".", color=colour, alpha=0.35, markersize=4
        )
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        axes.plot([low, high], [row, row], color=colour, linewidth=5, solid_capstyle="butt", alpha=0.85)
        axes.plot(middle, row, "o", color=PAPER, markeredgecolor=colour, markeredgewidth=1.6, markersize=6)
    if threshold is not None:
        axes.axvline(threshold, color=MUTED, linestyle=":", linewidth=1.2)
    axes.set_yticks(range(len(rows)), literals(list(rows)))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    dress(axes, x=f"Return of an episode in {unit}" if unit else "Return of an episode", grid="x")
    axes.tick_params(axis="y", colors=INK)
    axes.xaxis.set_major_formatter(_thousands())
    return save(figure)


def costs_by_term(costs: Mapping[str, Mapping[str, Mapping[str, Any]]], *, unit: str) -> str:
    """Mean cost of an episode by term, a bar for each policy with its interval.

    costs: metric JSON by term and title of the policy; the first policy is the network.
    """
    if not costs:
        return nothing("the environment has no cost terms")
    policies = list(next(iter(costs.values())))
    figure = new_figure(WIDE_INCHES, 0.36 * len(costs) * len(policies) + 0.9)
    axes = figure.subplots()
    height = 0.8 / len(policies)
    for number, policy in enumerate(policies):
        found = [costs[term][policy] for term in costs]
        places = np.arange(len(costs)) + (number - (len(policies) - 1) / 2) * height
        values = _numbers([one["value"] for one in found])
        colour = (BLUE, ORANGE, GREY)[number % 3]
        axes.barh(places, values, height=0.9 * height, color=colour, label=literal(policy))
        low, high = (_numbers([one[end] for one in found]) for end in ("low", "high"))
        axes.hlines(places, low, high, color=INK, linewidth=1)
    axes.set_yticks(range(len(costs)), literals(list(costs)))
    axes.set_ylim(len(costs) - 0.5, -0.5)
    dress(axes, x=f"Mean of an episode in {unit}" if unit else "Mean of an episode", grid="x")
    axes.tick_params(axis="y", colors=INK)
    axes.xaxis.set_major_formatter(_thousands())
    axes.xaxis.set_major_locator(few_ticks(7))
    axes.legend(loc="best", frameon=False, fontsize=SMALL_POINTS, labelcolor=INK)
    return save(figure)


def _numbers(values: Any) -> np.ndarray:
    return np.array([np.nan if value is None else float(value) for value in values])


def _thousands() -> Any:
    from matplotlib.ticker import FuncFormatter

    def text(value: float, _: object) -> str:
        return (f"{value:,.0f}" if abs(value) >= _THOUSAND else f"{value:g}").replace("-", "−")

    return FuncFormatter(text)
