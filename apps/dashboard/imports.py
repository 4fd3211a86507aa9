"""Large modules, each imported by one thread while all others wait.

Sessions are threads of one process. Plotly, narwhals and others look at what is in `sys.modules`, and find modules
there that another thread has begun to import; threads that wait for each other's imports in a circle get them too.
"""

import importlib
import threading
from functools import cache
from types import ModuleType

_DRAWING = ("polars", "pandas", "pyarrow", "plotly.graph_objects")
_one_at_a_time = threading.RLock()


def imported(name: str) -> ModuleType:
    """The module of this name, complete; waits while another thread imports one."""
    with _one_at_a_time:
        return importlib.import_module(name)


@cache
def ready_to_draw() -> None:
    """Import everything that drawing needs. The first call takes a second; later ones wait for no other import."""
    for name in _DRAWING:
        imported(name)
