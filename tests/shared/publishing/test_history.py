import json
import multiprocessing
from pathlib import Path

import pytest

from shared.errors import FieldworkError
from shared.publishing.history import History


@pytest.fixture
def history(tmp_path: Path) -> History:
    made = History(tmp_path / "history" / "widgets.jsonl")
    for version in (1, 2, 3):
        made.append("promotion", version=version, reasons=["by hand"])
    return made


def test_events_come_back_in_order_with_time_and_user(history: History) -> None:
    events = history.read()
    assert [event["version"] for event in events] == [1, 2, 3]
    assert all(event["who"] and event["at"].endswith("+00:00") for event in events)
    assert history.verify() == 3


def test_history_that_was_never_written_is_empty(tmp_path: Path) -> None:
    assert History(tmp_path / "none.jsonl").read() == []
    assert History(tmp_path / "none.jsonl").verify() == 0


@pytest.mark.parametrize("line", [0, 1])
def test_an_edited_line_breaks_the_chain(history: History, line: int) -> None:
    lines = history.path.read_text().splitlines()
    lines[line] = lines[line].replace("by hand", "by gate")
    history.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FieldworkError, match=f"line {line + 2}"):
        history.verify()


def test_a_removed_or_swapped_line_breaks_the_chain(history: History) -> None:
    first, second, third = history.path.read_text().splitlines()
    for lines in ([first, third], [second, first, third]):
        history.path.write_text("\n".join(lines) + "\n")
        with pytest.raises(FieldworkError, match="chain is broken"):
            history.verify()


def test_events_cut_off_at_the_end_are_noticed_with_the_known_head(history: History) -> None:
    head = history.append("rollback", version=2)
    lines = history.path.read_text().splitlines()[:-1]
    history.path.write_text("\n".join(lines) + "\n")
    assert history.verify() == 3
    with pytest.raises(FieldworkError, match="lost its last events"):
        history.verify(head)


def test_line_left_by_a_killed_writer_is_ignored_and_then_replaced(history: History) -> None:
    with open(history.path, "ab") as file:
        file.write(b'{"event": "promo')
    assert len(history.read()) == 3
    history.append("rollback", version=2)
    assert history.verify() == 4


def test_first_line_left_by_a_killed_writer_is_replaced(tmp_path: Path) -> None:
    history = History(tmp_path / "widgets.jsonl")
    history.path.write_bytes(b"{")
    history.append("gate")
    assert history.verify() == 1


def test_lines_longer_than_the_read_buffer_keep_the_chain(tmp_path: Path) -> None:
    history = History(tmp_path / "widgets.jsonl")
    for _ in range(3):
        history.append("gate", reasons=["x" * 200_000])
    assert history.verify() == 3


def test_line_that_is_not_json_is_named(history: History) -> None:
    history.path.write_text("not json\n")
    with pytest.raises(FieldworkError, match="line 1 is not JSON"):
        history.read()


def test_facts_that_are_not_finite_are_null_in_the_record(tmp_path: Path) -> None:
    history = History(tmp_path / "widgets.jsonl")
    history.append("gate", comparison={"low": float("nan")})
    assert json.loads(history.path.read_text())["comparison"] == {"low": None}


def _append_many(path: Path, worker: int) -> None:
    for number in range(20):
        History(path).append("gate", worker=worker, number=number)


def test_processes_that_write_at_once_keep_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "widgets.jsonl"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append_many, args=(path, worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert History(path).verify() == 60
