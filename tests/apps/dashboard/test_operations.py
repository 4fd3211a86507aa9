"""The page of operations: what is in use, why, and the way back."""

import json
import shutil
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from shared.errors import FieldworkError
from shared.orchestration.server import known_server
from shared.publishing.registry import Registry


@pytest.fixture
def own_home(home_of, tmp_path):
    """A copy of the home with a model of credit scoring, to write to."""
    return shutil.copytree(home_of("credit_scoring"), tmp_path / "home")


def test_every_pipeline_has_its_row_published_or_not(open_page, own_home):
    page = open_page("operations", home=own_home)
    assert not page.exception
    rows = page.dataframe[0].value.set_index("pipeline")
    assert len(rows) == 8
    assert rows.loc["Credit scoring", "version"] == "1"
    assert rows.loc["Credit scoring", "headline"].startswith("roc_auc 0.")
    assert rows.loc["Recommender", "version"] == ""


def test_a_home_without_models_says_the_one_command(open_page, tmp_path):
    page = open_page("operations", home=tmp_path / "empty")
    assert not page.exception
    assert page.code[0].value == "fieldwork run --all"
    assert not (tmp_path / "empty").exists(), "looking changes nothing"


def test_runs_and_versions_are_those_of_the_registry(open_page, own_home):
    page = open_page("operations", view="Runs and versions", home=own_home)
    assert not page.exception
    versions, runs = (table.value for table in page.dataframe)
    assert list(versions["version"]) == [1]
    assert list(runs["preset"]) == ["tiny"]
    assert runs["verdict"][0]


def test_promotions_come_with_their_reasons(open_page, own_home):
    page = open_page("operations", view="Promotions", home=own_home)
    assert not page.exception
    events = page.dataframe[0].value
    assert list(events["what"]) == ["promotion", "gate: first"]
    assert "its own checks passed" in events["reasons"][0]
    assert "chain of digests is whole" in page.caption[0].value


def test_a_changed_history_is_noticed(open_page, own_home):
    path = own_home / "artifacts" / "history" / "credit_scoring.jsonl"
    path.write_text(path.read_text().replace("first model", "best model"))
    page = open_page("operations", view="Promotions", home=own_home)
    assert "was changed at or before line" in page.error[0].value


def test_rolling_back_needs_a_reason_and_keeps_it(open_page, own_home, monkeypatch):
    monkeypatch.setenv("FIELDWORK_HOME", str(own_home))
    page = open_page("operations", view="Promotions", home=own_home)
    assert page.button(key="operations/rollback").disabled
    done = []
    monkeypatch.setattr(
        Registry, "rollback", lambda self, name, reason: done.append((name, reason)) or self.version(name)
    )
    page.text_input(key="operations/reason").set_value("alarms doubled").run()
    page.button(key="operations/rollback").click().run()
    assert not page.exception
    assert done == [("credit_scoring", "alarms doubled (dashboard)")]


def test_without_an_earlier_champion_there_is_no_way_back(open_page, own_home):
    page = open_page("operations", view="Promotions", home=own_home)
    page.text_input(key="operations/reason").set_value("why not").run()
    page.button(key="operations/rollback").click().run()
    assert "no earlier champion" in page.error[0].value


def test_declared_schedules_are_shown_where_no_server_answers(open_page, own_home, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL")
    page = open_page("operations", view="Schedules and flow runs", home=own_home)
    assert not page.exception
    assert page.code[0].value == "fieldwork schedule"
    assert {"credit_scoring-train", "credit_scoring-score"} <= set(page.dataframe[0].value["deployment"])


class FakePrefect(BaseHTTPRequestHandler):
    """Answers with the fields that a Prefect server of 3.8 has for these."""

    answers: ClassVar = {
        "/api/deployments/filter": [
            {
                "name": "credit_scoring-train",
                "description": "preset quick, data synthetic",
                "paused": False,
                "schedules": [{"active": True, "schedule": {"cron": "0 2 * * 0", "timezone": "UTC"}}],
            }
        ],
        "/api/flows/filter": [{"id": "f-1", "name": "credit_scoring-train"}],
        "/api/flow_runs/filter": [
            {
                "flow_id": "f-1",
                "name": "credit_scoring-train 2026-11-22 02:00",
                "state_name": "Completed",
                "state": {"message": "Version 1, promoted."},
                "start_time": "2026-11-22T02:00:01.5Z",
                "expected_start_time": "2026-11-22T02:00:00Z",
                "total_run_time": 21.3,
            }
        ],
    }

    def do_GET(self):
        self.answer(True)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(self.answers[self.path])

    def answer(self, document):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def prefect(monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), FakePrefect)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}/api")
    yield server
    server.shutdown()
    server.server_close()


def test_schedules_and_flow_runs_come_from_a_server_that_answers(open_page, own_home, prefect):
    page = open_page("operations", view="Schedules and flow runs", home=own_home)
    assert not page.exception
    schedules, runs = (table.value for table in page.dataframe)
    assert schedules.to_dict("records")[0]["schedule"] == "0 2 * * 0 UTC"
    [run] = runs.to_dict("records")
    assert (run["flow"], run["what came of it"]) == ("credit_scoring-train", "Version 1, promoted.")


def test_a_server_that_is_gone_is_not_taken_for_one(monkeypatch, tmp_path):
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert known_server() is None
    monkeypatch.delenv("PREFECT_API_URL")
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "server-9.log").touch()
    assert known_server() is None


def test_what_a_server_answers_wrongly_is_one_message(prefect, monkeypatch):
    from apps.dashboard import prefect_server

    monkeypatch.setitem(FakePrefect.answers, "/api/flow_runs/filter", [{"flow_id": "gone"}])
    url = f"http://127.0.0.1:{prefect.server_port}/api"
    [run] = prefect_server.flow_runs(url)
    assert (run.flow, run.state, run.started_at) == ("", "unknown", None)
    with pytest.raises(FieldworkError, match="does not answer as expected"):
        prefect_server.flow_runs("http://127.0.0.1:9/api")
