"""The application: navigation over the pages of the catalogue's pipelines and the one for operations."""

from pathlib import Path

import streamlit as st

from apps.dashboard.access import require_access
from pipelines.catalogue import PIPELINES

PAGES = Path(__file__).parent / "pages"


def main() -> None:
    require_access()
    pages = [
        st.Page(path, title=pipeline.title, url_path=pipeline.name, default=False)
        for pipeline in PIPELINES
        if (path := PAGES / f"{pipeline.name}.py").is_file()
    ]
    operations = st.Page(PAGES / "operations.py", title="Operations", url_path="operations", default=True)
    st.navigation({"Pipelines": pages, "Platform": [operations]}).run()


if __name__ == "__main__":
    main()
