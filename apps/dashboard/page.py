"""The frame of every page of a pipeline: who may see it, what it answers, how good its model is, how fresh."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import streamlit as st

from apps.dashboard import published
from apps.dashboard.access import require_access
from apps.dashboard.components.banners import plain_errors, verdict_banner
from apps.dashboard.components.cards import facts, metric_cards
from apps.dashboard.components.drift import drift_strip, no_score_runs
from apps.dashboard.components.empty import empty_state
from apps.dashboard.components.results import download_file
from apps.dashboard.components.text import ago
from apps.dashboard.components.versions import chosen_version
from apps.dashboard.domain import AnyDomain
from apps.dashboard.published import Model, ScoreRun
from apps.dashboard.theme import dress
from shared.publishing.blocks import show


def open_page(domain: AnyDomain) -> Model:
    """Draw what all pages have alike and return the model that the user looks at.

    Ends the run of the page for a session without access, and where nothing is published yet.
    """
    entry = domain.entry
    dress(entry.title)
    require_access()
    st.title(entry.title, anchor=False)
    st.markdown(f"#### {entry.question}")
    model = None
    with plain_errors():
        found = chosen_version(domain)
        if found is None:
            empty_state(domain)
        else:
            model = published.model(found)
            _standing(domain, model)
    if model is None:
        st.stop()
    return model


def show_views(views: Mapping[str, Callable[[], None]]) -> None:
    """The parts of a page by title; only the open one is computed. Which one is open stands in the address."""
    tabs = st.tabs(list(views), key="view", bind="query-params")
    for tab, draw in zip(tabs, views.values(), strict=True):
        if tab.open:
            with tab, plain_errors():
                draw()


def _standing(domain: AnyDomain, model: Model) -> None:
    verdict_banner(model)
    metric_cards(model, domain.titles, domain.baselines)
    runs = published.score_runs(domain.pipeline)
    facts(_fresh(model, runs))
    with st.container(horizontal=True):
        if model.has("report.html"):
            download_file(
                model.bundle.path("report.html"),
                "Report of this model",
                "text/html",
                key=domain.key("report"),
                name=f"{domain.pipeline}-{model.version}.html",
            )
        with st.popover("Score runs and drift"):
            if runs:
                drift_strip({domain.entry.title: runs}, key=domain.key("runs"))
            else:
                no_score_runs(domain.pipeline)


def _fresh(model: Model, runs: list[ScoreRun]) -> dict[str, str]:
    """How old the model and its last use are, and what it learnt from."""
    now = datetime.now(UTC)
    num_rows = model.summary.rows.get("in", 0)
    known = {
        "Version": f"{model.version}, preset {model.summary.preset}",
        "Trained": f"{model.created_at:%Y-%m-%d %H:%M} UTC, {ago((now - model.created_at).total_seconds())}",
        "On": f"{model.summary.source}, {show(num_rows)} row{'' if num_rows == 1 else 's'} in",
        "Last score run": "none yet",
        "Drift": "none yet",
    }
    if runs:
        last = runs[0]
        known["Last score run"] = f"{last.at:%Y-%m-%d %H:%M} UTC, {ago((now - last.at).total_seconds())}"
        known["Drift"] = _drift_words(last)
    return known


def _drift_words(run: ScoreRun) -> str:
    if run.refused:
        return "the last file broke the contract"
    if not run.drifted:
        return "none in the last file"
    return f"in the last file: {', '.join(run.drifted_columns) or 'scores'}"
