"""Several runs in one home: repeatability, the gate, the registry, and what Prefect remembers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.commands import CREDIT_SCORING


@dataclass(frozen=True)
class History:
    """A home with three versions: a model, the same again, and one that was hardly trained."""

    fieldwork: Any
    first: dict[str, Any]
    repeated: dict[str, Any]
    worse: dict[str, Any]
    outcomes: tuple[Any, ...]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, fieldwork_in: Any) -> History:
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("history") / "home")
    outcomes = [
        fieldwork(*CREDIT_SCORING.brief, *more).require_success()
        for more in ((), ("--no-cache",), ("--set", "training.epochs=1"))
    ]
    return History(fieldwork, *(outcome.document for outcome in outcomes), tuple(outcomes))


def weights(document: dict) -> bytes:
    return (Path(document["model"]["bundle"]) / "model.safetensors").read_bytes()


def test_same_seed_gives_the_same_numbers_and_the_same_weights(history):
    assert history.repeated["metrics"] == history.first["metrics"]
    assert history.repeated["baselines"] == history.first["baselines"]
    assert history.repeated["verdict"] == history.first["verdict"]
    assert history.repeated["explanation"] == history.first["explanation"]
    assert weights(history.repeated) == weights(history.first)


def test_no_cache_computes_every_step(history):
    assert "reused" not in history.outcomes[1].stderr
    assert history.repeated["training"]["seconds"] != history.first["training"]["seconds"]


def test_changed_configuration_repeats_only_what_it_concerns(history):
    shown = history.outcomes[2].stderr
    assert "Reused from an earlier run: ingest, split." in shown
    assert history.worse["training"]["epochs"] == 1


def test_gate_promotes_the_first_and_the_equal_and_refuses_the_worse(history):
    models = [document["model"] for document in (history.first, history.repeated, history.worse)]
    assert [(model["version"], model["promoted"]) for model in models] == [(1, True), (2, True), (3, False)]
    assert "version 3: not promoted. Worse than version 2: ROC-AUC differs by −" in history.outcomes[2].stderr


def champion(history) -> str:
    listed = history.fieldwork("models", "list").require_success()
    [version] = [line.split()[1] for line in listed.stdout.splitlines() if " champion " in line]
    return version


@pytest.fixture
def champion_2_again(history):
    """Tests of one home must not depend on their order."""
    yield
    history.fieldwork("models", "promote", "credit_scoring", "2").require_success()


@pytest.mark.usefixtures("champion_2_again")
def test_promote_and_rollback_move_the_champion(history):
    assert champion(history) == "2"
    outcome = history.fieldwork("models", "rollback", "credit-scoring").require_success()
    assert outcome.stdout == "credit_scoring: version 1 is champion again.\n"
    assert champion(history) == "1"
    outcome = history.fieldwork("models", "promote", "credit_scoring", "3").require_success()
    assert outcome.stdout == "credit_scoring: version 3 is champion.\n"
    assert champion(history) == "3"
    history.fieldwork("models", "rollback", "credit_scoring").require_success()
    assert champion(history) == "1"


@pytest.mark.usefixtures("champion_2_again")
def test_scoring_uses_the_champion_or_the_version_that_is_asked_for(history, applications, tmp_path):
    applications(120, seed=11).write_csv(tmp_path / "new.csv")

    def scored_by(*options: str) -> dict:
        command = (
            "score",
            "credit_scoring",
            tmp_path / "new.csv",
            "--out",
            tmp_path / "out.csv",
            "--json",
            "-",
        )
        return history.fieldwork(*command, *options).require_success().document

    assert scored_by()["version"] == "2"
    assert scored_by("--version", "3")["version"] == "3"
    history.fieldwork("models", "rollback", "credit_scoring").require_success()
    assert scored_by()["version"] == "1"


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        (("models", "promote", "credit_scoring", "99"), ["99", "3, 2, 1"]),
        (("models", "promote", "credit_scoring", "first"), ["version number", "'first'"]),
        (("models", "promote", "credit_skoring", "1"), ["credit_skoring", "credit_scoring"]),
        (("score", "credit_scoring", "{input}", "--out", "{out}", "--version", "99"), ["'99'", "3, 2, 1"]),
        (
            ("score", "credit_scoring", "{input}", "--out", "{out}", "--version", "-1"),
            ["'-1'", "models list"],
        ),
    ],
)
def test_version_that_is_not_there_is_a_wrong_request(history, applications, tmp_path, command, parts):
    applications(120, seed=11).write_csv(tmp_path / "new.csv")
    filled = [part.format(input=tmp_path / "new.csv", out=tmp_path / "out.csv") for part in command]
    history.fieldwork(*filled).require_plain_failure(2, *parts)
    assert not (tmp_path / "out.csv").exists()


def test_decisions_of_the_gate_are_kept_in_a_history_that_was_not_altered(history):
    from shared.publishing.registry import Registry

    with history.fieldwork.at_home():
        assert Registry().verify_history("credit_scoring") >= 3


def test_summary_and_metrics_are_in_the_prefect_database(history):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        found = {
            key: [artifact.data for artifact in client.read_artifacts(
                artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
            )]
            for key in ("credit-scoring-summary", "credit-scoring-metrics")
        }  # fmt: skip
    texts = found["credit-scoring-summary"]
    assert any(history.worse["verdict"] in text and "Version 3, not promoted." in text for text in texts)
    assert any("Version 1, promoted to champion." in text for text in texts)
    value = history.first["metrics"]["test/roc_auc"]["value"]
    assert any(f"{value:.3f} (" in str(table) for table in found["credit-scoring-metrics"])


def test_flow_and_its_steps_are_in_the_prefect_database(history):
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        flows = {flow.name for flow in client.read_flows()}
        tasks = {run.name.rpartition("-")[0] for run in client.read_task_runs(limit=200)}
    assert "credit_scoring-train" in flows
    assert {"ingest", "split", "train", "evaluate", "explain", "assemble", "publish"} <= tasks
