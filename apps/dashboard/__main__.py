"""`streamlit` with what the first page needs imported meanwhile: a visitor does not wait for it."""

import gc
import threading
import time

from apps.dashboard.imports import imported, ready_to_draw

# As long as a first page takes: what is imported meanwhile slows it down.
_PAUSE_SECONDS = 3.0


def main() -> None:
    """Start the imports and then Streamlit's own command with the arguments of this process."""
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.web.cli import main as streamlit

    # app.py declares its pages; the first visitor would otherwise get those of the folder, under other names
    PagesManager.uses_pages_directory = False
    threading.Thread(target=_import, daemon=True).start()
    streamlit(prog_name="streamlit")


def _import() -> None:
    """What pages need, in the order in which they need it; MLflow waits until someone asks it, which is seldom."""
    ready_to_draw()
    imported("apps.dashboard.page")
    time.sleep(_PAUSE_SECONDS)
    imported("torch")
    # Streamlit collects garbage after every run of a page, which takes a quarter of a second with all these modules
    # and milliseconds without them; they are never garbage. A first score imports more than torch.
    gc.freeze()
    time.sleep(_PAUSE_SECONDS)
    gc.freeze()


if __name__ == "__main__":
    main()
