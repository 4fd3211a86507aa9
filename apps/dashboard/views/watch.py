"""Drift and contract failures of all pipelines over time; schedules and flow runs."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from apps.dashboard import prefect_server, published
from apps.dashboard.components.drift import drift_strip
from apps.dashboard.components.results import MOMENT
from apps.dashboard.components.text import markdown_text
from apps.dashboard.published import ScoreRun
from pipelines.catalogue import PIPELINES
from shared.data.home import home
from shared.orchestration.server import known_server

_LOOK_AGAIN_SECONDS = 15


def drift_and_contracts() -> None:
    """Score runs of all pipelines over time, and the files that broke their contract."""
    runs = {pipeline.title: published.score_runs(pipeline.name) for pipeline in PIPELINES}
    if not any(runs.values()):
        st.text("Nothing was scored on the command line or by a schedule yet.")
        return
    drift_strip(runs, key="operations/drift")
    latest_first = sorted(
        ((name, run) for name, own in runs.items() for run in own), key=lambda pair: pair[1].at, reverse=True
    )
    _listed("Files that broke their contract", [pair for pair in latest_first if pair[1].refused])
    _listed("Drift", [pair for pair in latest_first if pair[1].drifted])


def _listed(title: str, found: Sequence[tuple[str, ScoreRun]]) -> None:
    st.markdown(f"##### {title}")
    if not found:
        st.text("None.")
        return
    rows = [
        {
            "at (UTC)": run.at,
            "pipeline": name,
            "file": run.input,
            "what": run.reason or ", ".join(run.drifted_columns) or "the scores",
        }
        for name, run in found
    ]
    st.dataframe(rows, hide_index=True, column_config={"at (UTC)": MOMENT})


def flows() -> None:
    """What runs when, and what ran: from the Prefect server where one answers, else what is declared."""
    url = _server(str(home().root), os.environ.get("PREFECT_API_URL"))
    if url is None:
        st.info("No Prefect server answers: no schedule is being served. Serve the declared ones with:")
        st.code("fieldwork schedule", language="bash")
        _declared()
        return
    st.caption(markdown_text(f"From the Prefect server at {url}"))
    planned = prefect_server.schedules(url)
    st.markdown("##### Schedules")
    if planned:
        rows = [
            {"deployment": s.deployment, "schedule": s.cron, "active": s.active, "what": s.what}
            for s in planned
        ]
        st.dataframe(rows, hide_index=True)
    else:
        st.text("The server knows no deployment.")
        _declared()
    st.markdown("##### Flow runs")
    rows = [
        {
            "flow": run.flow,
            "run": run.name,
            "state": run.state,
            "started (UTC)": run.started_at,
            "seconds": run.seconds,
            "what came of it": run.message,
        }
        for run in prefect_server.flow_runs(url)
    ]
    st.dataframe(
        rows,
        hide_index=True,
        column_config={"seconds": st.column_config.NumberColumn(format="%.1f"), "started (UTC)": MOMENT},
    )


@st.cache_data(ttl=_LOOK_AGAIN_SECONDS, show_spinner=False)
def _server(root: str, named: str | None) -> str | None:
    return known_server()


def _declared() -> None:
    from apps.schedule.config import DEFAULT_FILE, read_deployments
    from apps.schedule.serve import next_run

    now = datetime.now(UTC)
    planned = sorted(
        ((next_run(each, now), each) for each in read_deployments(DEFAULT_FILE)), key=lambda pair: pair[0]
    )
    st.markdown("##### Declared schedules")
    rows = [
        {
            "deployment": each.name,
            "schedule": f"{each.settings.cron} {each.settings.time_zone}",
            "next run": f"{at:%a %Y-%m-%d %H:%M %Z}",
            "what": each.what,
        }
        for at, each in planned
    ]
    st.dataframe(rows, hide_index=True)
