"""Pages as their users have them: opened in a home with a published model, or in an empty one."""

import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from streamlit.testing.v1 import AppTest

PAGES = Path(__file__).parents[3] / "apps" / "dashboard" / "pages"
HomeOf = Callable[[str], Path]
Open = Callable[..., AppTest]


@pytest.fixture
def open_page(home_of: HomeOf, monkeypatch: pytest.MonkeyPatch) -> Open:
    """`open_page(pipeline, view=...)`: its page after the first look, in the home with its model."""

    def opened(pipeline: str, *, view: str = "", home: Path | None = None) -> AppTest:
        monkeypatch.setenv("FIELDWORK_HOME", str(home or home_of(pipeline)))
        page = AppTest.from_file(str(PAGES / f"{pipeline}.py"), default_timeout=120)
        if view:
            page.query_params["view"] = view
        return page.run()

    return opened


@pytest.fixture
def failed_explanation(monkeypatch: pytest.MonkeyPatch) -> str:
    """Every model's explanations have failed their check; the sentence that must stand beside each."""
    from apps.dashboard.published import Model

    sentence = "Not faithful for this model (test): no better than a random order"
    monkeypatch.setattr(Model, "explanation_warning", property(lambda _: sentence))
    return sentence


@pytest.fixture(scope="session", autouse=True)
def _no_token(_outside_world: None):
    """A token of the user's would lock the tests out."""
    kept = {name: value for name, value in os.environ.items() if name != "FIELDWORK_DASHBOARD_TOKEN"}
    with patch.dict(os.environ, kept, clear=True):
        yield
