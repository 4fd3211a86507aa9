import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch

from shared.training.batches import DeviceBatches
from shared.training.fit import fit
from shared.training.settings import FitSettings

SCRIPT = textwrap.dedent("""
    import importlib.util, json, os, sys
    from pathlib import Path
    import torch
    from shared.errors import Stopped
    from shared.training.batches import DeviceBatches
    from shared.training.fit import fit
    from shared.training.interrupt import StopFlag
    from shared.training.settings import FitSettings

    rank, folder = int(os.environ["RANK"]), Path(sys.argv[1])
    spec = importlib.util.spec_from_file_location("problem", sys.argv[2])
    problem = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(problem)

    def network():
        torch.manual_seed(rank)  # unequal on purpose: the lead's weights count
        return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))

    def run(name, loss=problem.squared_error, batch_size=33, **options):
        data = DeviceBatches(problem.make_tensors(), batch_size, seed=5)
        result = fit(network(), loss, data, FitSettings(**json.loads(sys.argv[3])), **options)
        weights = [tensor.tolist() for tensor in result.model.state_dict().values()]
        report = {"weights": weights, **result.to_json()}
        (folder / f"{name}-{rank}.json").write_text(json.dumps(report))

    # 100 rows in batches of 33: the last batch has one row, and one process gets none of it.
    validated = []
    def validate(model):
        validated.append(rank)
        return problem.validation_loss(model)

    # Both processes see rows of the tables that the other does not, and some that both do.
    for kind in ("tables", "pictures"):
        of_kind = lambda name: getattr(problem, f"{name}_of_{kind}")
        data = DeviceBatches(of_kind("make_tensors")(), 33, seed=5)
        settings = FitSettings(**json.loads(sys.argv[3]))
        result = fit(of_kind("make_network")(), of_kind("loss"), data, settings)
        weights = [tensor.tolist() for tensor in result.model.state_dict().values()]
        (folder / f"{kind}-{rank}.json").write_text(json.dumps(weights))

    run("plain", validate=validate)
    assert bool(validated) == (rank == 0)

    flag = StopFlag()
    calls = []
    def loss(model, batch):
        calls.append(1)
        if rank == 1 and len(calls) == 5:
            flag.request("rank 1")
        return problem.squared_error(model, batch)

    try:
        run("stopped", loss, validate=validate, checkpoint_dir=folder / "run", stop=flag)
    except Stopped:
        run("resumed", validate=validate, checkpoint_dir=folder / "run")

    def failing(model):
        raise ValueError("metric")
    try:
        run("failed", validate=failing)
    except Exception as error:
        (folder / f"failed-{rank}.json").write_text(json.dumps(type(error).__name__))
""")


@pytest.fixture(scope="module")
def settings():
    return {
        "epochs": 6,
        "learning_rate": 0.02,
        "clip_norm": 1.0,
        "ema_decay": 0.9,
        "device": "cpu",
        "num_threads": 1,
    }


@pytest.fixture(scope="module")
def reports(tmp_path_factory, settings):
    """One torchrun for all tests: starting two processes takes most of the time."""
    folder = tmp_path_factory.mktemp("torchrun")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    problem_path = os.path.join(os.path.dirname(__file__), "conftest.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    process = subprocess.Popen(
        [*command, str(script), str(folder), problem_path, json.dumps(settings)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, output
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*-?.json")}


@pytest.fixture(scope="module")
def alone(problem, settings):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    data = problem.data(batch_size=33)
    return fit(network, problem.loss, data, FitSettings(**settings), validate=problem.validate)


def trace(history):
    return [[row["train_loss"], row["loss"]] for row in history]


def test_two_processes_train_what_one_trains_uneven_last_batch_included(reports, alone):
    for rank in (0, 1):
        report = reports[f"plain-{rank}"]
        assert report["num_processes"] == 2
        torch.testing.assert_close(
            torch.tensor(trace(report["history"])), torch.tensor(trace(alone.history)), rtol=1e-5, atol=1e-5
        )
    for mine, theirs in zip(reports["plain-0"]["weights"], alone.model.state_dict().values(), strict=True):
        torch.testing.assert_close(torch.tensor(mine), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["tables", "pictures"])
def test_sparse_tables_and_weights_in_any_order_of_memory_become_those_of_one_process(
    reports, problem, settings, kind
):
    network, tensors, loss = (
        getattr(problem, f"{name}_of_{kind}") for name in ("network", "tensors", "loss")
    )
    result = fit(network(), loss, DeviceBatches(tensors(), 33, seed=5), FitSettings(**settings))
    assert reports[f"{kind}-0"] == reports[f"{kind}-1"]
    for mine, theirs in zip(reports[f"{kind}-0"], result.model.state_dict().values(), strict=True):
        torch.testing.assert_close(torch.tensor(mine), theirs, rtol=1e-4, atol=1e-5)


def test_all_processes_return_the_same_network(reports):
    assert reports["plain-0"]["weights"] == reports["plain-1"]["weights"]


def test_flag_of_one_process_stops_all_and_all_resume_exactly(reports):
    assert "stopped-0" not in reports
    assert "stopped-1" not in reports
    for rank in (0, 1):
        assert reports[f"resumed-{rank}"]["resumed_from_step"] == 16
        assert reports[f"resumed-{rank}"]["weights"] == reports["plain-0"]["weights"]


def test_failed_validation_ends_every_process(reports):
    assert reports["failed-0"] == "ValueError"
    assert reports["failed-1"] == "FieldworkError"
