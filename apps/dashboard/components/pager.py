"""One of several things after the other: buttons for the one before and after, beside a table to choose from."""

import streamlit as st


def pager(count: int, chosen: int | None, *, key: str, what: str) -> int:
    """Position of what is looked at, 0 to count - 1. chosen: of the row that is selected in a table, if any.

    A row counts when it is selected; the buttons lead on from it. `what` is the word for one, such as `case`.
    """
    here, before = f"{key}/at", f"{key}/chosen"
    if chosen is not None and st.session_state.get(before) != chosen:
        st.session_state[here] = chosen
    st.session_state[before] = chosen
    place = min(int(st.session_state.get(here, 0)), count - 1)
    with st.container(horizontal=True, vertical_alignment="center"):
        for word, icon, step in (("before", "chevron_left", -1), ("after", "chevron_right", 1)):
            st.button(
                f"{what.capitalize()} {word}",
                icon=f":material/{icon}:",
                disabled=not 0 <= place + step < count,
                key=f"{key}/{word}",
                on_click=_go,
                args=(here, place + step),
            )
        st.caption(f"{place + 1} of {count}")
    return place


def _go(key: str, place: int) -> None:
    st.session_state[key] = place
