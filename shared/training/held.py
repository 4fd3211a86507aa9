"""What batches are cut from, on the device that asks for them."""

from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

Cut = TypeVar("Cut", covariant=True)


class Cuttable(Protocol[Cut]):
    """Rows that lie on one device, of which batches are made when they are asked for."""

    def gather(self, chosen: Tensor, /) -> Cut: ...

    def to(self, device: torch.device, /) -> "Cuttable[Cut]": ...


class Held(Generic[Cut]):
    """A source that a loss closes over: `fit` chooses the device after the loss was made, so it moves when rows are
    first asked for there, and stays."""

    def __init__(self, source: Cuttable[Cut]) -> None:
        self._source = source
        self._device: torch.device | None = None

    def gather(self, chosen: Tensor) -> Cut:
        """What the source gathers of some rows, on the device of `chosen`, int64 of shape (chosen,)."""
        if self._device != chosen.device:
            self._source, self._device = self._source.to(chosen.device), chosen.device
        return self._source.gather(chosen)
