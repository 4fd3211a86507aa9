"""`streamlit` with what the first page needs imported meanwhile: a visitor does not wait for it."""

import importlib
import threading

# Seconds altogether, most of them of MLflow; torch comes last, only scoring needs it.
_NEEDED = ("polars", "mlflow.tracking", "plotly.graph_objects", "apps.dashboard.page", "torch")


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


if __name__ == "__main__":
    main()
