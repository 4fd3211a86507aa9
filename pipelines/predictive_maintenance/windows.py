"""The last readings before every row, as views into one matrix: windows take hardly more memory than readings."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """For every row the `length` rows that end in it; before the first row it may reach, that first row repeated.

    rows: float32 of shape (rows and padding, channels), the readings with `length` - 1 copies of the first one before
    every stretch. starts: int64 of shape (windows,), where in `rows` the window of each reading begins. num_observed:
    int64 of shape (windows,), readings in it that are no copies. All on one device.
    """

    rows: Tensor
    starts: Tensor
    num_observed: Tensor
    length: int

    @classmethod
    def of(cls, values: np.ndarray, first_row: np.ndarray, length: int) -> Self:
        """Windows over scaled values of shape (rows, channels), none of which reaches before `first_row` (`Fleet`)."""
        assert length >= 1, "the configuration has windows of 1 or more"
        row = np.arange(len(values))
        stretch = np.cumsum(first_row == row) - 1
        # Where each reading comes to lie, after the copies before its own and all earlier stretches.
        place = row + (stretch + 1) * (length - 1)
        source = np.zeros(len(values) + (int(stretch[-1]) + 1) * (length - 1), dtype=np.int64)
        source[place] = row
        begins = np.flatnonzero(first_row == row)
        copies = place[begins][:, None] - np.arange(1, length)
        source[copies] = begins[:, None]
        return cls(
            rows=torch.from_numpy(np.ascontiguousarray(values[source], dtype=np.float32)),
            starts=torch.from_numpy(place - (length - 1)),
            num_observed=torch.from_numpy(np.minimum(row - first_row + 1, length)),
            length=length,
        )

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def num_channels(self) -> int:
        return self.rows.shape[1]

    def gather(self, chosen: Tensor) -> Tensor:
        """The windows that end in some rows, of shape (chosen, length, channels), contiguous.

        chosen: int64 of shape (chosen,), rows of the readings.
        """
        # Copying whole windows out of the view takes 41 us for 512 windows of 30 x 15; picking their rows one by one
        # 147 us, and a matrix of all windows 279 us, because it does not fit into the cache (2026-11, 1 core).
        return self._view().index_select(0, self.starts[chosen])

    def to(self, device: torch.device) -> Self:
        """The same windows on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("rows", "starts", "num_observed")}
        return replace(self, **moved)

    def _view(self) -> Tensor:
        """All windows that begin anywhere in `rows`, of shape (beginnings, length, channels), without a copy."""
        return self.rows.unfold(0, self.length, 1).transpose(1, 2)
