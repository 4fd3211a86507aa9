"""`torchrun` with two processes: one flow, one published model, the weights that one process would have found."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.commands import CREDIT_SCORING, MEDICAL_SEGMENTATION, settings
from tests.flows.training_records import recorded

ROOT = Path(__file__).parents[2]
# Dropout is drawn by each process for its own rows, so without it two processes do what one does.
CREDIT = (
    *CREDIT_SCORING.tiny,
    *CREDIT_SCORING.little_evidence,
    "--quiet",
    *settings("model.dropout=0"),
)
MEDICAL = (
    *MEDICAL_SEGMENTATION.tiny,
    *MEDICAL_SEGMENTATION.little_evidence,
    "--quiet",
    *settings("training.epochs=1"),
)


def torchrun(fieldwork: Any, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """The command on two processes that share the home and the server of `fieldwork`."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    known = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    ours = {
        "FIELDWORK_HOME": str(fieldwork.home), "PREFECT_API_URL": fieldwork.server_url,
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    return subprocess.run(
        [*start, "tests.flows.undrawn", *map(str, arguments)],
        env=known | ours, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def tensors_in(home: Path) -> int:
    """Different tensor files in the store, where every process puts what it has fitted under its digest."""
    return len(list((home / "store").rglob("*.safetensors")))


def weights(document: dict[str, Any]) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(Path(document["model"]["bundle"]) / "model.safetensors")


@pytest.fixture(scope="module")
def credit(fieldwork_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The home and the result of credit scoring with two processes."""
    command = fieldwork_in(tmp_path_factory.mktemp("two"))
    target = command.home / "result.json"
    result = torchrun(command, *CREDIT, "--json", target)
    assert result.returncode == 0, result.stderr
    return command, json.loads(target.read_text())


def test_two_processes_publish_one_model(credit):
    fieldwork, document = credit
    assert document["model"]["version"] == 1
    assert document["model"]["promoted"] is True
    assert fieldwork("models", "list").stdout.count("credit_scoring") == 1


def test_both_processes_end_with_the_same_weights(credit):
    fieldwork, _ = credit
    assert recorded(fieldwork.home, "num_processes") == {2}
    assert tensors_in(fieldwork.home) == 1


def test_two_processes_find_the_weights_that_one_finds(credit, fieldwork_in, tmp_path):
    _, two = credit
    alone = fieldwork_in(tmp_path)
    one = alone(*CREDIT, "--json", "-").require_success().document
    for name, expected in weights(one).items():
        torch.testing.assert_close(weights(two)[name], expected, rtol=1e-4, atol=1e-5)
    assert two["metrics"]["test/roc_auc"]["value"] == pytest.approx(one["metrics"]["test/roc_auc"]["value"])


def test_same_command_again_reuses_what_two_processes_trained(credit):
    fieldwork, first = credit
    again = fieldwork(*CREDIT, "--json", "-").require_success().document
    assert again["model"] == first["model"] | {"promoted": True}


def test_wrong_request_ends_both_processes_with_its_message(credit):
    fieldwork, _ = credit
    result = torchrun(fieldwork, "run", "credit_scoring", "--quiet", "--data", "/nowhere/applications.csv")
    assert result.returncode != 0
    assert "Received '/nowhere/applications.csv'" in result.stderr
    assert (
        "exitcode  : 2" in result.stderr
    )  # of the first process, as torchrun tells it; the other ended well


def test_u_nets_of_all_folds_are_trained_by_two_processes_and_are_the_same_in_both(
    fieldwork_in, tmp_path_factory
):
    from pipelines.medical_segmentation.config import tiny

    fieldwork = fieldwork_in(tmp_path_factory.mktemp("medical"))
    result = torchrun(fieldwork, *MEDICAL)
    assert result.returncode == 0, result.stderr
    assert recorded(fieldwork.home, "num_processes") == {2}
    others = ("the network that is served", "the images")
    assert tensors_in(fieldwork.home) == tiny().protocol.num_folds + len(others)
    assert fieldwork("models", "list").stdout.count("medical_segmentation") == 1
