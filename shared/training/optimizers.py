"""The optimiser of a run: fused kernels, and no weight decay where it does harm."""

import torch
from torch import Tensor, nn

from shared.errors import RequestError
from shared.training.settings import FitSettings


def build_optimizer(
    model: nn.Module, settings: FitSettings, device: torch.device, *, capturable: bool = False
) -> torch.optim.Optimizer:
    """AdamW, Adam or SGD over the trainable parameters. `capturable`: for CUDA graphs, which read the
    learning rate from device memory. RequestError when nothing is trainable."""
    groups = _parameter_groups(model, settings)
    rate: float | Tensor = (
        torch.tensor(settings.learning_rate, device=device) if capturable else settings.learning_rate
    )
    every = [parameter for group in groups for parameter in group["params"]]
    fused = device.type in ("cpu", "cuda") and all(parameter.is_floating_point() for parameter in every)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, fused=fused)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=rate, fused=fused, capturable=capturable)


def _parameter_groups(model: nn.Module, settings: FitSettings) -> list[dict]:
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise RequestError("Expected a network with trainable parameters. Received none with requires_grad.")
    if settings.weight_decay == 0 or settings.decay_everything:
        return [{"params": trainable, "weight_decay": settings.weight_decay}]
    embeddings = {
        id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)
    }
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for parameter in trainable:
        # Biases and norm scales are the parameters with fewer than two dimensions.
        (spared if parameter.ndim < 2 or id(parameter) in embeddings else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
