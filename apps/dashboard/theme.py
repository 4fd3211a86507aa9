"""The look that all pages share, beyond the colours of Streamlit's theme."""

import streamlit as st

from apps.dashboard.imports import ready_to_draw

_SIDEBAR_PIXELS = 240
# Room for what the page is about: Streamlit's own margins would leave two thirds of a small screen to it.
_STYLE = """<style>
.stMainBlockContainer { padding: 3.25rem 2.5rem 4rem; max-width: 84rem; }
.stMainBlockContainer h1 { font-size: 2rem; padding: 0 0 .25rem; }
.stMainBlockContainer h4 { font-weight: 500; padding-top: 0; }
</style>"""


def dress(title: str) -> None:
    """Set the title in the browser and the measures of the page. Draws nothing, but the page can draw from here on."""
    ready_to_draw()
    st.set_page_config(
        page_title=f"{title} · Fieldwork", layout="wide", initial_sidebar_state=_SIDEBAR_PIXELS
    )
    st.html(_STYLE)
