"""Who sees what: nothing without the token, nothing from elsewhere without one, nothing of other sessions."""

import pytest
from streamlit.testing.v1 import AppTest

from apps.dashboard.serve import APP, Settings, command
from shared.errors import RequestError

TOKEN = "0123456789abcdef-ö"


@pytest.fixture
def locked(monkeypatch):
    monkeypatch.setenv("FIELDWORK_DASHBOARD_TOKEN", TOKEN)
    monkeypatch.setattr("apps.dashboard.access._WRONG_SECONDS", 0.0)
    return AppTest.from_file(str(APP), default_timeout=60).run()


def headings(page):
    return [heading.value for heading in [*page.title, *page.subheader]]


def test_nothing_is_shown_before_the_token(locked):
    assert headings(locked) == ["Fieldwork"]
    assert not locked.dataframe
    assert not locked.tabs


@pytest.mark.parametrize("given", ["", "0123456789abcdef", TOKEN + "x", TOKEN.upper()])
def test_a_wrong_token_opens_nothing(locked, given):
    locked.text_input[0].set_value(given)
    locked.button[0].click().run()
    assert headings(locked) == ["Fieldwork"]
    assert [error.value for error in locked.error] == ["This is not the token."]


def test_the_token_opens_the_session_once_and_for_all(locked):
    locked.text_input[0].set_value(TOKEN)
    locked.button[0].click().run()
    assert headings(locked) == ["Operations"]
    assert headings(locked.run()) == ["Operations"]


def test_each_page_asks_for_the_token_when_it_runs_alone(monkeypatch):
    monkeypatch.setenv("FIELDWORK_DASHBOARD_TOKEN", TOKEN)
    pages = sorted((APP.parent / "pages").glob("[a-z]*.py"))
    assert len(pages) == 9
    for page in pages:
        assert headings(AppTest.from_file(str(page), default_timeout=60).run()) == ["Fieldwork"], page.name


def test_other_machines_are_not_served_without_a_token(monkeypatch):
    address = property(lambda _: "10.0.0.7")
    monkeypatch.setattr("streamlit.runtime.context.ContextProxy.ip_address", address)
    page = AppTest.from_file(str(APP), default_timeout=60).run()
    assert not page.title
    assert "only this machine" in page.error[0].value


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "fieldwork.example.com"])
def test_an_address_that_others_reach_needs_a_token(host):
    with pytest.raises(RequestError, match="Expected a token"):
        Settings(host=host)
    assert Settings(host=host, token="x" * 16).token


def test_short_tokens_are_refused():
    with pytest.raises(RequestError, match="16 characters"):
        Settings(token="x" * 15)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_this_machine_no_other_name_is_answered(host):
    assert set(Settings(host=host).hosts()) == {"127.0.0.1", "localhost", "[::1]"}
    assert Settings(host="0.0.0.0", token="x" * 16).hosts() == ("*",)


def test_the_token_is_no_argument_of_the_process():
    assert TOKEN not in " ".join(command(Settings(token=TOKEN)))


def test_streamlit_knows_every_option():
    from streamlit import config

    known = set(config._config_options_template)
    assert set(Settings().options()) <= known
