"""What is in use and how it came there: standing of all pipelines, runs and versions, promotions and the way back."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from apps.dashboard import published
from apps.dashboard.components.banners import banner
from apps.dashboard.components.results import MOMENT, download_file
from apps.dashboard.components.text import ago
from apps.dashboard.published import Model
from pipelines.catalogue import PIPELINES, Pipeline
from shared.errors import FieldworkError
from shared.publishing.blocks import estimate, interval
from shared.publishing.registry import Registry

_VERDICTS = {"good": "beats the baselines", "neutral": "within noise", "warning": "worse than a baseline"}


def standing() -> None:
    """One row for each pipeline: what is in use, how good it is, when it was last used."""
    rows = [_standing(pipeline) for pipeline in PIPELINES]
    st.dataframe(rows, hide_index=True, height=38 + 35 * len(rows))
    if not any(row["version"] for row in rows):
        st.info("Nothing is published yet. Run all pipelines on their generated data:")
        st.code("fieldwork run --all", language="bash")
        return
    st.markdown("##### Reports")
    with st.container(horizontal=True):
        for pipeline in PIPELINES:
            if (model := _champion(pipeline.name)) is not None and model.has("report.html"):
                name = f"{pipeline.name}-{model.version}.html"
                place = model.bundle.path("report.html")
                download_file(
                    place, pipeline.title, "text/html", key=f"operations/report/{pipeline.name}", name=name
                )


def _champion(pipeline: str) -> Model | None:
    """The model in use; None where there is none or its bundle cannot be read, which its own page says."""
    try:
        found = published.champion(pipeline)
        return None if found is None else published.model(found)
    except FieldworkError:
        return None


def _standing(pipeline: Pipeline) -> dict[str, Any]:
    model, runs = _champion(pipeline.name), published.score_runs(pipeline.name)
    now = datetime.now(UTC)
    row: dict[str, Any] = {"pipeline": pipeline.title, "version": "", "trained": "", "headline": ""}
    if model is not None:
        metric = model.summary.metrics.get(pipeline.headline)
        row |= {
            "version": str(model.version),
            "trained": ago((now - model.created_at).total_seconds()),
            "headline": "" if metric is None else _headline(pipeline.headline, metric.model_dump()),
            "verdict": _VERDICTS.get(model.verdict_kind, ""),
            "explanations": "not passed" if model.explanation_warning else "passed",
        }
    row["last scored"] = ago((now - runs[0].at).total_seconds()) if runs else "none"
    row["drift"] = "" if not runs else "refused" if runs[0].refused else "yes" if runs[0].drifted else "no"
    return row


def _headline(name: str, metric: Mapping[str, Any]) -> str:
    between = interval(metric)
    words = [name.removeprefix("test/"), estimate(metric), metric["unit"], f"({between})" if between else ""]
    return " ".join(word for word in words if word)


def tracked_runs() -> None:
    """Runs and versions of one pipeline, as MLflow has them."""
    pipeline = _chosen("runs")
    st.markdown("##### Versions")
    found = published.versions(pipeline.name)
    if not found:
        st.text("No version is published.")
        return
    st.dataframe(
        [
            {
                "version": each.version,
                "standing": ", ".join(each.aliases),
                "trained on": each.table,
                "contract": each.contract,
                "registered": each.created_at,
                "digest": each.digest[:12],
            }
            for each in found
        ],
        hide_index=True,
    )
    st.markdown("##### Runs")
    rows = [
        {
            "run": run.name,
            "status": run.status.lower(),
            "at (UTC)": run.at,
            "preset": run.preset,
            "data": run.source,
            pipeline.headline: run.metrics.get(pipeline.headline),
            "verdict": run.verdict,
        }
        for run in published.registry().runs(pipeline.name)
    ]
    st.dataframe(rows, hide_index=True, column_config={"at (UTC)": MOMENT})


def promotions() -> None:
    """Every decision about one pipeline with its reasons, and the way back."""
    pipeline = _chosen("promotions")
    events = published.history(pipeline.name)
    if not events:
        st.text("No decision was made yet.")
        return
    num_events = Registry().verify_history(pipeline.name)
    st.caption(f"{num_events} events; their chain of digests is whole.")
    st.dataframe([_event(event) for event in events], hide_index=True)
    _rollback(pipeline)


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    outcome = str(event.get("outcome", "")).replace("_", " ")
    return {
        "at (UTC)": str(event["at"])[:19].replace("T", " "),
        "what": event["event"] + (f": {outcome}" if outcome else ""),
        "version": str(event.get("version") or ""),
        "instead of": str(event.get("replaced") or event.get("champion") or ""),
        "who": str(event.get("who", "")),
        "reasons": " ".join(str(reason) for reason in event.get("reasons") or ()),
    }


def _rollback(pipeline: Pipeline) -> None:
    champion = published.champion(pipeline.name)
    if champion is None:
        return
    with st.popover("Roll back ...", icon=":material/undo:"):
        st.markdown(
            f"Make the champion before version {champion.version} the champion again. Scoring uses it at once."
        )
        reason = st.text_input("Why", key="operations/reason", max_chars=300)
        sure = st.button("Roll back", type="primary", disabled=not reason.strip(), key="operations/rollback")
    if sure:
        now = published.registry().rollback(pipeline.name, reason=f"{reason.strip()} (dashboard)")
        published.refresh()
        banner("good", f"{pipeline.title}: version {now.version} is champion again.")


def _chosen(view: str) -> Pipeline:
    pipeline: Pipeline = st.selectbox(
        "Pipeline", PIPELINES, format_func=lambda each: each.title, key=f"operations/{view}"
    )
    return pipeline
