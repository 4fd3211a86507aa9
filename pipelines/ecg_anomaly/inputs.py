"""What the network sees of a beat: its difference from the usual beat, that beat, and how far it usually varies."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from pipelines.ecg_anomaly.beats import BeatWindows
from pipelines.ecg_anomaly.config import BeatConfig
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.rhythm import earliness
from pipelines.ecg_anomaly.usual import UsualBeats

DIFFERENCE, USUAL, LOG_SPREAD = range(3)
# Of the usual beat's size: below is the noise of a good recorder.
_SMALLEST_SPREAD = 0.02
# A usual beat smaller than this is the baseline; dividing by it would blow noise up.
_SMALLEST_SIZE_MV = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class BeatInputs:
    """Beats of recordings, cut when they are asked for. early: float32 of shape (beats,), see `rhythm.earliness`."""

    windows: BeatWindows
    usual: UsualBeats
    early: Tensor

    @classmethod
    def of(cls, recordings: Recordings, config: BeatConfig) -> Self:
        """Of all beats of `recordings`, in their order."""
        windows = recordings.windows(config)
        usual = UsualBeats.of(windows, recordings.beats.record, config)
        return cls(windows, usual, torch.from_numpy(earliness(recordings.beats.intervals)))

    def __len__(self) -> int:
        return len(self.windows)

    def gather(self, chosen: Tensor) -> Tensor:
        """Some beats, float32 of shape (chosen, 3, samples): DIFFERENCE and USUAL in sizes of the usual beat (root mean
        square), LOG_SPREAD. chosen: int64 of shape (chosen,)."""
        block = self.usual.block[chosen]
        return as_inputs(self.windows.gather(chosen), self.usual.median[block], self.usual.spread[block])

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return replace(
            self,
            windows=self.windows.to(device),
            usual=self.usual.to(device),
            early=self.early.to(device),
        )


def as_inputs(beats: Tensor, median: Tensor, spread: Tensor) -> Tensor:
    """See `BeatInputs.gather`; all of shape (beats, samples), mV."""
    size = _size(median)
    return torch.stack(
        [(beats - median) / size, median / size, torch.log(spread / size + _SMALLEST_SPREAD)], dim=1
    )


def _size(median: Tensor) -> Tensor:
    return median.square().mean(dim=1, keepdim=True).sqrt() + _SMALLEST_SIZE_MV
