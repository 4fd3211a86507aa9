"""Networks with sparse embedding tables through `fit` and its parts."""

import multiprocessing
import os
import signal

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from shared.errors import FieldworkError, RequestError, Stopped
from shared.training import tiers
from shared.training.batches import DeviceBatches
from shared.training.distributed import Group
from shared.training.fit import fit, run_fingerprint
from shared.training.interrupt import StopFlag
from shared.training.optimizers import build_optimizers, clip_gradients, make_scalable, sparse_tables
from shared.training.runtime import Runtime
from shared.training.settings import FitSettings

CPU = torch.device("cpu")
FORK = multiprocessing.get_context("fork")
NUM_USERS, NUM_ITEMS, NUM_PAIRS = 60, 40, 200


class TwoTowers(nn.Module):
    """Users and the mean of two bags of items, with a small dense head."""

    def __init__(self, *, is_sparse=True):
        super().__init__()
        torch.manual_seed(1)
        self.users = nn.Embedding(NUM_USERS, 6, sparse=is_sparse)
        self.items = nn.EmbeddingBag(NUM_ITEMS, 6, mode="mean", sparse=is_sparse)
        self.head = nn.Linear(12, 1)

    def forward(self, user, items):
        return self.head(torch.cat([self.users(user), self.items(items)], dim=1))


def pair_loss(model, batch):
    return nn.functional.mse_loss(model(batch["user"], batch["items"]), batch["y"])


def pairs(batch_size=16):
    generator = torch.Generator().manual_seed(2)
    user = torch.randint(NUM_USERS - 10, (NUM_PAIRS,), generator=generator)
    items = torch.randint(NUM_ITEMS, (NUM_PAIRS, 2), generator=generator)
    y = torch.randn(NUM_PAIRS, 1, generator=generator)
    return DeviceBatches({"user": user, "items": items, "y": y}, batch_size, seed=5)


def weights_of(model):
    return [each.detach().clone() for each in model.parameters()]


def assert_close(mine, theirs):
    for pair in zip(mine, theirs, strict=True):
        torch.testing.assert_close(*pair, rtol=1e-5, atol=1e-6)


FULL = FitSettings(
    epochs=3, learning_rate=0.05, schedule="warmup_cosine", ema_decay=0.9, clip_norm=0.5, accumulate_steps=2,
    weight_decay=0.01, decay_everything=True, device="cpu",
)  # fmt: skip


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_fit_with_full_batches_trains_the_same_network_sparse_or_dense(optimizer):
    # Rows that never occur would decay in the dense run, and have no other reason to move.
    options = FULL.model_copy(update={"optimizer": optimizer, "accumulate_steps": 1, "weight_decay": 0.0})
    mine, theirs = (
        fit(TwoTowers(is_sparse=is_sparse), pair_loss, pairs(NUM_PAIRS), options).model
        for is_sparse in (True, False)
    )
    assert_close(weights_of(mine), weights_of(theirs))
    assert not torch.equal(mine.users.weight[0], TwoTowers().users.weight[0])


def test_fit_updates_only_the_rows_that_occur_and_everything_dense():
    model, start = TwoTowers(), TwoTowers()
    result = fit(model, pair_loss, pairs(), FitSettings(epochs=1, device="cpu"))
    assert torch.equal(model.users.weight[-10:], start.users.weight[-10:])
    assert (model.users.weight[:-10] != start.users.weight[:-10]).any(dim=1).sum() >= 40
    assert not torch.equal(model.head.weight, start.head.weight)
    assert result.tier_reason == "sparse gradients are neither recorded as a graph nor compiled"


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("calls", [3, 13, 20])
def test_resumed_run_with_sparse_tables_equals_the_uninterrupted_run(tmp_path, optimizer, calls):
    options = FULL.model_copy(update={"optimizer": optimizer})
    if optimizer == "sgd":
        options = options.model_copy(update={"momentum": 0.0, "weight_decay": 0.0})
    whole = fit(TwoTowers(), pair_loss, pairs(), options)
    flag, remaining = StopFlag(), [calls]

    def stopping_loss(model, batch):
        remaining[0] -= 1
        if remaining[0] == 0:
            flag.request("the test")
        return pair_loss(model, batch)

    with pytest.raises(Stopped):
        fit(TwoTowers(), stopping_loss, pairs(), options, checkpoint_dir=tmp_path, stop=flag)
    resumed = fit(TwoTowers(), pair_loss, pairs(), options, checkpoint_dir=tmp_path)
    assert resumed.resumed_from_step
    for pair in zip(weights_of(whole.model), weights_of(resumed.model), strict=True):
        assert torch.equal(*pair)


def test_killed_run_with_sparse_tables_ends_like_the_uninterrupted_run(tmp_path):
    def fatal_loss(model, batch):
        remaining[0] -= 1
        if remaining[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return pair_loss(model, batch)

    whole = fit(TwoTowers(), pair_loss, pairs(), FULL)
    remaining = [25]
    saving = FULL.model_copy(update={"checkpoint_every_seconds": 0.0})
    child = FORK.Process(
        target=fit, args=(TwoTowers(), fatal_loss, pairs(), saving), kwargs={"checkpoint_dir": tmp_path}
    )
    child.start()
    child.join(timeout=60)
    assert child.exitcode == -signal.SIGKILL
    resumed = fit(TwoTowers(), pair_loss, pairs(), FULL, checkpoint_dir=tmp_path)
    assert resumed.resumed_from_step == 12
    for pair in zip(weights_of(whole.model), weights_of(resumed.model), strict=True):
        assert torch.equal(*pair)


def test_sgd_of_sparse_tables_equals_dense_sgd():
    options = FitSettings(epochs=2, optimizer="sgd", momentum=0.0, learning_rate=0.5, device="cpu")
    mine, theirs = (
        fit(TwoTowers(is_sparse=is_sparse), pair_loss, pairs(), options).model for is_sparse in (True, False)
    )
    assert_close(weights_of(mine), weights_of(theirs))


@pytest.mark.parametrize(
    "options", [{"momentum": 0.9}, {"momentum": 0.0, "weight_decay": 0.1, "decay_everything": True}]
)
def test_sgd_that_would_touch_every_row_is_refused_with_the_way_out(options):
    with pytest.raises(RequestError, match="Set momentum=0 and decay_everything=false, or optimizer=adam"):
        build_optimizers(TwoTowers(), FitSettings(optimizer="sgd", **options), CPU)


def test_table_shared_with_a_dense_layer_is_refused():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(9, 4, sparse=True)

        def forward(self, user):
            return self.table(user) @ self.table.weight.T

    def loss(model, batch):
        return model(batch["user"]).square().mean()

    data = DeviceBatches({"user": torch.arange(9)}, 3, seed=0)
    with pytest.raises(RequestError, match="Set sparse=False"):
        fit(Tied(), loss, data, FitSettings(epochs=1, device="cpu"))


def test_clipping_counts_duplicate_rows_once_and_scales_sparse_like_dense():
    models = [TwoTowers(), TwoTowers(is_sparse=False)]
    batch = {"user": torch.tensor([4, 4, 4]), "items": torch.tensor([[1, 1], [1, 2], [3, 1]])}
    for model in models:
        pair_loss(model, {**batch, "y": torch.ones(3, 1)}).backward()
        make_scalable(sparse_tables(model))
        clip_gradients(list(model.parameters()), 1e-3)
    mine, theirs = ([each.grad.to_dense() for each in model.parameters()] for model in models)
    assert_close(mine, theirs)
    assert torch.stack([each.norm() for each in mine]).norm() == pytest.approx(1e-3, rel=1e-2)


class LargestNewTensor(TorchDispatchMode):
    """Elements of the largest tensor that an operation made, views and in-place results of `known` aside."""

    def __init__(self, known):
        super().__init__()
        self.known, self.num_elements = {each.untyped_storage().data_ptr() for each in known}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        results = function(*args, **(kwargs or {}))
        for result in results if isinstance(results, tuple | list) else [results]:
            if isinstance(result, torch.Tensor):
                stored = result._values() if result.is_sparse else result
                if stored.untyped_storage().data_ptr() not in self.known:
                    self.num_elements = max(self.num_elements, stored.numel())
        return results


@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize("is_sparse", [True, False])
def test_nothing_as_large_as_a_sparse_table_is_made_by_an_update(is_sparse, clip_norm):
    model = nn.Embedding(50_000, 4, sparse=is_sparse)
    updater = tiers.Updater(
        model,
        lambda network, batch: network(batch["user"]).square().mean(),
        FitSettings(clip_norm=clip_norm),
        Runtime(CPU, "fp32"),
        Group(CPU),
        capturable=False,
    )
    batch = {"user": torch.tensor([1, 1, 49_999])}
    updater([batch], [1.0])  # the state is made once
    [state] = updater.optimizers[0].state.values()
    with LargestNewTensor([model.weight, *state.values()]) as largest:
        updater([batch, batch], [0.5, 0.5])
    assert (largest.num_elements < model.weight.numel()) == is_sparse


def test_fp16_loss_scaler_steps_both_optimizers_and_skips_an_overflow():
    updater = tiers.Updater(TwoTowers(), pair_loss, FULL, Runtime(CPU, "fp16"), Group(CPU), capturable=False)
    batch = next(pairs().epoch(0))
    start = weights_of(updater.model)
    for _ in range(8):  # the first scales are too large and are halved
        updater([batch], [1.0])
    moved = weights_of(updater.model)
    assert not any(torch.equal(*pair) for pair in zip(start, moved, strict=True))
    updater([{**batch, "y": batch["y"] * torch.inf}], [1.0])
    assert all(torch.equal(*pair) for pair in zip(moved, weights_of(updater.model), strict=True))


@pytest.mark.parametrize("num_rows", [1, 5])
@pytest.mark.parametrize(
    ("precision", "clip_norm"), [("fp32", 0.01), ("fp16", None), ("fp16", 0.01)], ids=["clip", "fp16", "both"]
)
def test_tables_whose_rows_are_added_are_scaled_once(num_rows, precision, clip_norm):
    class Added(nn.Module):
        def __init__(self, *, is_sparse):
            super().__init__()
            torch.manual_seed(0)
            self.users, self.items = (nn.Embedding(5, 3, sparse=is_sparse) for _ in range(2))

        def forward(self, rows):
            return self.users(rows) + self.items(rows)

    options = FitSettings(optimizer="sgd", momentum=0.0, learning_rate=1.0, clip_norm=clip_norm)
    models = [Added(is_sparse=is_sparse) for is_sparse in (True, False)]
    for model in models:
        updater = tiers.Updater(
            model,
            lambda network, batch: network(batch["rows"]).square().mean(),
            options,
            Runtime(CPU, precision),
            Group(CPU),
            capturable=False,
        )
        updater([{"rows": torch.arange(num_rows)}], [1.0])
    assert_close(*(weights_of(model) for model in models))
    assert not torch.equal(models[0].users.weight, Added(is_sparse=True).users.weight)


def test_frozen_and_dense_embeddings_are_no_sparse_tables_and_tied_ones_count_once():
    model = nn.ModuleList([nn.Embedding(4, 2, sparse=flag) for flag in (True, True, False)])
    model[1].weight.requires_grad_(False)
    tied = nn.Embedding(4, 2, sparse=True)
    tied.weight = model[0].weight
    model.append(tied)
    assert [id(table) for table in sparse_tables(model)] == [id(model[0].weight)]


def test_network_of_sparse_tables_alone_trains():
    model = nn.Embedding(5, 1, sparse=True)
    data = DeviceBatches({"user": torch.arange(4)}, 2, seed=0)
    options = FitSettings(epochs=40, learning_rate=0.2, device="cpu")
    result = fit(model, lambda net, batch: (net(batch["user"]) - 3).square().mean(), data, options)
    assert result.history[-1]["train_loss"] < 0.1 * result.history[0]["train_loss"]


def test_sparse_and_dense_runs_do_not_continue_each_other():
    prints = {run_fingerprint(nn.EmbeddingBag(5, 1, sparse=flag), pairs(), FULL) for flag in (True, False)}
    assert len(prints) == 2


@pytest.mark.parametrize("tier", ["cuda_graph", "compile", "auto"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_sparse_tables_are_trained_eagerly_and_the_reason_is_given(tier, device):
    where = torch.device(device)
    chosen, reason = tiers.choose_tier(
        FitSettings(tier=tier), Runtime(where, "fp32"), Group(where), TwoTowers(), 10_000
    )
    assert chosen == "eager"
    assert "sparse gradients" in reason


def test_divergence_is_noticed_with_the_norm_of_sparse_gradients():
    def loss(model, batch):
        return pair_loss(model, batch) * torch.inf

    with pytest.raises(FieldworkError, match=r"Training diverged: the loss was inf.*gradient norm"):
        fit(TwoTowers(), loss, pairs(), FitSettings(epochs=1, device="cpu"))
