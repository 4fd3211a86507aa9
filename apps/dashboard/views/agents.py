"""Agents: an episode step by step beside a rule, and what is decided in one state and why."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.dashboard.components.attribution import Part, attribution_chart
from apps.dashboard.components.banners import banner
from apps.dashboard.components.cards import facts, value_cards
from apps.dashboard.components.figures import COLOURS, bar_height, figure
from apps.dashboard.components.form import Field, NumberField
from apps.dashboard.components.text import escaped, markdown_text
from apps.dashboard.published import Model
from apps.dashboard.views.agents_timeline import timeline_figure
from pipelines.dqn_agent.wording import amount, decision_sentence, decision_title, unit_of, with_unit, words
from shared.publishing.blocks import show
from shared.publishing.standard import readable

if TYPE_CHECKING:
    from pipelines.dqn_agent.environments.rules import Rule
    from pipelines.dqn_agent.score import Scorer
    from pipelines.dqn_agent.showing import Decision, Range, Shown

_MOST_WORLDS = 1_000_000
_NEXT_BEST = "the next best action"


def episode(model: Model, policy: "Scorer", *, key: str) -> None:
    """One world, played by the policy and by a rule; any step of it, with the reasons."""
    rules = rules_of(model.digest, policy)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        name = st.selectbox(
            "Beside the rule", list(rules)[::-1], format_func=readable, key=f"{key}/rule", width=320
        )
        world = st.number_input(
            "World", 1, _MOST_WORLDS, 1, key=f"{key}/world", width=160,
            help="Each number is another stroke of luck: demand, loads, failures. Nothing was learnt in these worlds.",
        )  # fmt: skip
    shown = _world(model.digest, name, int(world), policy)
    st.caption(markdown_text(rules[name].describe()))
    _earned(shown, name, policy)
    steps = shown.timeline.filter(shown.timeline["policy"] == "network").sort("step")
    above = st.container()
    step = _step(steps.height, key=f"{key}/step/{world}")
    with above:
        timeline_figure(model, policy, shown, name, step, key=f"{key}/timeline")
    if shown.frames:
        _pictures(shown, step)
    if policy.card.observation:
        decision_in(model, policy, steps["observation"][step].to_list(), {name: rules[name]}, key=key)


def decision_in(
    model: Model, policy: "Scorer", observation: list[float], rules: Mapping[str, "Rule"], *, key: str
) -> None:
    """What the policy does in a state, what each action is said to be worth, and why not another one."""
    from pipelines.dqn_agent.showing import action_of, decide_in

    card = policy.card
    first = decide_in(policy, observation)
    others = [_NEXT_BEST, *(action for action in card.actions if action != first.action)]
    asked = st.selectbox(
        f"{readable(first.action)}: why not", others, format_func=markdown_text, key=f"{key}/other/{first.action}",
        width=320,
    )  # fmt: skip
    decision = first if asked == _NEXT_BEST else decide_in(policy, observation, asked)
    known = {
        f"Rule: {readable(name).lower()}": action_of(policy, rule, observation)
        for name, rule in rules.items()
    }
    facts({"The policy": decision.action, **known, "Instead of": decision.other})
    if not decision.decides:
        banner("neutral", "Whatever is decided in this state has no effect.")
        return
    if decision.outside:
        banner(
            "warning", "A feature lies beyond all that training saw: nobody knows how good this decision is."
        )
    st.text(decision_sentence(asdict(decision), unit_of(card)))
    _why(model, decision, unit_of(card), key=f"{key}/why")
    _values(decision, unit_of(card), key=f"{key}/values")


def situation_fields(found: "list[Range]") -> list[Field]:
    """A control for each feature."""
    return [
        NumberField(
            each.feature.name,
            words(each.feature.name),
            each.low,
            each.high,
            "" if each.feature.unit == "1" else each.feature.unit,
            each.whole,
        )
        for each in found
    ]


@st.cache_resource(max_entries=16, show_spinner="Computing the rules of thumb ...")
def rules_of(digest: str, _policy: "Scorer") -> "dict[str, Rule]":
    """The rules beside a policy, strongest last. Raises RequestError where its environment cannot be made here."""
    from pipelines.dqn_agent.showing import rules_beside

    return rules_beside(_policy)


@st.cache_resource(max_entries=24, show_spinner="Playing ...")
def _world(digest: str, rule: str, world: int, _policy: "Scorer") -> "Shown":
    from pipelines.dqn_agent.showing import show_world

    return show_world(_policy, rules_of(digest, _policy)[rule], world)


def _earned(shown: "Shown", rule: str, policy: "Scorer") -> None:
    from pipelines.dqn_agent.showing import MOST_STEPS

    unit = unit_of(policy.card)
    lengths = dict(shown.timeline.group_by("policy", maintain_order=True).len().iter_rows())
    cards = {
        "Policy" if name == "network" else f"Rule: {readable(name).lower()}": (show(earned), unit)
        for name, earned in shown.earned.items()
    }
    notes = [
        f"return in this world, {'the first ' if lengths[name] == MOST_STEPS else ''}{lengths[name]:,} steps"
        for name in shown.earned
    ]
    value_cards(cards, notes)
    st.caption("One world is an example; what holds on average stands under Beside the rules.")


def _step(num_steps: int, *, key: str) -> int:
    """Which step to look at; begins in the middle, where an episode is usually under way."""
    if num_steps < 2:
        return 0
    return int(st.slider("Step to look at", 0, num_steps - 1, num_steps // 2, key=key))


def _pictures(shown: "Shown", step: int) -> None:
    left, right = st.columns(2)
    with left:
        st.image(shown.frames[min(step, len(shown.frames) - 1)], caption=f"Step {step}")
    with right:
        if shown.film is not None:
            st.image(shown.film, caption="The whole episode")


def _values(decision: "Decision", unit: str, *, key: str) -> None:
    """Values beside the best: their level is no forecast, and their differences decide."""
    import plotly.graph_objects as go

    best = decision.values[decision.action]
    less = {action: value - best for action, value in decision.values.items()}
    drawing = go.Figure(
        go.Bar(
            x=list(less.values()),
            y=[escaped(action) for action in less],
            orientation="h",
            marker_color=[_colour(action, decision) for action in less],
            text=[show(value, 2) if value else "chosen" for value in less.values()],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:,.4g}<extra></extra>",
        )
    )
    # room for the numbers beside the bars; actions that are all alike have none
    drawing.update_xaxes(range=[1.2 * min(less.values()) or -1.0, 0.0])
    drawing.update_yaxes(autorange="reversed", ticksuffix=" ")
    figure(
        drawing, "What each action is said to be worth", x=with_unit("less than the chosen one", unit), key=key,
        legend=False, height=bar_height(len(less)), alt=f"{decision.action} is worth most",
    )  # fmt: skip


def _colour(action: str, decision: "Decision") -> str:
    return COLOURS["blue" if action == decision.action else "orange" if action == decision.other else "grey"]


def _why(model: Model, decision: "Decision", unit: str, *, key: str) -> None:
    parts = [_part(feature) for feature in decision.features]
    attribution_chart(
        model,
        parts,
        decision_title(asdict(decision)),
        unit=with_unit("adds to the advantage", unit),
        raises=f"speaks for {decision.action}",
        lowers=f"speaks for {decision.other}",
        key=key,
    )
    st.caption(
        markdown_text(
            f"Contributions sum to how far the advantage ({amount(decision.advantage, unit, 2)}) lies from its mean "
            f"over visited states ({amount(decision.base, unit, 2)})."
        )
    )


def _part(feature: Mapping[str, Any]) -> Part:
    return Part(words(feature["name"]), feature["contribution"], amount(feature["value"], feature["unit"]))
