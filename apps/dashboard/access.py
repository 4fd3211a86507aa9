"""Who may see the dashboard: whoever sits at this machine, or knows the token. Nothing is drawn before that."""

import hmac
import os
import time

import streamlit as st

from apps.dashboard.serve import TOKEN_VARIABLE

_GRANTED = "access/granted"
# Guessing is hopeless at the length that the command asks for; this keeps it from costing anything.
_WRONG_SECONDS = 1.0


def require_access() -> None:
    """Ends the run of the page for a session that may not see it.

    Without a token only this machine is served: a page that was started without the command would otherwise listen on
    every interface.
    """
    token = os.environ.get(TOKEN_VARIABLE, "")
    if token:
        if not st.session_state.get(_GRANTED):
            _ask(token)
    elif isinstance(st.context.ip_address, str):  # None: this machine
        st.error(f"Without a token only this machine is served. Set {TOKEN_VARIABLE} and start again.")
        st.stop()


def _ask(token: str) -> None:
    with st.form("access", border=True, width=460):
        st.subheader("Fieldwork")
        given = st.text_input("Token", type="password", help="Given with `fieldwork dashboard --token`.")
        sent = st.form_submit_button("Open", type="primary")
    # bytes: compare_digest takes no text beyond ASCII
    if sent and hmac.compare_digest(given.encode(), token.encode()):
        st.session_state[_GRANTED] = True
        st.rerun()
    if sent:
        time.sleep(_WRONG_SECONDS)
        st.error("This is not the token.")
    st.stop()
