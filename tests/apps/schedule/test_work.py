"""What a deployment does when its time has come: tries, time limits, and who is told."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from apps.schedule import work
from apps.schedule.config import Deployment, Score, Train
from apps.schedule.work import execute, tried
from shared.contracts.report import ContractBroken
from shared.data.files import file_lock
from shared.data.home import home
from shared.errors import FieldworkError, RequestError, Stopped
from shared.orchestration.scoring import ScoreSummary


class Toy:
    """A pipeline that answers at once. `errors` are raised by its calls in turn; None is no error."""

    def __init__(self) -> None:
        self.errors: list[Exception | None] = []
        self.calls: list[tuple[Any, ...]] = []
        self.drifted = False
        self.seconds = 0.0

    def flow(self) -> "Toy":
        return self

    def _called(self, *arguments: Any) -> None:
        self.calls.append(arguments)
        time.sleep(self.seconds)
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error

    def run(self, preset: str, source: str, overrides: Any, **options: Any) -> Any:
        self._called(preset, source, dict(overrides))
        return type("Summary", (), {"model": None, "verdict": "The toy works."})

    def score(self, source: Path, target: Path, **options: Any) -> ScoreSummary:
        self._called(source.name, options)
        target.write_text("scores")
        drift = {"drifted": self.drifted, "columns": ["income"] if self.drifted else []}
        return ScoreSummary(
            pipeline="toys", version="1", contract="toys@1", rows={"in": 1}, output=str(target), quarantine=None,
            explanations=None, drift=drift,
        )  # fmt: skip


@pytest.fixture
def toy(monkeypatch) -> Toy:
    toy = Toy()
    monkeypatch.setattr(work.catalogue, "find", lambda name: toy)
    monkeypatch.setattr(work, "_require_model", lambda *_: None)
    return toy


@pytest.fixture
def alerts(monkeypatch) -> list[Any]:
    told: list[Any] = []
    monkeypatch.setattr(work, "notify", lambda hooks, alert, say: told.append(alert))
    return told


def training(**settings: Any) -> Deployment:
    return Deployment(pipeline="toys", settings=Train(retry_delay_seconds=0, **settings))


def scoring(**settings: Any) -> Deployment:
    places = {"incoming": "incoming/toys", "output": "scored/toys", "settle_seconds": 0}
    return Deployment(pipeline="toys", settings=Score(retry_delay_seconds=0, **places | settings))


def deliver(name: str) -> None:
    folder = home().root / "incoming" / "toys"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(name)


def quiet(_: str) -> None: ...


def test_training_runs_with_the_preset_source_and_overrides_of_its_deployment(toy, alerts):
    deployment = training(preset="full", source="german_credit", overrides={"training.epochs": 3})
    assert execute(deployment, quiet) == "The toy works."
    assert toy.calls == [("full", "german_credit", {"training.epochs": 3})]
    assert alerts == []


def test_failure_of_the_machine_is_tried_again_and_nobody_is_told_when_that_helps(toy, alerts):
    toy.errors = [OSError("no route to host"), None]
    assert execute(training(retries=1), quiet) == "The toy works."
    assert alerts == []


def test_last_failure_is_told_once_and_raised(toy, alerts):
    toy.errors = [OSError("first"), OSError("second")]
    with pytest.raises(OSError, match="second"):
        execute(training(retries=1), quiet)
    assert [(alert.event, alert.message, alert.deployment) for alert in alerts] == [
        ("failed", "second", "toys-train")
    ]


@pytest.mark.parametrize("error", [RequestError("wrong"), Stopped("stop")], ids=["request", "stopped"])
def test_what_another_try_cannot_mend_is_not_tried_again(error):
    calls = []

    def once() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        tried(once, retries=5, delay_seconds=0, say=quiet)
    assert calls == [1]


def test_broken_contract_of_the_training_data_has_its_own_event(toy, alerts):
    toy.errors = [ContractBroken("rows break the contract", [])]
    with pytest.raises(ContractBroken):
        execute(training(), quiet)
    assert [alert.event for alert in alerts] == ["contract"]


def test_run_that_takes_too_long_is_ended_and_told(toy, alerts):
    toy.seconds = 60
    with pytest.raises(TimeoutError):
        execute(training(timeout_minutes=0.2 / 60, retries=3), quiet)
    assert [alert.details for alert in alerts] == [{"error": "TimeoutError"}]
    assert len(toy.calls) == 1


def test_a_deployment_never_runs_twice_at_once(toy, alerts):
    said: list[str] = []
    second = threading.Thread(target=execute, args=(training(), said.append))
    with file_lock(home().root / "locks" / "deployment-toys-train"):
        second.start()
        while not said:
            time.sleep(0.01)
        assert toy.calls == []
    second.join()
    assert len(toy.calls) == 1
    assert said == ["toys-train is running already: waiting for its end"]


def test_new_data_are_scored_and_a_second_look_finds_nothing_new(toy, alerts):
    deliver("monday.csv")
    assert execute(scoring(version="3", explain=True), quiet) == "1 scored (0 known before)."
    assert toy.calls == [("monday.csv", {"version": "3", "explain": True})]
    assert execute(scoring(), quiet) == "No new data (1 known before)."


def test_no_new_data_end_well_and_make_the_folder(toy, alerts):
    assert execute(scoring(), quiet) == "No new data (0 known before)."
    assert (home().root / "incoming" / "toys").is_dir()


def test_absolute_folder_that_is_missing_fails_for_it_may_be_a_lost_mount(toy, alerts, tmp_path):
    with pytest.raises(RequestError, match="lost"):
        execute(scoring(incoming=str(tmp_path / "lost")), quiet)
    assert [alert.event for alert in alerts] == ["failed"]


def test_without_a_model_no_file_is_blamed(toy, alerts, monkeypatch):
    monkeypatch.setattr(work, "_require_model", lambda *_: (_ for _ in ()).throw(RequestError("no version")))
    deliver("monday.csv")
    with pytest.raises(RequestError):
        execute(scoring(), quiet)
    assert not (home().root / "scored" / "toys" / "set_aside").exists()


def test_refused_and_drifted_data_are_told_one_by_one_and_the_run_ends_well(toy, alerts):
    deliver("a.csv")
    deliver("b.csv")
    toy.errors, toy.drifted = [RequestError("no column x")], True
    assert execute(scoring(), quiet) == "1 scored, 1 set aside (0 known before)."
    assert [alert.event for alert in alerts] == ["contract", "drift"]
    drift = alerts[1]
    assert (drift.details["item"], drift.details["columns"], drift.details["version"]) == (
        "b.csv",
        ["income"],
        "1",
    )
    assert Path(drift.details["record"]).is_file()


def test_data_that_fail_for_another_reason_make_the_run_fail_after_the_others_are_scored(toy, alerts):
    deliver("a.csv")
    deliver("b.csv")
    toy.errors = [MemoryError("too large")]
    with pytest.raises(FieldworkError, match=r"a\.csv: MemoryError"):
        execute(scoring(retries=0), quiet)
    assert [call[0] for call in toy.calls] == ["a.csv", "b.csv"]
    assert [alert.event for alert in alerts] == ["failed"]
