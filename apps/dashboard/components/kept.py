"""One value of a session that is costly to make and belongs to what the user looks at right now."""

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

import streamlit as st

Value = TypeVar("Value")


def kept(key: str, what: Hashable, make: Callable[[], Value]) -> Value:
    """The value made for `what`; it is made again for another `what`, and the one before is let go."""
    held = st.session_state.get(key)
    if held is None or held[0] != what:
        # let go first: two volumes at once may be more than there is memory for
        st.session_state.pop(key, None)
        held = (what, make())
        st.session_state[key] = held
    return cast(Value, held[1])
