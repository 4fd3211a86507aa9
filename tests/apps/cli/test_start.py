"""The command as a process: what it imports, what reaches its streams, how signals end it."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipelines import catalogue
from shared.errors import RequestError

ROOT = Path(__file__).parents[3]
HEAVY = {
    "torch",
    "polars",
    "prefect",
    "mlflow",
    "pandas",
    "numpy",
    "sklearn",
    "matplotlib",
    "pydantic",
    "yaml",
}

WITH_FAKE_PIPELINE = """
import os, subprocess, sys, time, types
from apps.cli.main import main
from pipelines import catalogue

class Summary:
    def model_dump(self, mode):
        return {"pipeline": "toy", "metrics": {}, "verdict": "Größer ist besser", "seconds": {}}

def run(preset, source, overrides, *, use_cache=True, progress):
    BODY
    return Summary()

flow = types.ModuleType("fake_toy.flow")
flow.run = run
sys.modules["fake_toy"] = types.ModuleType("fake_toy")
sys.modules["fake_toy.flow"] = flow
catalogue.PIPELINES = (
    catalogue.Pipeline("toy", "Toy", "Toy?", "toys", "scores", "fake_toy", ("synthetic",), "test/roc_auc"),
)
main()
"""


def start(body: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    script = WITH_FAKE_PIPELINE.replace("BODY", textwrap.dedent(body).replace("\n", "\n    "))
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_start_imports_nothing_heavy():
    script = "import sys, apps.cli.main; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(loaded.stdout.split())


def test_list_imports_nothing_heavy_and_names_every_pipeline():
    script = "\n".join(
        [
            "import sys, apps.cli.main as cli",
            "try: cli.app(['list'])",
            "except SystemExit as end: assert not end.code",
            "print('loaded', *sorted({name.split('.')[0] for name in sys.modules}))",
        ]
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    shown, loaded = result.stdout.split("loaded")
    assert not (HEAVY - {"pydantic"}) & set(loaded.split())  # Typer reads arguments with pydantic
    assert all(pipeline.name in shown for pipeline in catalogue.PIPELINES)


def test_json_stdout_stays_pure_below_python_too():
    body = """
    print("python prints")
    os.write(1, b"a file descriptor prints\\n")
    __import__("ctypes").CDLL(None).printf(b"a C library prints\\n")
    subprocess.run(["sh", "-c", "echo a child prints"])
    """
    process = start(body, "run", "toy", "--json", "-", PYTHONUNBUFFERED="")  # C buffers too
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["verdict"] == "Größer ist besser"
    for text in (b"python prints", b"a file descriptor prints", b"a C library prints", b"a child prints"):
        assert text in stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_a_run_as_stopped_and_resumable(number):
    # not signal.pause(), which waits for ever when the signal comes just before it
    body = "os.write(2, b'ready\\n')\nwhile True: time.sleep(0.01)"
    process = start(body, "run", "toy", "--quiet")
    assert process.stderr is not None
    assert process.stderr.readline() == b"ready\n"
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 3
    assert stderr.decode() == "Stopped. Run the same command to continue.\n"
    assert stdout == b""


def test_terminal_that_knows_only_ascii_still_gets_the_summary():
    process = start("pass", "run", "toy", PYTHONIOENCODING="ascii:strict", PYTHONUTF8="0")
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert b"ist besser" in stdout


def test_closed_pipe_is_no_error_message():
    process = start("pass", "run", "toy")
    assert process.stdout is not None
    process.stdout.close()
    process.wait(timeout=60)
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


def test_help_and_version_answer(invoke):
    shown = invoke("--help")
    assert shown.exit_code == 0
    assert all(word in shown.stdout for word in ("list", "run", "score", "contract", "data", "models"))
    assert invoke("--version").stdout.startswith("fieldwork 0.")
    assert invoke("nonsense").exit_code == 2
    assert invoke().exit_code == 2


@pytest.mark.parametrize("name", ["credit_scoring", "credit-scoring", " Credit-Scoring "])
def test_pipeline_names_accept_dash_underscore_and_case(name):
    assert catalogue.find(name).name == "credit_scoring"


@pytest.mark.parametrize("name", ["", "../credit_scoring", "os", "credit scoring", "x" * 10_000])
def test_unknown_pipeline_name_is_a_request_error(name):
    with pytest.raises(RequestError, match="Expected the name of a pipeline"):
        catalogue.find(name)


def test_catalogue_names_are_unique_and_contracts_are_plain_names():
    names = [pipeline.name for pipeline in catalogue.PIPELINES]
    assert len(set(names)) == len(names)
    for pipeline in catalogue.PIPELINES:
        assert pipeline.sources[0] == "synthetic"
        assert pipeline.headline.startswith("test/")
        assert pipeline.module == f"pipelines.{pipeline.name}"
