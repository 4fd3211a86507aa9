import hashlib
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import stat

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from shared.errors import FieldworkError, Stopped
from shared.training import checkpoint as checkpoint_module
from shared.training.fit import fit
from shared.training.interrupt import StopFlag
from shared.training.settings import FitSettings

FULL = FitSettings(
    epochs=4, schedule="warmup_cosine", ema_decay=0.9, clip_norm=1.0, patience=3, weight_decay=0.01
)
FORK = multiprocessing.get_context("fork")
NUM_STEPS = 28


@pytest.fixture(scope="module")
def uninterrupted(problem):
    result = fit(problem.network(), problem.loss, problem.data(), FULL, validate=problem.validate)
    return problem.everything(result)


def resume(problem, folder, run_settings=FULL, **options):
    return fit(
        problem.network(),
        problem.loss,
        problem.data(),
        run_settings,
        validate=problem.validate,
        checkpoint_dir=folder,
        **options,
    )


def stop_at(problem, folder, make_loss, calls, run_settings=FULL):
    flag = StopFlag()
    with pytest.raises(Stopped, match="same command continues"):
        fit(
            problem.network(),
            make_loss(flag, calls),
            problem.data(),
            run_settings,
            validate=problem.validate,
            checkpoint_dir=folder,
            stop=flag,
        )


@given(stops=st.lists(st.integers(1, 12), min_size=1, max_size=3))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_resumed_run_equals_uninterrupted_run(problem, uninterrupted, stopping_loss, tmp_path_factory, stops):
    folder = tmp_path_factory.mktemp("run")
    for calls in itertools.takewhile(lambda _: sum(stops) < NUM_STEPS, stops):
        stop_at(problem, folder, stopping_loss, calls)
    torch.manual_seed(random.randrange(1000))
    result = resume(problem, folder)
    assert problem.everything(result) == uninterrupted
    assert result.resumed_from_step == (sum(stops) if sum(stops) < NUM_STEPS else None)


@pytest.mark.parametrize("calls", [7, 14, 28])
def test_stop_at_the_end_of_an_epoch_neither_loses_nor_repeats_its_validation(
    problem, uninterrupted, stopping_loss, tmp_path, calls
):
    stop_at(problem, tmp_path, stopping_loss, calls)
    assert problem.everything(resume(problem, tmp_path)) == uninterrupted


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulate_steps": 3},
        {"optimizer": "sgd"},
        {"ema_decay": None},
        {"precision": "bf16", "device": "cpu"},
    ],
)
def test_resume_is_exact_in_every_mode(problem, stopping_loss, tmp_path, changes):
    mode = FULL.model_copy(update=changes)
    whole = fit(problem.network(), problem.loss, problem.data(), mode, validate=problem.validate)
    expected = problem.everything(whole)
    stop_at(problem, tmp_path, stopping_loss, 11, mode)
    assert problem.everything(resume(problem, tmp_path, mode)) == expected


def test_resume_is_exact_with_hooks_that_draw_new_data_every_epoch(problem, stopping_loss, tmp_path):
    def hook(epoch):
        return {"x": torch.randn(100, 4, generator=torch.Generator().manual_seed(epoch))}

    def run(loss, **options):
        return fit(
            problem.network(), loss, problem.data(on_epoch=hook), FULL, validate=problem.validate, **options
        )

    expected = problem.everything(run(problem.loss))
    flag = StopFlag()
    with pytest.raises(Stopped):
        run(stopping_loss(flag, 10), checkpoint_dir=tmp_path, stop=flag)
    assert problem.everything(run(problem.loss, checkpoint_dir=tmp_path)) == expected


def test_checkpoint_after_every_step_changes_nothing(problem, uninterrupted, tmp_path):
    often = FULL.model_copy(update={"checkpoint_every_seconds": 0})
    assert problem.everything(resume(problem, tmp_path, often)) == uninterrupted
    assert len(list(tmp_path.glob("*.pt"))) == 2


def test_finished_run_returns_at_once_with_the_same_result(problem, uninterrupted, tmp_path):
    first = resume(problem, tmp_path)

    def never(model, batch):
        raise AssertionError("trained again")

    again = fit(problem.network(), never, problem.data(), FULL, validate=never, checkpoint_dir=tmp_path)
    assert problem.everything(again) == uninterrupted
    assert again.history == first.history
    assert 0 < again.seconds <= first.seconds


def test_time_limit_is_over_all_attempts_and_a_raised_one_continues(problem, uninterrupted, tmp_path):
    short = FULL.model_copy(update={"max_seconds": 1e-9})
    assert resume(problem, tmp_path, short).steps == 1
    assert resume(problem, tmp_path, short).steps == 1
    result = resume(problem, tmp_path, FULL)
    assert result.resumed_from_step == 1
    assert problem.everything(result) == uninterrupted


def test_damaged_newest_checkpoint_falls_back_to_the_one_before(
    problem, uninterrupted, stopping_loss, tmp_path
):
    stop_at(problem, tmp_path, stopping_loss, 5)
    stop_at(problem, tmp_path, stopping_loss, 5)
    newest = max(tmp_path.glob("*.pt"))
    for damage in (lambda raw: raw[: len(raw) // 2], lambda raw: raw[:-1] + b"x", lambda raw: b""):
        whole = newest.read_bytes()
        newest.write_bytes(damage(whole))
        loaded = checkpoint_module.Checkpoints(tmp_path, fingerprint_of(tmp_path), 2)
        assert checkpoint_module.decode(loaded.load())["step"] == 5
        assert "damaged" in loaded.notes[0]
        newest.write_bytes(whole)
    newest.write_bytes(b"")
    result = resume(problem, tmp_path)
    assert result.resumed_from_step == 5
    assert "damaged" in result.notes[0]
    assert problem.everything(result) == uninterrupted


def fingerprint_of(folder):
    return json.loads(max(folder.glob("*.json")).read_text())["fingerprint"]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"fingerprint": 1}', "\ud800"])
def test_hostile_manifest_is_skipped(problem, stopping_loss, tmp_path, content):
    stop_at(problem, tmp_path, stopping_loss, 3)
    max(tmp_path.glob("*.json")).write_bytes(content.encode("utf-8", "surrogatepass"))
    assert resume(problem, tmp_path).resumed_from_step is None


def test_checkpoint_that_would_execute_code_is_not_executed(problem, stopping_loss, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    stop_at(problem, tmp_path, stopping_loss, 3)
    payload, manifest = max(tmp_path.glob("*.pt")), max(tmp_path.glob("*.json"))
    torch.save({"evil": Evil()}, payload)
    changed = {**json.loads(manifest.read_text()), "sha256": hashlib.sha256(payload.read_bytes()).hexdigest()}
    manifest.write_text(json.dumps(changed))
    with pytest.raises(FieldworkError, match="start anew"):
        resume(problem, tmp_path)
    assert not (tmp_path / "owned").exists()


def test_other_settings_network_or_data_start_anew_and_say_so(problem, stopping_loss, tmp_path):
    stop_at(problem, tmp_path, stopping_loss, 3)
    other_settings = FULL.model_copy(update={"learning_rate": 0.5})
    wide = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 1))
    no_dropout = problem.network()
    no_dropout[3].p = 0.0
    changed = problem.data()
    changed.tensors["x"][0, 0] += 1e-3
    for network, data, run_settings in (
        (problem.network(), problem.data(), other_settings),
        (wide, problem.data(), FULL),
        (no_dropout, problem.data(), FULL),
        (problem.network(), changed, FULL),
    ):
        copied = tmp_path.parent / "copy"
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(tmp_path, copied)
        limited = run_settings.model_copy(update={"max_seconds": 1e-9})
        result = fit(network, problem.loss, data, limited, checkpoint_dir=copied)
        assert result.resumed_from_step is None
        assert "not continued" in result.notes[0]


def test_checkpoints_of_another_run_go_only_after_the_first_save(problem, stopping_loss, tmp_path):
    stop_at(problem, tmp_path, stopping_loss, 3)
    other = FULL.model_copy(update={"seed": 9})
    stop_at(problem, tmp_path, stopping_loss, 2, other)
    assert len(list(tmp_path.glob("*.pt"))) == 1
    assert resume(problem, tmp_path, other).resumed_from_step == 2


class FailingSave:
    """torch.save that fails as on a full disk, for the first `failures` calls."""

    def __init__(self, failures):
        self.failures, self.real = failures, torch.save

    def __call__(self, state, path):
        self.failures -= 1
        if self.failures >= 0:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        self.real(state, path)


def test_full_disk_does_not_end_training_and_the_next_save_works(
    problem, uninterrupted, tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoint_module.torch, "save", FailingSave(3))
    result = resume(problem, tmp_path, FULL.model_copy(update={"checkpoint_every_seconds": 0}))
    assert problem.everything(result) == uninterrupted
    assert len(result.notes) == 3
    assert "disk is full" in result.notes[0]
    assert resume(problem, tmp_path).resumed_from_step == NUM_STEPS
    assert not list(tmp_path.glob(".fieldwork*"))


def test_stop_that_cannot_be_saved_is_an_error_and_not_resumable(
    problem, stopping_loss, tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoint_module.torch, "save", FailingSave(99))
    flag = StopFlag()
    with pytest.raises(FieldworkError, match=r"not saved.*disk is full") as caught:
        fit(
            problem.network(),
            stopping_loss(flag, 2),
            problem.data(),
            FULL,
            validate=problem.validate,
            checkpoint_dir=tmp_path,
            stop=flag,
        )
    assert not isinstance(caught.value, Stopped)


def test_failed_final_save_still_returns_the_trained_network(problem, uninterrupted, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_module.torch, "save", FailingSave(99))
    result = resume(problem, tmp_path)
    assert problem.everything(result) == uninterrupted
    assert "disk is full" in result.notes[-1]


def test_folder_that_cannot_be_used_is_refused_before_training(problem, tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(FieldworkError, match="Expected a folder for checkpoints"):
        resume(problem, occupied)
    if os.getuid() != 0:
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(FieldworkError, match="writable"):
            resume(problem, tmp_path)


def in_child(work, *args):
    process = FORK.Process(target=work, args=args)
    process.start()
    return process


def train_in_child(problem, folder, steps_done, pause_in_save):
    """Save after every step. With `pause_in_save` each half-written file is announced."""
    real = torch.save

    def slow_save(state, path):
        real(state, path)
        if pause_in_save:
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            steps_done.release()
            path.write_bytes(whole)
        else:
            steps_done.release()

    checkpoint_module.torch.save = slow_save
    resume(problem, folder, FULL.model_copy(update={"checkpoint_every_seconds": 0}))
    steps_done.release()


@pytest.mark.parametrize("during_save", [False, True])
def test_killed_again_and_again_the_run_still_ends_the_same(problem, uninterrupted, tmp_path, during_save):
    chance = random.Random(int(during_save))
    for _ in range(6):
        steps_done = FORK.Semaphore(0)
        child = in_child(train_in_child, problem, tmp_path, steps_done, during_save)
        for _ in range(chance.randint(1, 5)):
            assert steps_done.acquire(timeout=30)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    result = resume(problem, tmp_path)
    assert problem.everything(result) == uninterrupted
    assert result.resumed_from_step > 0


def test_second_process_with_the_same_folder_waits_and_returns_the_finished_result(
    problem, uninterrupted, tmp_path
):
    inside, go_on = FORK.Event(), FORK.Event()

    def first():
        def validate(model):
            inside.set()
            go_on.wait(30)
            return problem.validate(model)

        fit(problem.network(), problem.loss, problem.data(), FULL, validate=validate, checkpoint_dir=tmp_path)

    child = in_child(first)
    assert inside.wait(30)
    waited = []
    real_note = checkpoint_module.Checkpoints.note

    def note(self, text):
        waited.append(text)
        go_on.set()
        real_note(self, text)

    checkpoint_module.Checkpoints.note = note
    try:
        result = resume(problem, tmp_path)
    finally:
        checkpoint_module.Checkpoints.note = real_note
        child.join()
    assert waited == ["waited for another run to end"]
    assert result.resumed_from_step == NUM_STEPS
    assert problem.everything(result) == uninterrupted
