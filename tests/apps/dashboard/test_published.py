"""What pages read: the state of a home, right after it changed, whatever was in it before."""

from collections.abc import Callable, Mapping

import pytest
from streamlit.testing.v1 import AppTest

from apps.dashboard import published
from apps.dashboard.listing import versions_of
from pipelines.catalogue import PIPELINES
from shared.contracts.report import ContractBroken, Violation
from shared.orchestration.score_log import logged, score_log
from shared.orchestration.scoring import ScoreSummary
from shared.publishing.versions import ModelVersion

SUMMARY = ScoreSummary(
    pipeline="credit_scoring",
    version="3",
    contract="credit_applications@1.0.0",
    rows={"in": 10, "quarantined": 1, "scored": 9},
    output="out.csv",
    quarantine=None,
    explanations=None,
    drift={"drifted": True, "columns": ["income"]},
    seconds=1.5,
)


def test_an_empty_home_has_nothing_and_gets_nothing():
    assert published.versions("credit_scoring") == []
    assert published.champion("credit_scoring") is None
    assert published.score_runs("credit_scoring") == []
    assert published.history("credit_scoring") == []
    assert not published.home().root.exists()


def test_what_was_scored_is_read_back_newest_first(tmp_path):
    violations = [Violation("range", "income", 7, "at least 0", examples=("-5",))]

    def refused() -> ScoreSummary:
        raise ContractBroken("Expected at most 5 % broken rows.", violations)

    assert logged("credit_scoring", tmp_path / "monday.csv", lambda: SUMMARY) is SUMMARY
    with pytest.raises(ContractBroken):
        logged("credit_scoring", tmp_path / "tuesday.csv", refused)
    tuesday, monday = published.score_runs("credit_scoring")
    assert (monday.input, monday.version, monday.rows) == ("monday.csv", "3", SUMMARY.rows)
    assert (monday.drifted, monday.drifted_columns, monday.refused) == (True, ("income",), False)
    assert (tuesday.input, tuesday.refused) == ("tuesday.csv", True)
    assert "-5" not in score_log("credit_scoring").path.read_text(), (
        "values of rows are no part of the record"
    )


@pytest.mark.parametrize(
    ("faithful", "warning", "expected"),
    [
        (True, None, None),
        (None, None, "not checked"),
        (False, "Not faithful: gap.", "Not faithful: gap."),
        (False, None, "do not rely on it"),
    ],
    ids=["passed", "unchecked", "failed", "failed without words"],
)
def test_explanations_that_did_not_pass_carry_a_warning(home_of, monkeypatch, faithful, warning, expected):
    monkeypatch.setenv("FIELDWORK_HOME", str(home_of("credit_scoring")))
    found = published.champion("credit_scoring")
    assert found is not None
    model = published.model(found)
    explanation = model.summary.explanation.model_copy(update={"faithful": faithful})
    metrics: Mapping = {"explanation": {"attribution": {"warning": warning}}}
    changed = published.Model(
        model.pipeline,
        model.version,
        model.bundle,
        model.summary.model_copy(update={"explanation": explanation}),
        metrics,
        model.config,
    )
    shown = changed.explanation_warning
    assert shown is None if expected is None else expected in shown


def test_a_champion_made_elsewhere_is_seen_after_a_refresh(home_of, monkeypatch):
    assert published.champion("credit_scoring") is None
    monkeypatch.setenv("FIELDWORK_HOME", str(home_of("credit_scoring")))
    published.refresh()
    assert published.champion("credit_scoring").version == 1


def test_a_page_without_a_model_names_the_one_command_and_runs_it(monkeypatch, tmp_path):
    import sys

    from apps.dashboard import running
    from apps.dashboard.serve import APP

    script = "import sys; print('  train 3.0 s', file=sys.stderr); sys.exit(1)"
    monkeypatch.setattr(running, "arguments", lambda _: [sys.executable, "-c", script])
    monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path / "home"))
    page = AppTest.from_file(str(APP.parent / "pages" / "credit_scoring.py"), default_timeout=60).run()
    assert page.code[0].value == "fieldwork run credit_scoring"
    assert not page.tabs
    page.button(key="credit_scoring/run").click().run()
    started = running.started("credit_scoring")
    assert started is not None
    started.process.wait()
    page.run()
    assert "train 3.0 s" in page.error[0].value
    assert page.button(key="credit_scoring/run")


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.name)
def test_every_page_of_an_empty_home_says_the_one_command(open_page, tmp_path, pipeline):
    page = open_page(pipeline.name, home=tmp_path / "empty")
    assert not page.exception
    assert page.markdown[0].value.endswith(pipeline.question)
    assert page.code[0].value == f"fieldwork run {pipeline.name}"
    assert not page.tabs


def found(version: int, *aliases: str) -> ModelVersion:
    facts = {
        "run_id": "r",
        "digest": "d",
        "source": "s",
        "contract": "c@1.0.0",
        "table": "t",
        "created_at": "now",
    }
    return ModelVersion("credit_scoring", version, aliases=aliases, **facts)


def asked_of(answers: list[list[ModelVersion]]) -> Callable[[str], list[ModelVersion]]:
    return lambda pipeline: answers.pop(0)


def test_the_registry_is_asked_again_only_when_its_database_has_changed():
    database = published.home().mlflow_db
    database.parent.mkdir(parents=True)
    database.write_bytes(b"one")
    first, second = [found(1, "champion")], [found(2, "champion"), found(1)]
    assert versions_of("credit_scoring", asked_of([first])) == first
    assert versions_of("credit_scoring", asked_of([])) == first
    database.write_bytes(b"another")
    assert versions_of("credit_scoring", asked_of([second])) == second
    database.with_name(f"{database.name}-wal").write_bytes(b"not yet in the database")
    assert versions_of("credit_scoring", asked_of([first])) == first


def test_a_registry_on_a_server_is_asked_every_time(monkeypatch):
    published.home().mlflow_db.parent.mkdir(parents=True)
    published.home().mlflow_db.write_bytes(b"not in use")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    answers = [[found(1)], [found(2)]]
    assert [versions_of("credit_scoring", asked_of(answers)) for _ in range(2)] == [[found(1)], [found(2)]]


@pytest.mark.parametrize("text", ["", "[]", '{"database": null}', "cut"])
def test_a_listing_that_cannot_be_read_is_made_anew(text):
    published.home().mlflow_db.parent.mkdir(parents=True)
    published.home().mlflow_db.write_bytes(b"one")
    versions_of("credit_scoring", asked_of([[found(1)]]))
    [place] = published.home().cache.glob("dashboard/versions/*.json")
    place.write_text(text)
    assert versions_of("credit_scoring", asked_of([[found(2)]])) == [found(2)]
    assert versions_of("credit_scoring", asked_of([])) == [found(2)]
