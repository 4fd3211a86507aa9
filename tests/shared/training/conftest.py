"""Small problems that the training tests share: regression with a network that uses random numbers, with one that
learns a sparse table, and with one of pictures whose weights lie channel by channel in memory."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from shared.training.batches import Batch, DeviceBatches

NUM_ROWS = 100


def make_network() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))


def make_tensors(num_rows: int = NUM_ROWS) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(num_rows, 4, generator=generator)
    return {"x": x, "y": x[:, :1] * 2 - x[:, 1:2]}


def squared_error(model: nn.Module, batch: Batch) -> Tensor:
    return nn.functional.mse_loss(model(batch["x"]), batch["y"])


def validation_loss(model: nn.Module) -> dict[str, float]:
    return {"loss": float(squared_error(model, make_tensors()))}


def make_data(**options: object) -> DeviceBatches:
    return DeviceBatches(make_tensors(), **{"batch_size": 16, "seed": 5, **options})  # type: ignore[arg-type]


def make_network_of_tables() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(nn.Embedding(40, 4, sparse=True), nn.Linear(4, 1))


def make_tensors_of_tables() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    user = torch.randint(35, (NUM_ROWS,), generator=generator)
    return {"user": user, "y": user[:, None] % 5 - 2.0}


def loss_of_tables(model: nn.Module, batch: Batch) -> Tensor:
    return nn.functional.mse_loss(model(batch["user"]), batch["y"])


def make_network_of_pictures() -> nn.Module:
    torch.manual_seed(7)
    layers = [nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(8, 1)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def make_tensors_of_pictures() -> dict[str, Tensor]:
    picture = torch.randn(NUM_ROWS, 3, 6, 6, generator=torch.Generator().manual_seed(3))
    return {"picture": picture, "y": picture[:, 0, 2:4, 3].sum(1, keepdim=True)}


def loss_of_pictures(model: nn.Module, batch: Batch) -> Tensor:
    picture = batch["picture"].contiguous(memory_format=torch.channels_last)
    return nn.functional.mse_loss(model(picture), batch["y"])


def everything(result: object) -> dict[str, object]:
    """All that two runs must agree on to the last bit: weights, history without times, and the generators."""
    timeless = [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]  # type: ignore[attr-defined]
    weights = {name: tensor.tolist() for name, tensor in result.model.state_dict().items()}  # type: ignore[attr-defined]
    summary = (result.best_epoch, result.epochs, result.steps, result.stopped_because)  # type: ignore[attr-defined]
    return {
        "weights": weights,
        "history": timeless,
        "summary": summary,
        "random": torch.get_rng_state().tolist(),
    }


@pytest.fixture(scope="session")
def problem() -> SimpleNamespace:
    return SimpleNamespace(
        network=make_network,
        tensors=make_tensors,
        loss=squared_error,
        validate=validation_loss,
        data=make_data,
        everything=everything,
        num_rows=NUM_ROWS,
        network_of_tables=make_network_of_tables,
        tensors_of_tables=make_tensors_of_tables,
        loss_of_tables=loss_of_tables,
        network_of_pictures=make_network_of_pictures,
        tensors_of_pictures=make_tensors_of_pictures,
        loss_of_pictures=loss_of_pictures,
    )


@pytest.fixture
def stopping_loss() -> Callable[..., Callable[[nn.Module, Batch], Tensor]]:
    """stopping_loss(flag, calls): the loss that also raises the flag at its n-th call."""

    def make(flag: object, calls: int) -> Callable[[nn.Module, Batch], Tensor]:
        remaining = [calls]

        def loss(model: nn.Module, batch: Batch) -> Tensor:
            remaining[0] -= 1
            if remaining[0] == 0:
                flag.request("the test")  # type: ignore[attr-defined]
            return squared_error(model, batch)

        return loss

    return make
