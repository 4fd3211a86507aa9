import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.data.home import home
from shared.data.store import default_store
from shared.orchestration.stored import Source, identified, read_summary, restored, stored_folder
from shared.publishing.summary import RunSummary


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "a.txt").write_text("content")
    return tmp_path / "tree"


def test_restored_folder_is_there_in_the_block_and_gone_after_it(folder):
    with restored(default_store().put_tree(folder)) as place:
        assert (place / "deep" / "a.txt").read_text() == "content"
        assert place.is_relative_to(home().cache)
    assert not place.parent.exists()


def test_restored_folder_goes_when_the_work_on_it_fails(folder):
    with pytest.raises(ZeroDivisionError), restored(default_store().put_tree(folder)) as place:
        raise ZeroDivisionError
    assert not place.parent.exists()


def test_same_folder_can_be_restored_twice_at_once_and_changed(folder):
    stored = default_store().put_tree(folder)
    with restored(stored) as one, restored(stored) as other:
        (one / "deep" / "a.txt").write_text("changed")
        assert (other / "deep" / "a.txt").read_text() == "content"
    with restored(stored) as again:
        assert (again / "deep" / "a.txt").read_text() == "content"


def test_summary_of_a_stored_bundle_is_read_back(folder):
    known = {"pipeline": "widgets", "preset": "tiny", "source": "synthetic", "contract": "widgets@1.0.0"}
    summary = RunSummary.model_validate(known | {"rows": {"in": 3}, "metrics": {}, "verdict": "größer"})
    (folder / "summary.json").write_text(summary.model_dump_json(), encoding="utf-8")
    assert read_summary(default_store().put_tree(folder)) == summary


def test_only_the_generators_data_count_as_generated():
    assert Source(name="synthetic", sha256="").generated
    assert not Source(name="/data/synthetic", sha256="0" * 64).generated


def test_source_is_identified_by_the_content_of_all_its_files(tmp_path):
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text("a")
    other.write_text("b")
    before = identified("one.csv", [one, other])
    assert identified("one.csv", [one, other]) == before
    assert identified("one.csv", [one]) != before
    other.write_text("c")
    assert identified("one.csv", [one, other]) != before
    assert identified("synthetic", []) == Source(name="synthetic", sha256="")


def test_source_is_another_when_its_files_swap_names(tmp_path):
    """Names say whom a file is of: an earlier result would be of somebody else."""
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text("a")
    other.write_text("b")
    before = identified("folder", [one, other])
    one.rename(tmp_path / "new.csv")
    assert identified("folder", [tmp_path / "new.csv", other]) != before
    other.rename(one)
    (tmp_path / "new.csv").rename(other)
    assert identified("folder", [one, other]) != before


def test_source_is_the_same_wherever_its_folder_lies(folder, tmp_path, monkeypatch):
    (folder / "b.txt").write_text("more")
    before = identified("set", [folder / "deep" / "a.txt", folder / "b.txt"])
    moved = folder.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    assert identified("set", [Path("moved", "deep", "a.txt"), moved / "b.txt"]) == before


def test_source_has_files_with_names_that_are_not_utf_8(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.csv")
    path.write_text("a")
    assert len(identified("cafe", [path]).sha256) == 64


def test_handle_cannot_be_changed_between_steps():
    with pytest.raises(ValidationError, match="frozen"):
        Source(name="a", sha256="").name = "b"  # type: ignore[misc]


def test_what_is_written_into_a_stored_folder_comes_back_and_leaves_no_scratch():
    stored = stored_folder(lambda place: (place / "a.txt").write_text("content"))
    with restored(stored) as place:
        assert (place / "a.txt").read_text() == "content"
    assert not list(home().cache.iterdir())
