"""`streamlit` with what pages need imported meanwhile: a visitor does not wait for it."""

import gc
import importlib
import threading
import time

_FIRST = ("polars", "plotly.graph_objects", "apps.dashboard.page")
# Scoring and the history of runs need them; their imports take seconds, which the first page does not wait for.
_LATER = ("torch", "mlflow.tracking")
_FIRST_PAGE_SECONDS = 2.0


def main() -> None:
    """Start the imports and then Streamlit's own command with the arguments of this process."""
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.web.cli import main as streamlit

    # app.py declares its pages; the first visitor would otherwise get those of the folder, under other names
    PagesManager.uses_pages_directory = False
    threading.Thread(target=_import, daemon=True).start()
    streamlit(prog_name="streamlit")


def _import() -> None:
    for name in _FIRST:
        importlib.import_module(name)
    time.sleep(_FIRST_PAGE_SECONDS)
    for name in _LATER:
        importlib.import_module(name)
    # Streamlit collects garbage after every run of a page, which takes a quarter of a second with all these modules
    # and milliseconds without them; they are never garbage.
    gc.freeze()


if __name__ == "__main__":
    main()
