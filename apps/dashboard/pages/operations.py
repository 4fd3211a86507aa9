"""Operations: what is in use and how it stands, runs, promotions, drift and contracts, schedules."""

import streamlit as st

from apps.dashboard.access import require_access
from apps.dashboard.page import show_views
from apps.dashboard.theme import dress
from apps.dashboard.views.operations import promotions, standing, tracked_runs
from apps.dashboard.views.watch import drift_and_contracts, flows


def main() -> None:
    dress("Operations")
    require_access()
    st.title("Operations", anchor=False)
    st.markdown("#### Is everything that should run running, and can every model in use be defended?")
    show_views(
        {
            "Standing": standing,
            "Runs and versions": tracked_runs,
            "Promotions": promotions,
            "Drift and contracts": drift_and_contracts,
            "Schedules and flow runs": flows,
        }
    )


if __name__ == "__main__":
    main()
