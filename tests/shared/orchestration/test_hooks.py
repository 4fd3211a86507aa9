"""Hooks: the right ones are told, what they are told, and that none of them can fail a run."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from pydantic import ValidationError

from shared.orchestration.hooks import EVENTS, Alert, Hook, notify


class Receiver:
    """A web server on the loopback interface that answers as told and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.received: list[tuple[str, dict[str, str], Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


@pytest.fixture
def told() -> tuple[Callable[..., list[str]], list[float]]:
    """Notify hooks without waiting; the lines that were said, and the pauses that there would have been."""
    pauses: list[float] = []

    def tell(hook: Hook, alert: Alert) -> list[str]:
        said: list[str] = []
        notify([hook], alert, said.append, pause=pauses.append)
        return said

    return tell, pauses


def drift_alert() -> Alert:
    return Alert(
        event="drift",
        deployment="toys-score",
        pipeline="toys",
        message="monday.csv drifted.",
        details={"columns": ["income"]},
    )


def test_webhook_gets_the_alert_as_json(receiver, told):
    assert told[0](Hook(webhook=receiver.url), drift_alert()) == []
    [(path, headers, document)] = receiver.received
    assert (path, headers["Content-Type"]) == ("/alerts", "application/json")
    assert document.pop("at")
    assert document == {
        "event": "drift",
        "deployment": "toys-score",
        "pipeline": "toys",
        "message": "monday.csv drifted.",
        "details": {"columns": ["income"]},
    }


def test_address_and_token_may_come_from_the_environment_and_are_not_shown(receiver, told, monkeypatch):
    monkeypatch.setenv("ALERTS_URL", receiver.url)
    monkeypatch.setenv("ALERTS_TOKEN", "secret")
    receiver.answers = [500]
    said = told[0](Hook(webhook_env="ALERTS_URL", token_env="ALERTS_TOKEN", retries=0), drift_alert())
    assert receiver.received[0][1]["Authorization"] == "Bearer secret"
    assert said == ["hook: webhook ALERTS_URL was not told of drift in toys-score: HTTP 500"]


def test_refused_alert_is_sent_again_and_taken(receiver, told):
    tell, pauses = told
    receiver.answers = [503, 503]
    assert tell(Hook(webhook=receiver.url, retries=2), drift_alert()) == []
    assert len(receiver.received) == 3
    assert len(pauses) == 2


def test_redirect_is_not_followed(receiver, told):
    receiver.answers = [302, 302]
    [line] = told[0](Hook(webhook=receiver.url, retries=1), drift_alert())
    assert "HTTP 302" in line
    assert [path for path, *_ in receiver.received] == ["/alerts", "/alerts"]


def test_hook_is_told_of_its_events_only(receiver, told):
    told[0](Hook(webhook=receiver.url, events=("failed",)), drift_alert())
    assert receiver.received == []


def test_command_gets_the_alert_on_stdin_and_no_shell_reads_its_arguments(tmp_path, told):
    target = tmp_path / "alert; touch x"
    code = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    assert told[0](Hook(command=(sys.executable, "-c", code, str(target))), drift_alert()) == []
    assert Alert.model_validate_json(target.read_text()).event == "drift"


@pytest.mark.parametrize(
    ("command", "limit_seconds", "part"),
    [
        ((sys.executable, "-c", "import sys; sys.exit('no such pager')"), 60, "exit code 1: no such pager"),
        (("/no/such/command",), 60, "FileNotFoundError"),
        ((sys.executable, "-c", "import time; time.sleep(600)"), 0.2, "no end within 0.2 s"),
    ],
    ids=["fails", "missing", "hangs"],
)
def test_failing_command_is_reported_and_raises_nothing(told, command, limit_seconds, part):
    [line] = told[0](Hook(command=command, retries=0, timeout_seconds=limit_seconds), drift_alert())
    assert part in line


@pytest.mark.parametrize(
    "webhook", ["http://127.0.0.1:9/x", None], ids=["nobody-listens", "variable-missing"]
)
def test_unreachable_webhook_is_reported_and_raises_nothing(told, webhook):
    way = {"webhook": webhook} if webhook else {"webhook_env": "NO_SUCH_VARIABLE"}
    assert len(told[0](Hook(**way, retries=0), drift_alert())) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"webhook": "https://example.org", "command": ["page"]},
        {"webhook": "http://example.org/alerts"},
        {"webhook": "file:///etc/passwd"},
        {"webhook": "example.org"},
        {"command": []},
        {"command": "rm -rf x"},
        {"webhook": "https://example.org", "events": ["success"]},
        {"webhook": "https://example.org", "method": "GET"},
    ],
    ids=[
        "nothing",
        "both",
        "in-the-clear",
        "file",
        "no-scheme",
        "empty",
        "one-string",
        "event",
        "unknown-key",
    ],
)
def test_hook_that_cannot_work_is_refused(settings):
    with pytest.raises(ValidationError):
        Hook.model_validate(settings)


def test_plain_http_goes_to_other_machines_only_when_allowed():
    hook = Hook(webhook="http://alerts.internal/x", allow_http=True)
    assert hook.events == EVENTS
    assert hook.label == "webhook alerts.internal"
