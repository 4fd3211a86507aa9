"""Which version a page shows: the champion, or another one to look at."""

import streamlit as st

from apps.dashboard.components.banners import banner
from apps.dashboard.domain import AnyDomain
from apps.dashboard.published import versions
from shared.publishing.versions import CHAMPION, ModelVersion


def chosen_version(domain: AnyDomain) -> ModelVersion | None:
    """The version that the user looks at, the champion at first; None where nothing is published."""
    known = {found.version: found for found in versions(domain.pipeline)}
    if not known:
        return None
    used = next((found.version for found in known.values() if CHAMPION in found.aliases), None)
    numbers = sorted(known, key=lambda number: (number != used, -number))
    with st.sidebar:
        number = st.selectbox(
            "Model version",
            numbers,
            format_func=lambda each: f"{each}, champion" if each == used else str(each),
            key=domain.key("version"),
            help="Scoring uses the champion.",
        )
    if used is None:
        banner("warning", "No version was promoted yet: none of these is used for scoring.")
    elif number != used:
        banner("warning", f"Version {number} is not in use: scoring uses version {used}.")
    return known[number]
