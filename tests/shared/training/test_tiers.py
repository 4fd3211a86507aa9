import shutil

import pytest
import torch
from torch import nn

from shared.training import flops, tiers
from shared.training.distributed import Group
from shared.training.fit import fit
from shared.training.runtime import Runtime, choose_precision, threads_for
from shared.training.settings import FitSettings

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(
    shutil.which("c++") is None and shutil.which("g++") is None,
    reason="torch.compile on a CPU needs a C++ compiler",
)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def smooth_network():
    torch.manual_seed(0)
    # No bias in front of the normalisation: its gradient is rounding noise, which Adam would blow up.
    return nn.Sequential(nn.Linear(4, 16, bias=False), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 1))


def weights_of(result):
    return list(result.model.state_dict().values())


@pytest.mark.slow
@needs_compiler
def test_compiled_tier_trains_the_same_network_as_eager(problem, monkeypatch):
    from torch._inductor import config as inductor

    # for two small graphs, preparing headers and trying vector instructions takes longer than what they save
    monkeypatch.setattr(inductor, "cpp_cache_precompile_headers", False)
    monkeypatch.setattr(inductor.cpp, "simdlen", 1)
    monkeypatch.setattr(inductor.cpp, "vec_isa_ok", False)
    base = FitSettings(epochs=3, learning_rate=0.01, device="cpu", clip_norm=1.0)
    eager, compiled = (
        fit(smooth_network(), problem.loss, problem.data(), base.model_copy(update={"tier": tier}))
        for tier in ("eager", "compile")
    )
    assert (compiled.tier, compiled.tier_reason) == ("compile", "asked for")
    for pair in zip(weights_of(eager), weights_of(compiled), strict=True):
        torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-5)


@needs_cuda
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_cuda_graph_tier_trains_the_same_network_as_eager(problem, optimizer):
    base = FitSettings(
        epochs=3, learning_rate=0.01, optimizer=optimizer, schedule="cosine", clip_norm=1.0, precision="fp32"
    )
    eager, graph = (
        fit(smooth_network(), problem.loss, problem.data(), base.model_copy(update={"tier": tier}))
        for tier in ("eager", "cuda_graph")
    )
    assert graph.tier == "cuda_graph"
    for pair in zip(weights_of(eager), weights_of(graph), strict=True):
        torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-5)


@needs_cuda
@pytest.mark.parametrize("tier", ["eager", "cuda_graph"])
def test_resume_on_cuda_continues_the_loss_trace(problem, tmp_path, tier):
    settings = FitSettings(epochs=3, tier=tier, learning_rate=0.01, ema_decay=0.9)
    short = settings.model_copy(update={"max_seconds": 1e-9})
    whole = fit(smooth_network(), problem.loss, problem.data(), settings)
    fit(smooth_network(), problem.loss, problem.data(), short, checkpoint_dir=tmp_path)
    resumed = fit(smooth_network(), problem.loss, problem.data(), settings, checkpoint_dir=tmp_path)
    assert resumed.resumed_from_step == 1
    losses = [[row["train_loss"] for row in each.history] for each in (whole, resumed)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_graph_without_a_gpu_falls_back_and_says_why(problem):
    result = fit(
        smooth_network(), problem.loss, problem.data(), FitSettings(epochs=1, tier="cuda_graph", device="cpu")
    )
    assert (result.tier, result.tier_reason) == ("eager", "CUDA graphs need a CUDA device")


def test_failed_compilation_falls_back_to_the_very_same_eager_run(problem, monkeypatch):
    settings = FitSettings(epochs=2, device="cpu")
    expected = problem.everything(fit(problem.network(), problem.loss, problem.data(), settings))

    def compile_and_fail_after_the_forward_pass(function, **options):
        def failing(batch):
            function(batch).backward()
            raise RuntimeError("no compiler\nmany details")

        return failing

    monkeypatch.setattr(tiers.torch, "compile", compile_and_fail_after_the_forward_pass)
    result = fit(
        problem.network(), problem.loss, problem.data(), settings.model_copy(update={"tier": "compile"})
    )
    assert result.tier == "eager"
    assert result.tier_reason == "compile failed, eager instead: RuntimeError: no compiler"
    assert problem.everything(result) == expected


def test_trial_of_a_tier_leaves_network_optimizer_and_generators_untouched(problem):
    model = problem.network()
    updater = tiers.Updater(
        model, problem.loss, FitSettings(), Runtime(CPU, "fp32"), Group(CPU), capturable=False
    )
    batch = next(problem.data().epoch(0))
    updater([batch], [1.0])
    before = [
        tensor.clone() for tensor in [*model.state_dict().values(), *moments(updater), torch.get_rng_state()]
    ]
    with tiers.untouched(updater):
        updater([batch], [1.0])
    after = [*model.state_dict().values(), *moments(updater), torch.get_rng_state()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_optimizer_state_born_in_a_trial_starts_at_zero(problem):
    updater = tiers.Updater(
        problem.network(), problem.loss, FitSettings(), Runtime(CPU, "fp32"), Group(CPU), capturable=False
    )
    with tiers.untouched(updater):
        updater([next(problem.data().epoch(0))], [1.0])
    assert moments(updater)
    assert not any(tensor.any() for tensor in moments(updater))


def moments(updater):
    return [
        value
        for optimizer in updater.optimizers
        for state in optimizer.state.values()
        for value in state.values()
    ]


@pytest.mark.parametrize(
    ("options", "device", "num_steps", "expected"),
    [
        ({}, "cpu", 10_000, "eager"),
        ({"tier": "compile"}, "cpu", 10, "compile"),
        ({}, "cuda", 10_000, "cuda_graph"),
        ({}, "cuda", 10, "eager"),
        ({"accumulate_steps": 2}, "cuda", 10_000, "eager"),
        ({"tier": "cuda_graph", "accumulate_steps": 2}, "cuda", 10_000, "eager"),
        ({"tier": "eager"}, "cuda", 10_000, "eager"),
    ],
)
def test_tier_is_chosen_by_device_length_and_what_a_graph_can_hold(options, device, num_steps, expected):
    device = torch.device(device)
    chosen, reason = tiers.choose_tier(
        FitSettings(**options), Runtime(device, "fp32"), Group(device), smooth_network(), num_steps
    )
    assert chosen == expected
    assert reason


def test_large_networks_and_several_processes_are_not_recorded(monkeypatch):
    cuda = torch.device("cuda")
    runtime = Runtime(cuda, "fp32")
    assert (
        tiers.choose_tier(FitSettings(), runtime, Group(cuda, 0, 2), smooth_network(), 10_000)[0] == "eager"
    )
    monkeypatch.setattr(tiers, "_GRAPH_MAX_PARAMETERS", 10)
    assert tiers.choose_tier(FitSettings(), runtime, Group(cuda), smooth_network(), 10_000)[0] == "eager"


def test_precision_is_fp32_on_a_cpu_unless_asked():
    assert choose_precision(FitSettings(), nn.Conv2d(1, 1, 1), CPU) == "fp32"
    assert choose_precision(FitSettings(precision="bf16"), nn.Linear(1, 1), CPU) == "bf16"


def test_threads_grow_with_the_work_of_a_step_and_stay_within_the_machine():
    assert [threads_for(work, 8) for work in (0, 1e6, 399e6, 400e6, 1e12)] == [1, 1, 1, 2, 8]


def test_threads_are_chosen_by_counted_work_and_reported(problem, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr("shared.training.runtime._FLOPS_PER_THREAD", 1000)
    used = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    result = fit(problem.network(), problem.loss, problem.data(), FitSettings(epochs=1, device="cpu"))
    assert result.num_threads == 4
    assert used[:2] == [1, 4]


def test_resumed_run_takes_the_threads_of_the_first_attempt(problem, tmp_path, monkeypatch):
    settings = FitSettings(epochs=2, device="cpu")
    monkeypatch.setattr("shared.training.loop.threads_for", lambda work, available: 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    fit(
        problem.network(),
        problem.loss,
        problem.data(),
        settings.model_copy(update={"max_seconds": 1e-9}),
        checkpoint_dir=tmp_path,
    )
    monkeypatch.setattr("shared.training.loop.threads_for", lambda work, available: 2)
    assert (
        fit(problem.network(), problem.loss, problem.data(), settings, checkpoint_dir=tmp_path).num_threads
        == 3
    )


def test_work_of_linear_and_lstm_is_counted():
    linear, lstm = nn.Linear(8, 4), nn.LSTM(8, 16, batch_first=True)
    with flops.counted() as of_linear:
        linear(torch.randn(10, 8)).sum().backward()
    with flops.counted() as of_lstm:
        lstm(torch.randn(2, 5, 8))[0].sum().backward()
    assert of_linear.total == 2 * (2 * 10 * 8 * 4)  # forward and the weights' gradient: the input needs none
    assert of_lstm.total == pytest.approx(3 * 2 * 10 * 4 * 16 * (8 + 16), rel=0.5)
