import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch

from shared.errors import Stopped
from shared.training.fit import fit
from shared.training.interrupt import StopFlag, catch_signals
from shared.training.settings import FitSettings

SETTINGS = FitSettings(epochs=4)


@pytest.fixture(autouse=True)
def handlers_stay_as_they_are():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    yield
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
        signal.signal(number, handler)
    assert after == before


def signalling_loss(problem, number, at_calls):
    calls = [0]

    def loss(model, batch):
        calls[0] += 1
        if calls[0] in at_calls:
            os.kill(os.getpid(), number)
        return problem.loss(model, batch)

    return loss


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_saves_stops_and_the_next_call_continues(problem, tmp_path, number):
    with pytest.raises(Stopped, match=f"{number.name} at step 9"):
        fit(
            problem.network(),
            signalling_loss(problem, number, {9}),
            problem.data(),
            SETTINGS,
            checkpoint_dir=tmp_path,
        )
    resumed = fit(problem.network(), problem.loss, problem.data(), SETTINGS, checkpoint_dir=tmp_path)
    whole = fit(problem.network(), problem.loss, problem.data(), SETTINGS)
    assert resumed.resumed_from_step == 9
    assert problem.everything(resumed)["weights"] == problem.everything(whole)["weights"]


class Terminated(BaseException):
    """As an orchestrator raises it from its own SIGTERM handler."""


def test_handler_of_the_surrounding_program_gets_the_signal_after_the_checkpoint(problem, tmp_path):
    saved_when_called = []

    def handler(number, frame):
        saved_when_called.append(bool(list(tmp_path.glob("checkpoint*.json"))))
        raise Terminated

    before = signal.signal(signal.SIGTERM, handler)
    try:
        loss = signalling_loss(problem, signal.SIGTERM, {3})
        with pytest.raises(Terminated):
            fit(problem.network(), loss, problem.data(), SETTINGS, checkpoint_dir=tmp_path)
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert saved_when_called == [True]


def test_ignored_signals_of_the_surrounding_program_still_end_as_stopped(problem, tmp_path):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        loss = signalling_loss(problem, signal.SIGTERM, {3})
        with pytest.raises(Stopped):
            fit(problem.network(), loss, problem.data(), SETTINGS, checkpoint_dir=tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_signal_during_the_last_validation_is_not_swallowed_and_the_result_is_kept(problem, tmp_path):
    def validate(model):
        os.kill(os.getpid(), signal.SIGTERM)
        return problem.validate(model)

    once = SETTINGS.model_copy(update={"epochs": 1})
    with pytest.raises(Stopped, match="had just ended"):
        fit(problem.network(), problem.loss, problem.data(), once, validate=validate, checkpoint_dir=tmp_path)
    kept = fit(
        problem.network(), problem.loss, problem.data(), once, validate=validate, checkpoint_dir=tmp_path
    )
    assert kept.stopped_because == "finished"


def test_second_interrupt_does_not_wait():
    flag = StopFlag()

    def interrupted_twice():
        with catch_signals(flag):
            os.kill(os.getpid(), signal.SIGINT)
            assert flag.reason == "SIGINT"
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()


def test_without_a_checkpoint_folder_signals_keep_their_meaning(problem):
    # what a shell starts in the background inherits a SIGINT that is ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(problem.network(), signalling_loss(problem, signal.SIGINT, {3}), problem.data(), SETTINGS)
    finally:
        signal.signal(signal.SIGINT, before)


def test_sigterm_from_outside_ends_the_process_with_the_resumable_exit_code(tmp_path):
    script = textwrap.dedent("""
        import sys, torch
        from pathlib import Path
        from shared.errors import Stopped
        from shared.training.batches import DeviceBatches
        from shared.training.fit import fit
        from shared.training.settings import FitSettings

        def loss(model, batch):
            print("running", flush=True)
            return model(batch["x"]).square().mean()

        data = DeviceBatches({"x": torch.randn(64, 2)}, 8, seed=0)
        settings = FitSettings(epochs=10**6)
        try:
            fit(torch.nn.Linear(2, 1), loss, data, settings, checkpoint_dir=Path(sys.argv[1]))
        except Stopped as stopped:
            sys.exit(stopped.exit_code)
    """)
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        process.stdout.read()
    assert process.returncode == 3
    assert list(tmp_path.glob("checkpoint*.json"))


def test_training_imports_nothing_that_a_bare_gpu_machine_lacks():
    script = textwrap.dedent("""
        import sys
        import shared.training.fit, shared.training.prefetch
        heavy = {"prefect", "mlflow", "shap", "captum", "sklearn", "rich", "matplotlib", "pandera", "polars"}
        sys.exit(", ".join(heavy & set(sys.modules)))
    """)
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert finished.stderr.strip() == ""


def test_rich_bar_survives_start_advance_and_close_without_a_terminal(problem):
    from shared.training.progress import RichProgress

    progress = RichProgress()
    fit(problem.network(), problem.loss, problem.data(), SETTINGS, progress=progress)
    progress.close()
    assert torch.is_grad_enabled()
