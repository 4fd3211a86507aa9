"""What must hold for the repository as a whole: documented commands work, house rules are kept."""

import ast
import hashlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from pipelines import catalogue

ROOT = Path(__file__).parents[1]
CODE = ("shared", "pipelines", "apps")
APACHE_2_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
MAX_FILE_LINES = 400


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):(?!=)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def phony_targets() -> set[str]:
    lines = re.findall(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    return set(" ".join(lines).split())


@pytest.mark.parametrize(
    "name",
    ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", ".ci/run", ".github/workflows/ci.yml"],
)
def test_every_make_target_that_a_document_names_exists(name):
    text = (ROOT / name).read_text()
    named = set(re.findall(r"(?:`|^\s*(?:\$ |- run: |step )?)make ([a-z]+)\b", text, flags=re.MULTILINE))
    assert named <= make_targets()


def test_ci_and_workflow_call_lint_test_and_demo():
    for name in (".ci/run", ".github/workflows/ci.yml"):
        text = (ROOT / name).read_text()
        assert all(f"make {target}" in text for target in ("lint", "test", "demo"))


def test_every_make_target_is_phony_and_explained_by_help():
    assert make_targets() == phony_targets()
    shown = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory"], capture_output=True, text=True, check=True
    )
    assert set(re.findall(r"^  make ([a-z]+)", shown.stdout, flags=re.MULTILINE)) == make_targets()


@pytest.mark.parametrize("name", [".ci/run", "infra/uv", "infra/browser"])
def test_script_is_executable_and_parses(name):
    path = ROOT / name
    assert os.access(path, os.X_OK)
    interpreter = path.read_text().splitlines()[0].removeprefix("#!").split()[-1].rsplit("/", 1)[-1]
    subprocess.run([interpreter, "-n", path], check=True)


def test_uv_script_says_what_to_install_when_python_has_no_venv(tmp_path):
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    script = tmp_path / "infra" / "uv"
    script.parent.mkdir()
    script.write_text((ROOT / "infra" / "uv").read_text())
    result = subprocess.run(
        ["/bin/sh", script, "--version"],
        env={"PATH": f"{tmp_path}:/nonexistent:/usr/bin:/bin", "PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == 0:
        pytest.skip("uv lies in /usr/bin on this machine")
    assert result.returncode == 1
    assert "apt-get install python3-venv" in result.stderr
    assert not (tmp_path / ".tools").exists()


def test_setup_goes_on_without_a_browser_and_says_what_is_skipped(tmp_path):
    result = run_browser_script(tmp_path)
    assert result.returncode == 0
    assert "are skipped" in result.stderr


def test_a_browser_that_is_there_is_taken(tmp_path):
    for name in ("chromium", "apt-get"):
        (tmp_path / name).write_text("#!/bin/sh\necho called $0; exit 1\n")
        (tmp_path / name).chmod(0o755)
    result = run_browser_script(tmp_path)
    assert result.returncode == 0
    assert result.stdout == f"browser: {tmp_path}/chromium\n"


def run_browser_script(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run infra/browser where nothing but what lies in the folder can be found."""
    return subprocess.run(
        ["/bin/sh", ROOT / "infra" / "browser"],
        env={"PATH": str(folder), "FIELDWORK_VENV": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_ci_exit_code_is_non_zero_when_one_step_fails_and_the_others_still_run(tmp_path):
    result = run_ci(tmp_path, fail="lint")
    assert result.returncode == 1
    assert "ran test" in result.stdout
    assert "ran demo" in result.stdout
    assert "ci: failed: make lint" in result.stdout


def test_ci_uses_its_own_home_even_when_the_home_folder_is_odd(tmp_path):
    result = run_ci(tmp_path, fail="none")
    assert result.returncode == 0, result.stdout + result.stderr
    homes = set(re.findall(r"^FIELDWORK_HOME=(.+)$", result.stdout, flags=re.MULTILINE))
    assert len(homes) == 1
    assert not homes & {"/my/precious/state", ""}
    assert not Path(homes.pop()).exists()
    assert "HOME is not a writable folder" in result.stdout


def run_ci(folder: Path, *, fail: str) -> "subprocess.CompletedProcess[str]":
    """Run a copy of .ci/run in a folder whose Makefile only tells what it was asked."""
    (folder / ".ci").mkdir()
    (folder / ".ci" / "run").write_text((ROOT / ".ci" / "run").read_text())
    lines = "\n".join(
        f'{target}:\n\t@echo "ran {target}"; echo "FIELDWORK_HOME=$$FIELDWORK_HOME"; [ {target} != {fail} ]'
        for target in ("setup", "lint", "test", "demo")
    )
    (folder / "Makefile").write_text(f".PHONY: setup lint test demo\n{lines}\n")
    return subprocess.run(
        ["bash", folder / ".ci" / "run"],
        env=os.environ | {"HOME": "/nonexistent/home", "FIELDWORK_HOME": "/my/precious/state"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_file_grows_beyond_what_a_reader_can_hold():
    long = {relative(path): len(path.read_text().splitlines()) for path in python_files(*CODE)}
    assert {name: lines for name, lines in long.items() if lines > MAX_FILE_LINES} == {}


def test_nothing_is_left_to_be_done_later():
    marks = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")))
    assert [relative(path) for path in python_files(*CODE, "tests") if marks.search(path.read_text())] == []


def test_package_files_hold_a_docstring_and_nothing_else():
    for path in python_files(*CODE):
        if path.name == "__init__.py":
            body = ast.parse(path.read_text()).body
            assert len(body) <= 1, relative(path)
            assert all(isinstance(node, ast.Expr) for node in body), relative(path)


def test_every_source_folder_is_a_package():
    folders = {path.parent for path in python_files(*CODE)}
    assert [relative(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_tests_have_no_package_files():
    assert [relative(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def test_imports_point_one_way():
    script = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([script, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_pipeline_is_guarded_against_imports_of_the_others():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    guarded = {
        module
        for contract in settings
        if contract["type"] == "independence"
        for module in contract["modules"]
    }
    packages = {f"pipelines.{found.parent.name}" for found in (ROOT / "pipelines").glob("*/__init__.py")}
    assert packages == guarded
    assert {pipeline.module for pipeline in catalogue.PIPELINES} <= guarded


def test_licence_is_the_unchanged_apache_licence_that_the_package_names():
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2_SHA256
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_commit_hooks_are_local_and_need_no_network():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert {repository["repo"] for repository in hooks} == {"local"}
    entries = [hook["entry"] for repository in hooks for hook in repository["hooks"]]
    assert all("--no-sync" in entry or "--offline" in entry for entry in entries)


def test_workflow_gets_no_more_rights_than_reading():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
