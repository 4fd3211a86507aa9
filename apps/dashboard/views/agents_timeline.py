"""Agents: an episode over time, the policy beside the rule in the same world."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from apps.dashboard.components.figures import COLOURS, figure
from apps.dashboard.components.text import escaped
from apps.dashboard.published import Model
from pipelines.dqn_agent.wording import unit_of, with_unit, words
from shared.publishing.standard import readable

if TYPE_CHECKING:
    import polars as pl

    from pipelines.dqn_agent.cards import Card
    from pipelines.dqn_agent.figures_policy import Lane
    from pipelines.dqn_agent.score import Scorer
    from pipelines.dqn_agent.showing import Shown

# From the oldest, which goes first, to the freshest.
_STACK = ("#123f66", "#2f7fc1", "#79aedb", "#b5d2ec")
_LANE_PIXELS, _STACK_PIXELS = 120, 190
# More actions than these are shown by their number.
_FEW_ACTIONS = 6


def timeline_figure(
    model: Model, policy: "Scorer", shown: "Shown", rule: str, step: int, *, key: str
) -> None:
    """What was there and what was done, a column for each policy; below, what both earned. A line marks `step`."""
    from plotly.subplots import make_subplots

    from pipelines.dqn_agent.figures_policy import lanes_of

    card = policy.card
    found = model.metrics["explanation"].get("map")
    lanes = (
        lanes_of(card, [found[axis]["name"] for axis in ("x", "y")] if found else [])
        if card.observation
        else ()
    )
    heights = [
        *(_STACK_PIXELS if lane.stacked else _LANE_PIXELS for lane in lanes),
        _LANE_PIXELS,
        _STACK_PIXELS,
    ]
    titles = [*(lane.title for lane in lanes), "Action"]
    drawing = make_subplots(
        len(heights), 2, shared_yaxes=True, row_heights=heights,
        horizontal_spacing=0.04, vertical_spacing=46 / (sum(heights) + 46 * len(heights)),
        specs=[[{}, {}]] * (len(heights) - 1) + [[{"colspan": 2}, None]],
        subplot_titles=[
            *(escaped(text) for title in titles for text in (f"{title}: policy", "rule")),
            escaped(with_unit("Sum of rewards so far", unit_of(card))),
        ],
    )  # fmt: skip
    for column, name in enumerate(("network", rule), 1):
        rows = shown.timeline.filter(shown.timeline["policy"] == name).sort("step")
        for number, lane in enumerate(lanes, 1):
            _draw_lane(drawing, rows, lane, card, number, column)
            # the steps stand below the actions
            drawing.update_xaxes(showticklabels=False, row=number, col=column)
        _draw_actions(drawing, rows, card, len(lanes) + 1, column)
        _draw_earned(drawing, rows, name, len(heights))
    drawing.add_vline(step, line_width=1.5, line_color=COLOURS["grey"], line_dash="dot")
    _place_titles(drawing)
    drawing.update_xaxes(range=[-0.5, shown.timeline["step"].n_unique() - 0.5])
    drawing.update_xaxes(title_text="step", row=len(heights), col=1)
    figure(
        drawing, f"The policy beside the rule {readable(rule).lower()}", key=key, top=68,
        height=sum(heights) + 46 * len(heights) + 130,
        alt=", ".join(f"{name} {value:,.4g}" for name, value in shown.earned.items()),
    )  # fmt: skip


def _place_titles(drawing: Any) -> None:
    """Long ones begin at the left edge, and those of the right column end at the right one: they never meet."""
    for number, title in enumerate(drawing.layout.annotations):
        right = number % 2 == 1
        title.update(x=1 if right else 0, xanchor="right" if right else "left", font_size=12)


def _draw_lane(drawing: Any, rows: "pl.DataFrame", lane: "Lane", card: "Card", row: int, column: int) -> None:
    names = [feature.name for feature in card.observation]
    place: dict[str, Any] = {"row": row, "col": column}
    for number, name in enumerate(lane.stacked):
        values = rows["observation"].list.get(names.index(name)).to_list()
        colour = _STACK[number % len(_STACK)]
        drawing.add_scatter(
            x=rows["step"].to_list(), y=values, stackgroup=f"{row}/{column}", mode="lines", line_shape="hvh",
            line={"width": 0, "color": colour}, fillcolor=colour, legendgroup=name, showlegend=column == 1,
            name=escaped(f"{words(name)} left".replace("stock for", "stock:")),
            hovertemplate="%{y:.3g}", **place,
        )  # fmt: skip
    if lane.stacked:
        drawing.update_yaxes(rangemode="tozero", **place)
    for name in lane.lines:
        values = rows["observation"].list.get(names.index(name)).to_list()
        drawing.add_scatter(
            x=rows["step"].to_list(), y=values, mode="lines", name=escaped(words(name)), legendgroup=name,
            line={"color": COLOURS["orange" if lane.stacked else "blue"], "width": 1.6},
            showlegend=column == 1 and bool(lane.stacked), hovertemplate="%{y:.3g}", **place,
        )  # fmt: skip


def _draw_actions(drawing: Any, rows: "pl.DataFrame", card: "Card", row: int, column: int) -> None:
    actions = rows["action"].to_list()
    said = [escaped(card.actions[action]) for action in actions]
    place: dict[str, Any] = {"row": row, "col": column}
    drawing.add_scatter(
        x=rows["step"].to_list(), y=actions, mode="markers", name="action", showlegend=False, text=said,
        marker={"symbol": "line-ns-open", "size": 9, "color": COLOURS["blue"], "line": {"width": 2}},
        hovertemplate="step %{x}: %{text}<extra></extra>", **place,
    )  # fmt: skip
    shown: Sequence[int] = range(len(card.actions))
    if len(card.actions) > _FEW_ACTIONS:
        shown = sorted({0, len(card.actions) // 2, len(card.actions) - 1})
    drawing.update_yaxes(
        tickvals=list(shown),
        ticktext=[escaped(card.actions[action]) for action in shown],
        range=[-0.6, len(card.actions) - 0.4],
        **place,
    )


def _draw_earned(drawing: Any, rows: "pl.DataFrame", name: str, row: int) -> None:
    mine = name == "network"
    drawing.add_scatter(
        x=rows["step"].to_list(), y=rows["reward"].cum_sum().to_list(), mode="lines",
        name="policy" if mine else escaped(f"rule: {readable(name).lower()}"),
        line={"color": COLOURS["blue" if mine else "orange"], "width": 2},
        hovertemplate="%{y:,.4g}", row=row, col=1,
    )  # fmt: skip
