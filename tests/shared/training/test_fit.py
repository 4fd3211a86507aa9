import copy
import gc
import json
import math
import random
import threading

import numpy as np
import pytest
import torch
from torch import nn

from shared.errors import FieldworkError, RequestError, Stopped
from shared.training.averaging import MovingAverage
from shared.training.batches import DeviceBatches
from shared.training.fit import fit
from shared.training.interrupt import StopFlag
from shared.training.prefetch import PrefetchBatches, TensorSource
from shared.training.settings import FitSettings


def linear():
    torch.manual_seed(0)
    return nn.Linear(4, 1)


def states(model):
    return [tensor.clone() for tensor in model.state_dict().values()]


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_run_equals_a_bare_pytorch_loop(problem):
    data = problem.data()
    bare = problem.network()
    optimizer = torch.optim.AdamW(bare.parameters(), lr=0.01, weight_decay=0.0, fused=True)
    torch.manual_seed(0)
    losses = []
    for epoch in range(3):
        for batch in data.epoch(epoch):
            optimizer.zero_grad()
            loss = problem.loss(bare, batch)
            loss.backward()
            optimizer.step()
            losses.append(loss.item() * len(batch["x"]))
    result = fit(problem.network(), problem.loss, data, FitSettings(epochs=3, learning_rate=0.01))
    assert all(torch.equal(a, b) for a, b in zip(states(bare), states(result.model), strict=True))
    assert result.history[2]["train_loss"] == pytest.approx(sum(losses[14:]) / 100, rel=1e-6)
    assert result.steps == 21
    assert not result.model.training


def test_same_call_gives_the_same_bits(problem):
    settings = FitSettings(epochs=2, schedule="one_cycle", ema_decay=0.9, clip_norm=0.5)
    first, second = (
        problem.everything(
            fit(problem.network(), problem.loss, problem.data(), settings, validate=problem.validate)
        )
        for _ in range(2)
    )
    assert first == second


def test_prefetched_data_train_the_same_network(problem):
    ahead = PrefetchBatches(TensorSource(problem.tensors()), 16, seed=5)
    results = [
        fit(problem.network(), problem.loss, data, FitSettings(epochs=2)) for data in (problem.data(), ahead)
    ]
    assert all(torch.equal(*pair) for pair in zip(*(states(each.model) for each in results), strict=True))


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_every_optimizer_learns(problem, optimizer):
    settings = FitSettings(epochs=30, learning_rate=0.05, optimizer=optimizer)
    history = fit(linear(), problem.loss, problem.data(), settings).history
    assert history[-1]["train_loss"] < 0.05 * history[0]["train_loss"]


def test_accumulated_batches_equal_one_large_batch_even_at_the_short_end(problem):
    small, large = problem.data(batch_size=8), problem.data(batch_size=24)
    settings = FitSettings(epochs=2, optimizer="sgd", learning_rate=0.01)
    accumulated = fit(linear(), problem.loss, small, settings.model_copy(update={"accumulate_steps": 3}))
    at_once = fit(linear(), problem.loss, large, settings)
    assert accumulated.steps == at_once.steps == 10
    for pair in zip(states(accumulated.model), states(at_once.model), strict=True):
        torch.testing.assert_close(*pair, rtol=1e-5, atol=1e-6)
    assert accumulated.history[0]["train_loss"] == pytest.approx(at_once.history[0]["train_loss"], rel=1e-5)


def test_clipping_bounds_the_step(problem):
    settings = FitSettings(epochs=1, optimizer="sgd", momentum=0, learning_rate=1.0, clip_norm=0.01)
    before = states(linear())
    data = problem.data(batch_size=100)
    after = states(fit(linear(), problem.loss, data, settings).model)
    moved = math.sqrt(sum(float((a - b).square().sum()) for a, b in zip(after, before, strict=True)))
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_biases_norms_and_embeddings_are_not_decayed():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.norm, self.out = nn.Embedding(3, 4), nn.LayerNorm(4), nn.Linear(4, 1)

        def forward(self, x):
            return self.out(self.norm(self.embed(x)))

    def zero_loss(model, batch):
        return model(batch["x"]).mean() * 0

    data = DeviceBatches({"x": torch.tensor([0, 1, 2])}, 3, seed=0)
    settings = FitSettings(epochs=1, learning_rate=0.1, weight_decay=0.5)
    for everything, decayed in ((False, {"out.weight"}), (True, None)):
        model = Mixed()
        before = copy.deepcopy(model.state_dict())
        after = fit(
            model, zero_loss, data, settings.model_copy(update={"decay_everything": everything})
        ).model
        changed = {name for name, value in after.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == (decayed or {name for name, value in before.items() if value.any()})


def scripted(values, key="loss"):
    remaining = iter(values)
    return lambda model: {key: next(remaining)}


def test_early_stopping_waits_for_patience_and_returns_the_best_epoch(problem):
    seen = []

    def validate(model):
        seen.append(states(model))
        return {"loss": [5.0, 3.0, 4.0, 3.5, 1.0][len(seen) - 1]}

    result = fit(
        problem.network(), problem.loss, problem.data(), FitSettings(epochs=9, patience=2), validate=validate
    )
    assert (result.stopped_because, result.epochs, result.best_epoch) == ("early_stopping", 4, 1)
    assert all(torch.equal(a, b) for a, b in zip(states(result.model), seen[1], strict=True))


def test_last_weights_come_back_when_best_are_not_wanted(problem):
    settings = FitSettings(epochs=3, restore_best=False)
    validated = fit(
        problem.network(), problem.loss, problem.data(), settings, validate=scripted([1.0, 2.0, 3.0])
    )
    plain = fit(problem.network(), problem.loss, problem.data(), settings)
    assert all(torch.equal(*pair) for pair in zip(states(validated.model), states(plain.model), strict=True))


@pytest.mark.parametrize(
    ("values", "options", "best"),
    [
        ([0.5, 0.9, 0.7], {"minimize": False}, 1),
        ([math.nan, 2.0, math.nan], {}, 1),
        ([1.0, 0.95, 0.8], {"min_delta": 0.1}, 2),
        ([1.0, 0.95, 0.93], {"min_delta": 0.1}, 0),
        ([1.0, 1.0, 1.0], {}, 0),
        ([math.nan] * 3, {}, -1),
    ],
)
def test_best_epoch_follows_direction_delta_ties_and_nan(problem, values, options, best):
    settings = FitSettings(epochs=3, monitor="score", **options)
    result = fit(linear(), problem.loss, problem.data(), settings, validate=scripted(values, "score"))
    assert result.best_epoch == best


def test_average_is_validated_and_returned_and_training_goes_on_without_it(problem):
    settings = FitSettings(epochs=3, ema_decay=0.9)
    validated = []

    def validate(model):
        validated.append(states(model))
        assert not model.training
        assert not torch.is_grad_enabled()
        return problem.validate(model)

    averaged = fit(linear(), problem.loss, problem.data(), settings, validate=validate)
    plain = fit(linear(), problem.loss, problem.data(), settings.model_copy(update={"ema_decay": None}))
    assert [row["train_loss"] for row in averaged.history] == [row["train_loss"] for row in plain.history]
    assert all(torch.equal(*pair) for pair in zip(states(averaged.model), validated[-1], strict=True))
    assert not torch.equal(states(averaged.model)[0], states(plain.model)[0])


def test_moving_average_has_its_textbook_value():
    weights = [torch.zeros(1)]
    average = MovingAverage(weights, decay=0.5)
    expected = 0.0
    for step, value in enumerate([1.0, 2.0, 3.0]):
        weights[0].fill_(value)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert average.tensors[0].item() == pytest.approx(expected)


@pytest.mark.parametrize("bad_row", [0, 37, 99])
def test_nan_in_the_data_stops_the_run_and_names_the_step(problem, bad_row):
    tensors = problem.tensors()
    tensors["x"][bad_row, 0] = math.nan
    data = DeviceBatches(tensors, 10, seed=5, shuffle=False)
    with pytest.raises(FieldworkError, match=rf"loss was nan at step {bad_row // 10} .*gradient norm"):
        fit(linear(), problem.loss, data, FitSettings(epochs=1))


def test_weights_that_explode_in_the_very_last_step_are_noticed(problem):
    settings = FitSettings(epochs=1, learning_rate=3e38, optimizer="sgd")
    with pytest.raises(FieldworkError, match=r"a weight became NaN or infinite at step 0"):
        fit(linear(), problem.loss, problem.data(batch_size=100), settings)


def test_diverging_run_keeps_its_last_good_checkpoint(problem, tmp_path):
    calls = [0]

    def loss(model, batch):
        calls[0] += 1
        return problem.loss(model, batch) * (math.inf if calls[0] == 10 else 1)

    settings = FitSettings(epochs=2, checkpoint_every_seconds=0)
    with pytest.raises(FieldworkError, match="step 9"):
        fit(problem.network(), loss, problem.data(), settings, checkpoint_dir=tmp_path)
    resumed = fit(problem.network(), problem.loss, problem.data(), settings, checkpoint_dir=tmp_path)
    assert resumed.resumed_from_step == 9


def test_time_limit_ends_the_run_with_what_it_has(problem):
    result = fit(problem.network(), problem.loss, problem.data(), FitSettings(epochs=50, max_seconds=1e-9))
    assert (result.stopped_because, result.steps, result.epochs, result.best_epoch) == (
        "time_limit",
        1,
        0,
        -1,
    )
    assert result.samples_per_second > 0


def test_random_numbers_during_validation_do_not_break_repeatability(problem):
    def validate(model):
        return {
            "loss": random.random()
            + np.random.rand()  # noqa: NPY002 - the global one is what must be seeded
            + torch.rand(()).item()
        }

    histories = [
        [
            row["loss"]
            for row in fit(
                linear(), problem.loss, problem.data(), FitSettings(epochs=3), validate=validate
            ).history
        ]
        for _ in range(2)
    ]
    assert histories[0] == histories[1]


def test_requests_that_cannot_work_are_refused_with_a_way_out(problem):
    frozen = linear().requires_grad_(False)
    cases = [
        (linear(), lambda m, b: m(b["x"]), FitSettings(), None, "one number"),
        (frozen, problem.loss, FitSettings(), None, "trainable"),
        (linear(), problem.loss, FitSettings(precision="fp16", device="cpu"), None, "fp32 or bf16"),
        (linear(), problem.loss, FitSettings(), lambda m: {"roc_auc": 0.5}, "Set monitor"),
        (linear(), problem.loss, FitSettings(), lambda m: {"loss": 1.0, "lr": 0.5}, "other metric names"),
    ]
    if not torch.cuda.is_available():
        cases.append((linear(), problem.loss, FitSettings(device="cuda"), None, "device=auto"))
    for model, loss, settings, validate, message in cases:
        with pytest.raises(RequestError, match=message):
            fit(model, loss, problem.data(), settings, validate=validate)


def test_process_is_left_as_it_was_found(problem):
    threads, matmul = torch.get_num_threads(), torch.get_float32_matmul_precision()
    frozen = gc.get_freeze_count()
    with pytest.raises(FieldworkError):
        fit(
            linear(),
            lambda m, b: m(b["x"]).mean() * math.nan,
            problem.data(),
            FitSettings(num_threads=2, deterministic=True),
        )
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (threads, matmul)
    assert not torch.are_deterministic_algorithms_enabled()
    assert gc.get_freeze_count() <= frozen
    assert torch.is_grad_enabled()


def test_bf16_trains_on_the_cpu_and_keeps_fp32_weights(problem):
    settings = FitSettings(epochs=10, precision="bf16", learning_rate=0.02, device="cpu")
    result = fit(problem.network(), problem.loss, problem.data(), settings)
    assert result.precision == "bf16"
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    assert all(parameter.dtype == torch.float32 for parameter in result.model.parameters())


def test_one_row_is_enough(problem):
    data = DeviceBatches(problem.tensors(1), 512, seed=0)
    result = fit(linear(), problem.loss, data, FitSettings(epochs=2))
    assert (result.steps, result.stopped_because) == (2, "finished")


def test_result_is_plain_json_even_with_nan_metrics(problem):
    result = fit(linear(), problem.loss, problem.data(), FitSettings(epochs=1), validate=scripted([math.nan]))
    plain = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert plain["history"][0]["loss"] is None
    assert plain["device"] in ("cpu", "cuda:0")
    assert "model" not in plain


class RecordingProgress:
    def __init__(self):
        self.calls = []

    def start(self, total, label):
        self.calls.append(("start", total))

    def advance(self, n, **numbers):
        self.calls.append(("advance", n))

    def close(self):
        self.calls.append(("close", 0))


def test_progress_is_throttled_and_closed_even_after_an_error(problem):
    progress = RecordingProgress()
    with pytest.raises(ZeroDivisionError):
        fit(
            linear(),
            problem.loss,
            problem.data(),
            FitSettings(epochs=3),
            progress=progress,
            validate=lambda m: 1 / 0,
        )
    assert progress.calls[0] == ("start", 21)
    assert progress.calls[-1] == ("close", 0)
    assert 0 < sum(kind == "advance" for kind, _ in progress.calls) < 7


def test_fit_works_outside_the_main_thread_and_stops_by_its_flag(problem, tmp_path, stopping_loss):
    flag, outcome = StopFlag(), []

    def work():
        try:
            fit(
                problem.network(),
                stopping_loss(flag, 3),
                problem.data(),
                FitSettings(),
                checkpoint_dir=tmp_path,
                stop=flag,
            )
        except Stopped as stopped:
            outcome.append(str(stopped))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "step 3" in outcome[0]
    assert (
        fit(
            problem.network(), problem.loss, problem.data(), FitSettings(), checkpoint_dir=tmp_path
        ).resumed_from_step
        == 3
    )


def test_stop_without_a_checkpoint_folder_says_that_nothing_was_saved(problem, stopping_loss):
    flag = StopFlag()
    with pytest.raises(Stopped, match="nothing saved"):
        fit(linear(), stopping_loss(flag, 2), problem.data(), FitSettings(), stop=flag)
