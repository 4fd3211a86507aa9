"""New data in a folder: scored once, never half, never lost, and no item stops the others."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.errors import RequestError, Stopped
from shared.orchestration.intake import MOST_ATTEMPTS, Records, new_items
from shared.orchestration.scoring import ScoreSummary, beside
from shared.orchestration.taking import Intake, take_in


class Scorer:
    """Copies its input in capitals; `errors` by name of the input are raised instead."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.errors: dict[str, BaseException] = {}
        self.before: Callable[[Path], object] = lambda path: None

    def __call__(self, source: Path, target: Path) -> ScoreSummary:
        self.calls.append(source.name)
        self.before(source)
        if source.name in self.errors:
            raise self.errors[source.name]
        members = [source] if source.is_file() else sorted(source.parent.glob(f"{source.name}*"))
        text = "".join(path.read_text() for path in members if path.is_file())
        target.write_text(text.upper())
        beside(target, "quarantine").write_text("nothing")
        return ScoreSummary(
            pipeline="toys",
            version="3",
            contract="toys@1.0.0",
            rows={"in": 1},
            output=str(target),
            quarantine=str(beside(target, "quarantine")),
            explanations=None,
            drift={"drifted": False, "columns": []},
        )


class Desk:
    """A folder of new data, an output folder, and a scorer between."""

    def __init__(self, root: Path) -> None:
        self.incoming, self.records, self.scorer = root / "in", Records(root / "out"), Scorer()
        self.incoming.mkdir()

    def put(self, name: str, text: str = "toy") -> Path:
        path = self.incoming / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def look(self, unit: Any = "entry", settle_seconds: float = 0) -> Intake:
        items = new_items(self.incoming, unit)
        return take_in(items, self.records, self.scorer, suffix=".csv", settle_seconds=settle_seconds)

    def folders(self) -> list[str]:
        return sorted(path.parent.name for path in self.records.folder.glob("*/record.json"))

    def notes(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.records.folder.glob("set_aside/*.json"))]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_each_file_is_scored_once_with_a_record_beside_its_output(desk):
    desk.put("monday.csv")
    first, second = desk.look(), desk.look()
    assert first.sentence == "1 scored (0 known before)."
    assert second.sentence == "No new data (1 known before)."
    [folder] = desk.records.folder.glob("monday.csv-*")
    record = json.loads((folder / "record.json").read_text())
    assert (folder / record["output"]).read_text() == "TOY"
    assert (folder / record["quarantine"]).is_file()
    assert (record["item"], record["version"], record["drift"]["drifted"]) == ("monday.csv", "3", False)
    assert first.scored == [record]
    assert desk.notes() == []


def test_changed_content_is_new_and_a_new_time_is_not(desk):
    path = desk.put("monday.csv")
    desk.look()
    os.utime(path, (1, 1))
    assert desk.look().num_known == 1
    desk.put("monday.csv", "toy two")
    assert len(desk.look().scored) == 1
    assert len(desk.folders()) == 2


def test_file_that_changed_just_now_is_left_alone_whatever_its_time_says(desk):
    path = desk.put("growing.csv")
    os.utime(path, (1, 1))
    intake = desk.look(settle_seconds=60)
    assert intake.waiting == ["growing.csv"]
    assert desk.scorer.calls == []
    assert "still being written" in intake.sentence


def test_file_that_changes_while_it_is_scored_leaves_no_output_and_is_scored_next_time(desk):
    path = desk.put("growing.csv")
    desk.scorer.before = lambda _: path.write_text("toy and more")
    assert desk.look().waiting == ["growing.csv"]
    assert desk.folders() == []
    assert desk.notes() == []
    desk.scorer.before = lambda _: None
    assert len(desk.look().scored) == 1


def test_half_a_file_that_is_refused_while_it_grows_is_not_set_aside(desk):
    path = desk.put("growing.csv")
    desk.scorer.before = lambda _: path.write_text("toy and more")
    desk.scorer.errors["growing.csv"] = RequestError("The last row is cut off.")
    assert desk.look().waiting == ["growing.csv"]
    assert desk.notes() == []


def test_file_that_goes_away_while_it_is_scored_is_nobodys_fault(desk):
    path = desk.put("moved.csv")
    desk.scorer.before = lambda _: path.unlink()
    assert desk.look().waiting == ["moved.csv"]
    assert desk.notes() == []


def test_broken_file_is_set_aside_at_once_and_does_not_stop_the_others(desk):
    for name in ("a.csv", "b.csv", "c.csv"):
        desk.put(name)
    desk.scorer.errors["b.csv"] = RequestError("b.csv has no column x.")
    intake = desk.look()
    assert [record["item"] for record in intake.scored] == ["a.csv", "c.csv"]
    assert [record["error"] for record in intake.refused] == ["b.csv has no column x."]
    assert [note["set_aside"] for note in desk.notes()] == [True]
    assert desk.look().num_known == 3
    assert desk.scorer.calls.count("b.csv") == 1


def test_file_that_is_set_aside_gets_another_try_when_its_note_is_removed(desk):
    desk.put("b.csv")
    desk.scorer.errors["b.csv"] = RequestError("no")
    desk.look()
    [note] = desk.records.folder.glob("set_aside/*.json")
    note.unlink()
    desk.scorer.errors.clear()
    assert len(desk.look().scored) == 1


def test_unexpected_error_is_tried_again_a_few_times_and_then_set_aside(desk):
    desk.put("heavy.csv")
    desk.scorer.errors["heavy.csv"] = MemoryError("too large")
    looks = [desk.look() for _ in range(MOST_ATTEMPTS + 2)]
    assert [len(look.failed) for look in looks] == [1] * (MOST_ATTEMPTS - 1) + [0] * 3
    assert [len(look.refused) for look in looks] == [0] * (MOST_ATTEMPTS - 1) + [1, 0, 0]
    assert desk.notes()[0]["error"] == "MemoryError: too large"


def test_run_that_dies_at_one_file_each_time_ends_by_leaving_it_alone(desk, monkeypatch):
    """kill -9 runs no code of ours: only what was written before counts."""
    desk.put("bomb.csv")
    monkeypatch.setattr("shared.orchestration.taking._Try._forget", lambda *_: None)
    desk.scorer.errors["bomb.csv"] = SystemExit()
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(SystemExit):
            desk.look()
    assert desk.look().num_known == 1
    assert desk.folders() == []


@pytest.mark.parametrize("stop", [Stopped("stop"), KeyboardInterrupt()], ids=["stopped", "signal"])
def test_stop_ends_the_look_and_is_not_held_against_the_file(desk, stop):
    desk.put("a.csv")
    desk.scorer.errors["a.csv"] = stop
    with pytest.raises(type(stop)):
        desk.look()
    assert desk.notes() == []
    desk.scorer.errors.clear()
    assert len(desk.look().scored) == 1


def test_what_a_killed_run_left_half_done_is_done_again(desk):
    path = desk.put("a.csv")
    half = desk.records.folder / ".fieldwork-0123456789abcdef.tmp"
    half.mkdir(parents=True)
    (half / "scores.csv").write_text("HALF")
    assert len(desk.look().scored) == 1
    assert path.read_text() == "toy"


def test_a_folder_is_one_item_and_its_members_count(desk):
    desk.put("case/scan.nii", "one")
    assert len(desk.look().scored) == 1
    assert desk.look().num_known == 1
    desk.put("case/mask.nii", "two")
    assert len(desk.look().scored) == 1


def test_files_of_one_stem_are_one_item_where_the_pipeline_reads_them_so(desk):
    desk.put("101.hea", "head ")
    desk.put("101.dat", "data ")
    desk.put("p07.edf", "alone")
    assert [record["item"] for record in desk.look("stem").scored] == ["101", "p07.edf"]
    assert desk.scorer.calls == ["101", "p07.edf"]


def test_links_pipes_hidden_and_empty_entries_are_left_out(desk, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (desk.incoming / "link.csv").symlink_to(secret)
    os.mkfifo(desk.incoming / "pipe.csv")
    desk.put(".upload.csv.part")
    (desk.incoming / "empty").mkdir()
    (desk.incoming / "folder").mkdir()
    (desk.incoming / "folder" / "link.csv").symlink_to(secret)
    assert new_items(desk.incoming, "entry") == []


@pytest.mark.parametrize(
    "name", ["a b;c.csv", "..csv", "ünïcode.csv", "x" * 200], ids=["shell", "dots", "unicode", "long"]
)
def test_names_from_outside_stay_inside_the_output_folder(desk, name):
    desk.put(name)
    items = new_items(desk.incoming, "entry")
    for item in items:
        assert desk.records.place(item, "0" * 64).parent == desk.records.folder
    desk.look()
    assert len(desk.folders()) == len(items)


def test_oldest_data_come_first(desk):
    for name, at in (("b.csv", 100), ("a.csv", 300), ("c.csv", 200)):
        os.utime(desk.put(name), (at, at))
    desk.look()
    assert desk.scorer.calls == ["b.csv", "c.csv", "a.csv"]


def test_a_single_file_may_stand_for_the_folder(desk):
    path = desk.put("table.csv")
    assert [item.path for item in new_items(path, "entry")] == [path]


def test_missing_folder_is_a_wrong_request(tmp_path):
    with pytest.raises(RequestError, match="folder of new data"):
        new_items(tmp_path / "nowhere", "entry")


def test_unchanged_files_are_not_read_again(desk, monkeypatch):
    desk.put("a.csv")
    desk.look()
    monkeypatch.setattr("shared.orchestration.intake.identified", lambda *_: pytest.fail("read again"))
    assert desk.look().num_known == 1


@pytest.mark.parametrize("damage", ["", "[]", '{"a.csv": 3}'], ids=["empty", "list", "other"])
def test_damaged_memory_of_digests_costs_time_and_no_result(desk, damage):
    desk.put("a.csv")
    desk.look()
    (desk.records.folder / ".digests.json").write_text(damage)
    assert desk.look().num_known == 1
