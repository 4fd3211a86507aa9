"""A step is computed once for equal arguments and equal code, on any day and in any process, or not at all."""

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import BaseModel, ConfigDict

from shared.data.home import home
from shared.data.store import Ref, default_store
from shared.errors import FieldworkError, RequestError, Stopped
from shared.orchestration import step as step_module
from shared.orchestration.run import running
from shared.orchestration.step import Step, checkpoint_folder, step

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("prefect_server")


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    rate: float = 0.5
    note: str = ""


class Made(BaseModel):
    model_config = ConfigDict(frozen=True)

    table: Ref
    rows: int
    facts: dict[str, Any] = {}


class Counted:
    """A step that stores a table; `calls` counts how often it was really computed."""

    def __init__(self, **options: Any) -> None:
        self.calls = 0

        @step(**options)
        def make(source: Ref, settings: Settings, seed: int = 0) -> Made:
            """Make a table."""
            self.calls += 1
            frame = pl.DataFrame({"rate": [settings.rate, float(seed), float(self.calls)]})
            return Made(table=default_store().put_frame(frame), rows=len(frame))

        self.step = make


def source(text: bytes = b"source") -> Ref:
    return default_store().put_bytes(text, ".txt")


def result_files() -> list[Path]:
    return sorted((home().root / "results").glob("*"))


def test_equal_call_of_a_later_run_is_reused_and_says_so():
    counted = Counted()
    with running() as first:
        made = counted.step(source(), Settings())
    with running() as second:
        again = counted.step(source(), Settings())
    assert counted.calls == 1
    assert again == made
    assert (first.reused, second.reused) == ([], ["make"])
    assert set(second.seconds) == {"make"}


def test_result_is_the_declared_type_and_its_table_is_there():
    made = Counted().step(source(), Settings(rate=0.25))
    assert isinstance(made, Made)
    assert default_store().frame(made.table)["rate"].to_list() == [0.25, 0.0, 1.0]


def test_spelling_of_a_call_does_not_matter():
    counted = Counted()
    counted.step(source(), Settings(), 0)
    counted.step(seed=0, settings=Settings(rate=0.5), source=source())
    counted.step(source(), Settings())
    assert counted.calls == 1


@pytest.mark.parametrize(
    "change",
    [
        {"settings": Settings(rate=0.5000001)},
        {"settings": Settings(note=" ")},
        {"seed": 1},
        {"text": b"other"},
    ],
)
def test_changed_configuration_or_input_is_computed_again(change):
    counted = Counted()
    counted.step(source(), Settings())
    text = change.pop("text", b"source")
    counted.step(source(text), **({"settings": Settings()} | change))
    assert counted.calls == 2


def test_changed_code_is_computed_again(monkeypatch):
    counted = Counted()
    counted.step(source(), Settings())
    monkeypatch.setattr(step_module, "code_digest", lambda package: f"changed {package}")
    counted.step(source(), Settings())
    assert counted.calls == 2


def test_no_cache_computes_again_and_refreshes_what_later_runs_reuse():
    counted = Counted()
    with running():
        first = counted.step(source(), Settings())
    with running(use_cache=False) as fresh:
        second = counted.step(source(), Settings())
    with running():
        third = counted.step(source(), Settings())
    assert counted.calls == 2
    assert fresh.reused == []
    assert first != second == third


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("damage", [remove, truncate])
def test_result_whose_data_left_the_store_is_computed_again(damage: Callable[[Path], None]):
    counted = Counted()
    made = counted.step(source(), Settings())
    damage(Path(default_store().url) / made.table.path)
    again = counted.step(source(), Settings())
    assert counted.calls == 2
    assert default_store().has(again.table)


def test_stored_folder_that_lost_one_file_is_computed_again(tmp_path):
    calls = []

    @step()
    def fold() -> Ref:
        calls.append(1)
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / "weights.bin").write_bytes(b"weights")
        return default_store().put_tree(tmp_path / "folder")

    member = Ref.model_validate(default_store().json(fold())["files"]["weights.bin"])
    fold()
    assert len(calls) == 1
    (Path(default_store().url) / member.path).unlink()
    restored = default_store().restore_tree(fold(), tmp_path / "restored")
    assert len(calls) == 2
    assert (restored / "weights.bin").read_bytes() == b"weights"


def test_step_that_acts_on_the_world_always_runs_and_leaves_no_result():
    counted = Counted(reuse=False)
    for _ in range(2):
        with running() as run:
            counted.step(source(), Settings())
        assert run.reused == []
    assert counted.calls == 2
    assert result_files() == []


def test_step_may_return_nothing_or_plain_values_or_numbers_that_json_lacks():
    calls = []

    @step()
    def nothing() -> None:
        calls.append("nothing")

    @step()
    def numbers(n: int) -> tuple[float, ...]:
        calls.append("numbers")
        return (math.nan, math.inf, float(n))

    assert [nothing(), nothing()] == [None, None]
    for _ in range(2):
        undefined, infinite, count = numbers(3)
        assert math.isnan(undefined)
        assert (infinite, count) == (math.inf, 3.0)
    assert calls == ["nothing", "numbers"]


def test_plain_function_is_at_hand_without_prefect():
    calls = []

    @step()
    def double(value: int) -> int:
        """Twice the value."""
        calls.append(value)
        return 2 * value

    assert isinstance(double, Step)
    assert double.function(4) == 8
    assert (double.__name__, double.__doc__) == ("double", "Twice the value.")
    assert result_files() == []


@pytest.mark.parametrize("error", [RequestError, FieldworkError, Stopped, ValueError, ZeroDivisionError])
def test_exceptions_keep_type_and_message_and_are_not_remembered(error):
    calls = []

    @step()
    def fail() -> int:
        calls.append(1)
        raise error("Expected this.\nReceived that.")

    for _ in range(2):
        with pytest.raises(error, match=r"Expected this\.\nReceived that\.") as raised:
            fail()
        assert type(raised.value) is error
    assert len(calls) == 2
    assert result_files() == []


def test_interruption_by_the_user_passes_through():
    @step(retries=3)
    def stop() -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()


def test_result_of_the_wrong_type_is_an_error_and_not_remembered():
    @step()
    def wrong() -> Made:
        return "no table"  # type: ignore[return-value]

    for _ in range(2):
        with pytest.raises(Exception, match="Made"):
            wrong()
    assert result_files() == []


def test_outside_world_that_fails_once_is_asked_again():
    calls = []

    @step(retries=1)
    def fetch() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError("the line was busy")
        return "answer"

    assert fetch() == "answer"
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("error", "retries"), [(ValueError, 2), (RequestError, 2), (Stopped, 2), (OSError, 0)]
)
def test_what_another_try_cannot_mend_is_tried_once(error, retries):
    calls = []

    @step(retries=retries)
    def fail() -> int:
        calls.append(1)
        raise error("no")

    with pytest.raises(error):
        fail()
    assert len(calls) == 1


def test_stopped_step_finds_its_checkpoints_again_and_success_removes_them():
    seen = []

    @step()
    def train(number: int) -> int:
        folder = checkpoint_folder()
        folder.mkdir(parents=True, exist_ok=True)
        seen.append((folder, (folder / "state").exists()))
        (folder / "state").touch()
        if len(seen) == 1:
            raise Stopped("Stopped. The same command continues.")
        return number

    with pytest.raises(Stopped):
        train(1)
    train(2)
    assert train(1) == 1
    (first, first_found), (other, other_found), (again, again_found) = seen
    assert first == again != other, "another configuration never continues from these checkpoints"
    assert (first_found, other_found, again_found) == (False, False, True)
    assert first.is_relative_to(home().checkpoints)
    assert not first.exists()
    assert not other.exists()


def test_changed_code_does_not_continue_from_the_checkpoints_of_the_old(monkeypatch):
    folders = []

    @step()
    def train() -> int:
        folders.append(checkpoint_folder())
        raise Stopped("no")

    for digest in ("old", "new"):
        monkeypatch.setattr(step_module, "code_digest", lambda package, digest=digest: digest)
        with pytest.raises(Stopped):
            train()
    assert folders[0] != folders[1]
    assert checkpoint_folder() is None


PREFECT_RECORD_WITH_PICKLE = {
    "metadata": {"serializer": {"type": "pickle"}, "prefect_version": "3.8.8", "storage_key": "x"},
    "result": "gASVHgAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAJpZJSFlFKULg==",
}


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "null", "[]", '"text"', '{"result": null}', '{"result": 3}', '{"other": 1}', "\x00\x01",
        '{"result": {"table": {"path": "../../etc/passwd", "sha256": "' + 64 * "0" + '", "bytes": 1}, "rows": 1}}',
        '{"result": {"__class__": "payload.Boom", "data": {}}}',
        '{"result": {"__exc_type__": "payload.Boom", "message": "x"}}',
        json.dumps(PREFECT_RECORD_WITH_PICKLE),
    ],
)  # fmt: skip
def test_changed_result_file_is_ignored_and_written_anew(content):
    counted = Counted()
    made = counted.step(source(), Settings())
    [path] = result_files()
    good = json.loads(path.read_text())
    path.write_text(content)
    again = counted.step(source(), Settings())
    assert counted.calls == 2
    assert again.rows == made.rows
    assert json.loads(path.read_text()).keys() == good.keys()
    counted.step(source(), Settings())
    assert counted.calls == 2


def test_nothing_that_a_result_file_names_is_imported(tmp_path, monkeypatch):
    (tmp_path / "payload.py").write_text("open(__file__ + '.ran', 'w').close()\nclass Boom: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    counted = Counted()
    counted.step(source(), Settings())
    [path] = result_files()
    named = {"__class__": "payload.Boom", "data": {}}
    document = json.loads(path.read_text())
    document["result"]["facts"] = {"inside": named, "__class__": "payload.Boom"}
    path.write_text(json.dumps(document))
    made = counted.step(source(), Settings())
    assert counted.calls == 1
    assert made.facts == {"inside": named, "__class__": "payload.Boom"}
    assert "payload" not in sys.modules
    assert not (tmp_path / "payload.py.ran").exists()


def test_results_follow_the_data_home_of_the_moment(monkeypatch, tmp_path):
    counted = Counted()
    for name in ("a", "b", "a"):
        monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path / name))
        counted.step(source(), Settings())
    assert counted.calls == 2


def test_steps_appear_in_prefect_with_the_state_of_reuse():
    from prefect import flow
    from prefect.client.orchestration import get_client

    counted = Counted()

    @flow(name="toy")
    def toy() -> None:
        counted.step(source(), Settings())

    states = []
    for _ in range(2):
        state = toy(return_state=True)
        with get_client(sync_client=True) as client:
            [task_run] = [
                run for run in client.read_task_runs() if run.flow_run_id == state.state_details.flow_run_id
            ]
        states.append((task_run.name.partition("-")[0], task_run.state.name))
    assert states == [("make", "Completed"), ("make", "Cached")]
