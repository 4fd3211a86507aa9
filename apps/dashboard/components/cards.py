"""Headline numbers with their intervals and baselines, and facts, side by side in fixed frames."""

from collections.abc import Mapping, Sequence

import streamlit as st

from apps.dashboard.components.text import escaped
from apps.dashboard.published import Model
from shared.publishing.blocks import best_first, direction, estimate, interval, show
from shared.publishing.standard import readable
from shared.publishing.summary import Metrics, MetricValue

_MOST_CARDS = 4
# Colours come from the text of the theme, so that the frames hold in light and dark.
_STYLE = """<style>
.fw-cards, .fw-facts { display: grid; gap: .75rem; }
.fw-cards { grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); }
.fw-facts { grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); row-gap: .9rem; margin: .25rem 0; }
.fw-card { border: 1px solid rgba(128, 138, 148, .35); border-radius: .5rem; padding: .8rem 1rem; }
.fw-name { font-size: .8rem; opacity: .72; line-height: 1.35; }
.fw-value { font-size: 1.75rem; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.fw-unit { font-size: .95rem; font-weight: 400; opacity: .72; margin-left: .3rem; }
.fw-note { font-size: .8rem; opacity: .8; line-height: 1.4; font-variant-numeric: tabular-nums; }
.fw-fact { font-size: .95rem; line-height: 1.4; overflow-wrap: anywhere; }
</style>"""


def metric_cards(model: Model, titles: Mapping[str, str], baselines: Mapping[str, str]) -> None:
    """The first four of `titles` with value, 95 % interval, sample size and the best baseline of each."""
    known = [name for name in titles if name in model.summary.metrics][:_MOST_CARDS]
    cards = [
        _card(titles[name], name, model.summary.metrics[name], model.summary.baselines, baselines)
        for name in known
    ]
    st.html(f'{_STYLE}<div class="fw-cards">{"".join(cards)}</div>')


def facts(values: Mapping[str, str]) -> None:
    """Facts by name in one row, more rows where the page is narrow."""
    cells = [
        f'<div><div class="fw-name">{escaped(name)}</div><div class="fw-fact">{escaped(value)}</div></div>'
        for name, value in values.items()
    ]
    st.html(f'{_STYLE}<div class="fw-facts">{"".join(cells)}</div>')


def value_cards(values: Mapping[str, tuple[str, str]], notes: Sequence[str] = ()) -> None:
    """Other numbers in the same frames: name to value and unit; `notes` stand below them, in the same order."""
    below = [*notes, *[""] * len(values)]
    cards = [
        _frame(name, value, unit, [note])
        for (name, (value, unit)), note in zip(values.items(), below, strict=False)
    ]
    st.html(f'{_STYLE}<div class="fw-cards">{"".join(cards)}</div>')


def _card(
    title: str, name: str, metric: MetricValue, models: Mapping[str, Metrics], named: Mapping[str, str]
) -> str:
    document = metric.model_dump()
    between = interval(document)
    notes = [
        f"95 % interval {between}" if between else "no interval",
        ", ".join(part for part in (f"n = {show(metric.n)}", direction(document)) if part),
    ]
    values = {model: metrics[name].value for model, metrics in models.items() if name in metrics}
    if ranked := best_first(values, metric.higher_is_better):
        other = models[ranked[0]][name].model_dump()
        notes.append(f"best baseline: {named.get(ranked[0], readable(ranked[0]))} {estimate(other)}")
    return _frame(title, estimate(document), metric.unit, notes)


def _frame(title: str, value: str, unit: str, notes: Sequence[str]) -> str:
    lines = "".join(f'<div class="fw-note">{escaped(note)}</div>' for note in notes if note)
    return (
        f'<div class="fw-card"><div class="fw-name">{escaped(title)}</div><div class="fw-value">{escaped(value)}'
        f'<span class="fw-unit">{escaped(unit)}</span></div>{lines}</div>'
    )
