"""Whoever asks for a module finds no other one half imported."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from apps.dashboard.imports import imported

_SLOW = "import time\ntime.sleep(0.3)\ncomplete = True\n"


def test_what_another_thread_has_begun_to_import_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fieldwork_slow.py").write_text(_SLOW)
    (tmp_path / "fieldwork_quick.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with ThreadPoolExecutor(1) as threads:
        begun = threads.submit(imported, "fieldwork_slow")
        while "fieldwork_slow" not in sys.modules and not begun.done():
            time.sleep(0.001)
        imported("fieldwork_quick")
        assert hasattr(sys.modules["fieldwork_slow"], "complete")
    for name in ("fieldwork_slow", "fieldwork_quick"):
        monkeypatch.delitem(sys.modules, name)
