"""Networks: U-Nets for pictures and volumes, and a grader on the same encoders.

Pictures: U-Net (Ronneberger et al. 2015) on any encoder of timm, as segmentation-models-pytorch builds it. Volumes:
the U-Net of nnU-Net (Isensee et al. 2021), as MONAI's DynUNet builds it. Grades: an encoder of timm with one output
for each step between grades (ordinal regression, Frank and Hall 2001), so that neighbouring grades are neighbours.
What differs: outputs at several resolutions (deep supervision, Lee et al. 2015) come from a wrapper, in training only.

Shapes: B cases, C channels, K structures and the background, spatial axes last.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.errors import RequestError

# Deeper levels of the U-Net for volumes double the channels up to this.
_MAX_FILTERS = 320
_SMALLEST_EDGE = 4
_MAX_LEVELS = 5


class Segmenter(nn.Module):
    """Logits of a U-Net, and in training those of its coarser levels, finest first.

    network: (B, C, ...) -> (B, K, ...). heads: one for each coarser level, applied to what `levels` caught there.
    """

    def __init__(
        self,
        network: nn.Module,
        levels: Sequence[nn.Module] = (),
        widths: Sequence[int] = (),
        num_classes: int = 2,
    ) -> None:
        super().__init__()
        self.network = network
        self.heads = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for width in widths)
        self._caught: list[Tensor] = []
        for level in levels:
            level.register_forward_hook(self._catch)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, ...) -> logits (B, K, ...)."""
        self._caught.clear()
        logits: Tensor = self.network(images)
        return logits

    def all_levels(self, images: Tensor) -> list[Tensor]:
        """(B, C, ...) -> logits of the full resolution and, with deep supervision, of coarser ones."""
        logits = self(images)
        heads = self.heads if self.training else ()
        coarser = [head(caught) for head, caught in zip(heads, self._caught, strict=True)]
        self._caught.clear()
        return [logits, *reversed(coarser)]

    def _catch(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        if self.training and self.heads:
            self._caught.append(output)


class VolumeSegmenter(nn.Module):
    """The same for volumes: MONAI stacks all levels at the full resolution in training."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits[:, 0] if logits.ndim == images.ndim + 1 else logits

    def all_levels(self, images: Tensor) -> list[Tensor]:
        """(B, C, ...) -> logits of the full resolution and, with deep supervision, of coarser levels, enlarged."""
        logits: Tensor = self.network(images)
        return list(logits.unbind(1)) if logits.ndim == images.ndim + 1 else [logits]


class Grader(nn.Module):
    """Log-odds of exceeding each grade but the highest, (B, grades - 1)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network(images)
        return found

    @staticmethod
    def expected(log_odds: Tensor) -> Tensor:
        """Mean grade, (B,): the sum of the probabilities of exceeding each."""
        return log_odds.sigmoid().sum(1)

    @staticmethod
    def probabilities(log_odds: Tensor) -> Tensor:
        """Of each grade, (B, grades); exceeding a higher grade is never likelier than a lower one."""
        above = functional.pad(log_odds.sigmoid().cummin(dim=1).values, (1, 0), value=1.0)
        return above - functional.pad(above[:, 1:], (0, 1))


def picture_network(
    num_channels: int,
    num_classes: int,
    *,
    encoder: str,
    weights: str | None,
    width: int,
    deep_supervision: bool,
) -> Segmenter:
    """A U-Net for pictures, not trained yet. encoder: of segmentation-models-pytorch or timm. weights: see `weigh`.

    Raises RequestError for an unknown encoder, and for weights that cannot be had.
    """
    import segmentation_models_pytorch as smp

    names = smp.encoders.get_encoder_names()
    channels = tuple(width * 2**level for level in (4, 3, 2, 1, 0))
    try:
        network = smp.Unet(
            encoder if encoder in names else f"tu-{encoder}",
            encoder_weights="imagenet" if weights == "imagenet" else None,
            decoder_channels=channels,
            in_channels=num_channels,
            classes=num_classes,
        )
    except (KeyError, RuntimeError, ValueError, OSError) as error:
        raise RequestError(
            f"Expected an encoder of timm or segmentation-models-pytorch, such as resnet34, with weights that can be "
            f"had ({weights or 'none'}). Received {encoder!r}: {error}"
        ) from error
    if weights not in (None, "imagenet"):
        load_weights(network.encoder, Path(weights))
    blocks = list(network.decoder.blocks)[1:-1] if deep_supervision else []
    return Segmenter(network, blocks, channels[1:-1] if deep_supervision else (), num_classes)


def volume_network(
    num_channels: int, num_classes: int, *, patch: tuple[int, ...], width: int, deep_supervision: bool
) -> VolumeSegmenter:
    """A U-Net for patches of volumes, not trained yet: halved along each axis as long as 4 voxels stay."""
    from monai.networks.nets import DynUNet

    strides = [(1, 1, 1), *_halvings(patch)]
    kernels = [(3, 3, 3)] * len(strides)
    network = DynUNet(
        3,
        num_channels,
        num_classes,
        kernels,
        strides,
        strides[1:],
        filters=[min(width * 2**level, _MAX_FILTERS) for level in range(len(strides))],
        deep_supervision=deep_supervision,
        deep_supr_num=max(1, len(strides) - 3),
    )
    return VolumeSegmenter(network)


def grading_network(num_channels: int, num_grades: int, *, encoder: str, weights: str | None) -> Grader:
    """A grader of pictures, not trained yet. Raises RequestError as `picture_network` does."""
    import timm

    try:
        network = timm.create_model(
            encoder, pretrained=weights == "imagenet", in_chans=num_channels, num_classes=num_grades - 1
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise RequestError(
            f"Expected an encoder of timm, such as resnet18. Received {encoder!r}: {error}"
        ) from error
    if weights not in (None, "imagenet"):
        load_weights(network, Path(weights))
    return Grader(network)


def load_weights(encoder: nn.Module, path: Path) -> None:
    """Weights of an encoder from a local file of safetensors; the first layer and the head may be missing.

    Raises RequestError for a file that cannot be read or fits badly.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RequestError(f"Expected encoder weights as safetensors in {path}. Received: {error}") from error
    own = encoder.state_dict()
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    if len(fitting) < 0.9 * len(own):
        raise RequestError(
            f"Expected weights of this encoder in {path.name}. Received {len(fitting)} of {len(own)} tensors that fit."
        )
    encoder.load_state_dict(fitting, strict=False)


def _halvings(patch: tuple[int, ...]) -> list[tuple[int, ...]]:
    """By how much each level of a U-Net divides each axis."""
    sizes = list(patch)
    steps: list[tuple[int, ...]] = []
    while max(sizes) >= 2 * _SMALLEST_EDGE and len(steps) < _MAX_LEVELS:
        step = tuple(2 if size >= 2 * _SMALLEST_EDGE and size % 2 == 0 else 1 for size in sizes)
        if max(step) == 1:
            break
        sizes = [size // by for size, by in zip(sizes, step, strict=True)]
        steps.append(step)
    return steps


def as_probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Of background and structures, float32, along axis 1."""
    return torch.softmax(logits.float() / temperature, dim=1)
