"""Machines that share a store: what one began or finished, another with a home of its own goes on with."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from shared.data.home import home
from shared.data.store import default_store
from shared.orchestration import carried as carrying
from shared.orchestration.carried import Shared, carried, recall, remember


@pytest.fixture(params=["local://{}", "{}"], ids=["url", "folder"])
def machine(request, tmp_path, monkeypatch):
    """`machine("a")` makes the following calls those of that machine."""
    monkeypatch.setattr(carrying, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("FIELDWORK_STORE", request.param.format(tmp_path / "shared"))
    return lambda name: monkeypatch.setenv("FIELDWORK_HOME", str(tmp_path / name))


def folder_of(key: str = "train-1") -> Path:
    return home().checkpoints / key


def save(folder: Path, number: int, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"checkpoint-{number:08d}.pt").write_text(text)
    (folder / f"checkpoint-{number:08d}.json").write_text(json.dumps({"step": number}))


@contextmanager
def stopped(folder: Path) -> Iterator[None]:
    """A step that is stopped at the end of the block."""
    with suppress(KeyboardInterrupt), carried(folder):
        yield
        raise KeyboardInterrupt


def held(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


def test_result_of_one_machine_is_found_by_another(machine):
    machine("a")
    remember("train-1.json", '{"result": 1}')
    machine("b")
    assert recall("train-1.json") == b'{"result": 1}'
    with pytest.raises(FileNotFoundError):
        recall("train-2.json")


def test_checkpoints_of_a_stopped_step_are_there_for_another_machine(machine):
    machine("a")
    with stopped(folder_of()):
        save(folder_of() / "network", 3, "weights")
        (folder_of() / "network" / "lock").touch()
    machine("b")
    with carried(folder_of()):
        assert held(folder_of()) == {
            "network/checkpoint-00000003.pt": "weights",
            "network/checkpoint-00000003.json": '{"step": 3}',
        }


def test_checkpoints_are_shared_while_the_step_runs(machine):
    """A machine that is gone copies nothing any more."""
    machine("a")
    with carried(folder_of()):
        save(folder_of(), 1, "one")
        shared = Shared.of_home()
        assert shared is not None
        wait_until(lambda: len(shared.names("checkpoints/train-1")) == 2)
        save(folder_of(), 2, "two")
        (folder_of() / "checkpoint-00000001.pt").unlink()
        (folder_of() / "checkpoint-00000001.json").unlink()
        wait_until(lambda: set(shared.names("checkpoints/train-1")) == set(held(folder_of())))
        assert "checkpoint-00000002.pt" in shared.names("checkpoints/train-1")


def test_what_another_machine_shared_replaces_what_an_earlier_try_left_here(machine):
    machine("b")
    save(folder_of(), 1, "old")
    machine("a")
    with stopped(folder_of()):
        save(folder_of(), 5, "new")
    machine("b")
    with carried(folder_of()):
        assert set(held(folder_of())) == {"checkpoint-00000005.pt", "checkpoint-00000005.json"}


def test_finished_step_leaves_nothing_to_continue(machine):
    machine("a")
    with carried(folder_of()):
        save(folder_of(), 1, "one")
    shared = Shared.of_home()
    assert shared is not None
    assert shared.names("checkpoints/train-1") == []


def test_store_that_does_not_answer_costs_the_copy_and_not_the_training(machine, monkeypatch):
    machine("a")

    def refuse(*_: object) -> None:
        raise OSError("the network is down")

    monkeypatch.setattr(Shared, "put", refuse)
    with carried(folder_of()):
        save(folder_of(), 1, "one")
    assert held(folder_of())


def test_home_with_a_store_of_its_own_shares_nothing(monkeypatch):
    remember("train-1.json", "{}")
    with carried(folder_of()):
        save(folder_of(), 1, "one")
    assert Shared.of_home() is None
    assert not (Path(default_store().url) / "steps").exists()


def test_errors_of_a_remote_store_read_as_operating_system_errors(machine, monkeypatch):
    """A result that cannot be read is computed again: the step looks for OSError."""
    machine("a")
    shared = Shared.of_home()
    assert shared is not None

    def refuse(*_: object) -> None:
        raise RuntimeError("AccessDenied")

    monkeypatch.setattr(shared.files, "cat_file", refuse)
    with pytest.raises(OSError, match="AccessDenied"):
        shared.read("results/x.json")


def wait_until(condition: Callable[[], bool], limit_seconds: float = 20.0) -> None:
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
