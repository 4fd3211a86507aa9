"""Which changes of the code make earlier results worthless."""

from pathlib import Path

import pytest

from shared.orchestration import step as step_module


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    for name in ("shared/a.py", "pipelines/one/b.py", "pipelines/two/b.py", "data_contracts/x.odcs.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    monkeypatch.setattr(step_module, "_ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["shared/a.py", "shared/deep/new.py", "pipelines/one/b.py", "data_contracts/x.odcs.yaml",
             "pipelines/one/tables/t.yaml", "shared/style.css"],
)  # fmt: skip
def test_code_digest_changes_with_every_file_that_can_change_a_result(tree, name):
    before = step_module.code_digest.__wrapped__("pipelines.one")
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text("2")
    assert step_module.code_digest.__wrapped__("pipelines.one") != before


@pytest.mark.parametrize(
    "name", ["pipelines/two/b.py", "shared/a.pyc", "shared/README.md", "shared/.a.py.swp"]
)
def test_code_digest_does_not_change_with_other_files(tree, name):
    before = step_module.code_digest.__wrapped__("pipelines.one")
    (tree / name).write_text("2")
    assert step_module.code_digest.__wrapped__("pipelines.one") == before


def test_code_digest_does_not_mistake_a_moved_line_for_the_same_code(tree):
    before = step_module.code_digest.__wrapped__("pipelines.one")
    (tree / "shared/a.py").rename(tree / "shared/b.py")
    assert step_module.code_digest.__wrapped__("pipelines.one") != before


def test_code_digest_changes_with_the_release_of_a_numeric_library(tree, monkeypatch):
    before = step_module.code_digest.__wrapped__("pipelines.one")
    monkeypatch.setattr(step_module.importlib.metadata, "version", lambda name: "9.9")
    assert step_module.code_digest.__wrapped__("pipelines.one") != before
