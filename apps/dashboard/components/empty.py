"""A page without a model: the one command that makes one, and a button that runs it."""

import streamlit as st

from apps.dashboard import published, running
from apps.dashboard.components.banners import banner
from apps.dashboard.domain import AnyDomain

_LOOK_EVERY_SECONDS = 1.0


def empty_state(domain: AnyDomain) -> None:
    """What to do where nothing was published; shows a run that is under way, and the page once it has ended."""
    st.info("No model is published yet. Train, check and publish one on the pipeline's generated data:")
    st.code(running.command(domain.pipeline), language="bash")
    known = running.started(domain.pipeline)
    if known is None or not known.running:
        if known is not None and known.failed:
            banner("bad", "\n".join(known.lines(most=2)) or "The run ended without a message.")
        st.button(
            "Run it now (about a minute)",
            type="primary",
            key=domain.key("run"),
            on_click=running.start,
            args=(domain.pipeline,),
        )
        if known is None or known.failed:
            return
    _progress(domain.pipeline)


@st.fragment(run_every=_LOOK_EVERY_SECONDS)
def _progress(pipeline: str) -> None:
    known = running.started(pipeline)
    if known is None:
        return
    if known.running:
        st.status("Running ...", state="running", expanded=False)
        st.code("\n".join(known.lines()) or "Starting ...", language=None)
        return
    published.refresh()
    if not known.failed:
        running.forget(pipeline)
    st.rerun()
