"""Agents: what was measured. The networks beside the rules, how learning went, where the costs differ, what it does."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from apps.dashboard.components.differences import difference_chart
from apps.dashboard.components.figures import COLOURS, bar_height, figure
from apps.dashboard.components.learning import learning_curve
from apps.dashboard.components.text import escaped
from apps.dashboard.published import Model
from pipelines.dqn_agent.wording import with_unit, words
from shared.publishing.blocks import estimate, interval
from shared.publishing.figure_style import SERIES
from shared.publishing.standard import readable

_RETURN, _IQM = "test/return_mean", "test/return_iqm"
_RANDOM = "random"
_UNSEEN = "rgba(128, 138, 148, .88)"
# More actions than these are shown on a scale.
_FEW_ACTIONS = 6


def beside_rules(model: Model, *, key: str) -> None:
    """Differences to every rule in the same worlds, all returns, the learning curve, costs."""
    metrics = model.metrics
    unit = metrics["metrics"][_IQM]["unit"]
    rules = sorted(metrics["baselines"], key=lambda name: -metrics["baselines"][name][_RETURN]["value"])
    compared = [name for name in rules if name != _RANDOM] or rules
    best = metrics["best_rule"]
    difference_chart(
        {readable(name): metrics["differences"][name] for name in compared},
        "Networks less each rule: right is better",
        x=with_unit("difference in return", unit),
        key=f"{key}/differences",
    )
    learning_curve(
        metrics["curve"],
        "How learning went",
        y=with_unit("return", unit),
        rival=f"rule: {readable(best).lower()}",
        key=f"{key}/curve",
    )
    st.dataframe(
        _returns(metrics, rules),
        hide_index=True,
        column_config={"what it does": st.column_config.TextColumn(width="large")},
    )
    for note in metrics["notes"]:
        st.caption(note)
    _costs(metrics, best, unit, key=key)


def _returns(metrics: Mapping[str, Any], rules: Sequence[str]) -> list[dict[str, Any]]:
    """Networks together, each seed, and each rule, with intervals."""
    together = metrics["metrics"][_IQM]
    rows = [_row("Networks, interquartile mean", together, f"{together['n']} seeds together")]
    rows += [
        _row(f"Seed {seed['seed']}", seed["return_mean"], "served" if seed["selected"] else "")
        for seed in metrics["seeds"]
    ]
    rules_played = {name: metrics["baselines"][name][_RETURN] for name in rules}
    return rows + [
        _row(f"Rule: {readable(name).lower()}", found, metrics["descriptions"][name])
        for name, found in rules_played.items()
    ]


def _row(name: str, metric: Mapping[str, Any], said: str) -> dict[str, Any]:
    return {
        "policy": name,
        with_unit("return", metric["unit"]): estimate(metric),
        "95 % interval": interval(metric),
        "what it does": said,
    }


def _costs(metrics: Mapping[str, Any], best: str, unit: str, *, key: str) -> None:
    """Which costs make the difference."""
    import plotly.graph_objects as go

    names = [name for name in metrics["metrics"] if name.startswith("test/cost_")]
    if not names:
        return
    titles = [escaped(words(name.removeprefix("test/cost_").removesuffix("_mean"))) for name in names]
    drawing = go.Figure()
    for found, who, colour in (
        (metrics["metrics"], "networks", "blue"),
        (metrics["baselines"][best], f"rule: {readable(best).lower()}", "orange"),
    ):
        ends = [(found[name]["value"], found[name]["low"], found[name]["high"]) for name in names]
        drawing.add_bar(
            x=[value for value, _, _ in ends], y=titles, orientation="h", name=escaped(who),
            marker_color=COLOURS[colour], hovertemplate="%{y}: %{x:,.4g}<extra></extra>",
            error_x={
                "array": [high - value for value, _, high in ends],
                "arrayminus": [value - low for value, low, _ in ends],
                "color": COLOURS["grey"], "thickness": 1.4,
            },
        )  # fmt: skip
    drawing.update_yaxes(autorange="reversed", ticksuffix=" ")
    figure(
        drawing, "Which costs make the difference", x=with_unit("mean of an episode", unit), key=f"{key}/costs",
        height=bar_height(2 * len(names)), alt="costs of the networks and of the best rule by term",
    )  # fmt: skip


def what_it_does(model: Model, actions: Sequence[str], *, key: str) -> None:
    """How often each action is taken, which features move it, and what it would do over the two strongest."""
    document = model.metrics["explanation"]
    taken = {name: 100 * document["actions"][name] for name in actions}
    _bars(taken, "How often each action is taken", "decisions in %", key=f"{key}/actions")
    st.caption(f"In {document['states']:,} visited states of test episodes.")
    importance = document["attribution"].get("importance") or {}
    if importance:
        strongest = sorted(importance, key=lambda name: -importance[name])
        _bars(
            {words(name): importance[name] for name in strongest},
            "What moves the decision",
            with_unit("mean absolute contribution", document["attribution"]["unit"]),
            key=f"{key}/importance",
        )
    if document.get("map"):
        _map(document["map"], actions, key=f"{key}/map")


def _bars(values: Mapping[str, float], title: str, x: str, *, key: str) -> None:
    import plotly.graph_objects as go

    drawing = go.Figure(
        go.Bar(
            x=list(values.values()), y=[escaped(name) for name in values], orientation="h",
            marker_color=COLOURS["blue"], hovertemplate="%{y}: %{x:.3g}<extra></extra>",
        )
    )  # fmt: skip
    drawing.update_yaxes(autorange="reversed", ticksuffix=" ")
    figure(
        drawing,
        title,
        x=x,
        key=key,
        legend=False,
        height=bar_height(len(values)),
        alt=", ".join(list(values)[:3]),
    )


def _map(found: Mapping[str, Any], actions: Sequence[str], *, key: str) -> None:
    """The action over two features, all others at their median over visited states; grey where it has never been."""
    import plotly.graph_objects as go

    from pipelines.dqn_agent.maps import near

    x, y = found["x"], found["y"]
    named = [[escaped(actions[action]) for action in row] for row in found["action"]]
    drawing = go.Figure(
        go.Heatmap(
            x=x["values"], y=y["values"], z=found["action"], text=named, zmin=-0.5, zmax=len(actions) - 0.5,
            hovertemplate="%{text}<extra></extra>", **_scale(actions),
        )
    )  # fmt: skip
    unseen = [[None if known else 1 for known in row] for row in near(found["visited"])]
    drawing.add_heatmap(
        x=x["values"], y=y["values"], z=unseen, showscale=False, hoverinfo="skip",
        colorscale=[[0, _UNSEEN], [1, _UNSEEN]],
    )  # fmt: skip
    figure(
        drawing, "What it would do", x=with_unit(words(x["name"]), x["unit"]), y=with_unit(words(y["name"]), y["unit"]),
        key=key, legend=False, height=420, alt=f"action over {words(x['name'])} and {words(y['name'])}",
    )  # fmt: skip
    st.caption(
        "All other features at their median over visited states. Grey: it was never near, so what it would do there is "
        "a guess."
    )


def _scale(actions: Sequence[str]) -> dict[str, Any]:
    """A colour for each of few actions, else a scale; the bar beside it names them."""
    num = len(actions)
    if num > _FEW_ACTIONS:
        ticks = sorted({0, num // 2, num - 1})
        return {
            "colorscale": [[0, "#e9edf0"], [0.4, "#79aedb"], [0.7, COLOURS["blue"]], [1, "#123f66"]],
            "colorbar": {"tickvals": ticks, "ticktext": [escaped(actions[tick]) for tick in ticks]},
        }
    steps = [[(number + end) / num, SERIES[number]] for number in range(num) for end in (0, 1)]
    named = {"tickvals": list(range(num)), "ticktext": [escaped(action) for action in actions]}
    return {"colorscale": steps, "colorbar": named}
