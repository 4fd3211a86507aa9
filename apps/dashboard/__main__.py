"""`streamlit` with what the first page needs imported meanwhile: a visitor does not wait for it."""

import gc
import importlib
import threading
import time

# Seconds altogether, most of them of MLflow.
_NEEDED = ("polars", "mlflow.tracking", "plotly.graph_objects", "apps.dashboard.page")
# Only scoring needs torch; its import would slow the first page down, which takes about so long.
_FIRST_PAGE_SECONDS = 3.0


def main() -> None:
    """Start the imports and then Streamlit's own command with the arguments of this process."""
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.web.cli import main as streamlit

    # app.py declares its pages; the first visitor would otherwise get those of the folder, under other names
    PagesManager.uses_pages_directory = False
    threading.Thread(target=_import, daemon=True).start()
    streamlit(prog_name="streamlit")


def _import() -> None:
    for name in _NEEDED:
        importlib.import_module(name)
    _open_registry()
    gc.freeze()
    time.sleep(_FIRST_PAGE_SECONDS)
    importlib.import_module("torch")
    # Streamlit collects garbage after every run of a page, which takes a quarter of a second with all these modules
    # and milliseconds without them; they are never garbage.
    gc.freeze()


def _open_registry() -> None:
    """MLflow prepares its tables for the first question, which takes most of a second."""
    from apps.dashboard.published import nothing_published
    from shared.errors import FieldworkError
    from shared.publishing.registry import Registry

    if not nothing_published():
        try:
            Registry().list()
        except FieldworkError:
            return  # the page will ask again, and says what is wrong


if __name__ == "__main__":
    main()
