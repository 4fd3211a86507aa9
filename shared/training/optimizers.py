"""The optimisers of a run: fused kernels, sparse tables row by row, no weight decay where it does harm."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shared.errors import RequestError
from shared.training.row_adam import RowAdam
from shared.training.settings import FitSettings


def build_optimizers(
    model: nn.Module, settings: FitSettings, device: torch.device, *, capturable: bool = False
) -> list[torch.optim.Optimizer]:
    """AdamW, Adam or SGD over the trainable parameters, and a second one over the sparse tables, if any.

    `capturable`: for CUDA graphs, which read the learning rate from device memory; not with sparse tables.
    RequestError when nothing is trainable, or for sgd options that would touch every row of a sparse table.
    """
    tables = sparse_tables(model)
    optimizers = []
    if groups := _parameter_groups(model, settings, tables):
        optimizers.append(_dense_optimizer(groups, settings, device, capturable))
    if tables:
        assert not capturable, "sparse gradients have a size that a graph cannot record"
        optimizers.append(_table_optimizer(tables, settings))
    if not optimizers:
        raise RequestError("Expected a network with trainable parameters. Received none with requires_grad.")
    return optimizers


def sparse_tables(model: nn.Module) -> list[nn.Parameter]:
    """Trainable weights of embeddings with sparse=True, tied ones once."""
    sparse = {id(module.weight) for module in _embeddings(model) if module.sparse}
    return [each for each in model.parameters() if id(each) in sparse and each.requires_grad]


def make_scalable(tables: Sequence[nn.Parameter]) -> None:
    """Give sparse gradients each row once, as a norm needs it, and memory of their own: autograd lets two tables
    whose rows are added share theirs, and what is scaled in place would be scaled twice."""
    for table in tables:
        if table.grad is not None and table.grad.is_sparse:
            table.grad = table.grad.clone().coalesce()


def clip_gradients(parameters: Sequence[nn.Parameter], largest_norm: float) -> None:
    """Scale all gradients by one factor, so that their joint L2 norm is at most `largest_norm`. Sparse ones have
    been through `make_scalable`."""
    every = [parameter.grad for parameter in parameters if parameter.grad is not None]
    gradients = [gradient.values() if gradient.is_sparse else gradient for gradient in every]
    if gradients:
        norm = nn.utils.get_total_norm(gradients)
        torch._foreach_mul_(gradients, torch.clamp(largest_norm / (norm + 1e-6), max=1.0))


def _dense_optimizer(
    groups: list[dict], settings: FitSettings, device: torch.device, capturable: bool
) -> torch.optim.Optimizer:
    rate: float | Tensor = (
        torch.tensor(settings.learning_rate, device=device) if capturable else settings.learning_rate
    )
    every = [parameter for group in groups for parameter in group["params"]]
    fused = device.type in ("cpu", "cuda") and all(parameter.is_floating_point() for parameter in every)
    for group in groups:
        group["lr"] = rate * group["rate_share"]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=settings.momentum, fused=fused)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, fused=fused, capturable=capturable)


def _table_optimizer(tables: list[nn.Parameter], settings: FitSettings) -> torch.optim.Optimizer:
    decay = settings.weight_decay if settings.decay_everything else 0.0
    if settings.optimizer != "sgd":
        decoupled = settings.optimizer == "adamw"
        return RowAdam(tables, settings.learning_rate, weight_decay=decay, decoupled=decoupled)
    if settings.momentum or decay:
        raise RequestError(
            "Expected sgd without momentum and without weight decay for embeddings with sparse=True. Received "
            f"momentum={settings.momentum:g} and weight decay {decay:g}, which touch every row. Set momentum=0 "
            "and decay_everything=false, or optimizer=adam, or sparse=False."
        )
    return torch.optim.SGD(tables, lr=settings.learning_rate)


def _parameter_groups(model: nn.Module, settings: FitSettings, tables: list[nn.Parameter]) -> list[dict]:
    """Parameters that are decayed and learn alike together; `rate_share`: see `FitSettings.rate_shares`."""
    apart = {id(table) for table in tables}
    embeddings = {id(module.weight) for module in _embeddings(model)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or id(parameter) in apart:
            continue
        # Biases and norm scales are the parameters with fewer than two dimensions.
        spared = not settings.decay_everything and (parameter.ndim < 2 or id(parameter) in embeddings)
        decay = 0.0 if spared else settings.weight_decay
        groups.setdefault((decay, _rate_share(name, settings)), []).append(parameter)
    return [
        {"params": alike, "weight_decay": decay, "rate_share": share}
        for (decay, share), alike in sorted(groups.items(), key=lambda item: item[0], reverse=True)
    ]


def _rate_share(name: str, settings: FitSettings) -> float:
    beginnings = [each for each in settings.rate_shares if name.startswith(each)]
    return settings.rate_shares[max(beginnings, key=len)] if beginnings else 1.0


def _embeddings(model: nn.Module) -> list[nn.Embedding | nn.EmbeddingBag]:
    return [module for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
