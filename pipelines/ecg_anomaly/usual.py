"""The usual beat of a patient: the median of the beats before, and how far each of its samples usually varies.

What is abnormal is abnormal for somebody: the electrodes, the body and the heart differ more between people than
beats do within one. A median over the last beats stays the usual beat even where a third of them are ectopic. It is
made anew every few beats, from the past alone, so a stream can give it; the first few beats, which have no past, are
compared with the median of each other.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pipelines.ecg_anomaly.beats import SD_PER_MAD, BeatWindows
from pipelines.ecg_anomaly.config import BeatConfig


@dataclass(frozen=True, slots=True, eq=False)
class UsualBeats:
    """median, spread: float32 of shape (blocks, samples), mV. block: int64 of shape (beats,), which is whose."""

    median: Tensor
    spread: Tensor
    block: Tensor

    @classmethod
    def of(cls, windows: BeatWindows, record: np.ndarray, config: BeatConfig) -> Self:
        """Of all beats of some recordings; record: int64 of shape (beats,), ascending.

        Memory: 8 bytes a sample and block, so for blocks of ten beats of 256 samples 205 bytes a beat.
        """
        medians, spreads, blocks = [], [], []
        for one in np.unique(record):
            places = np.flatnonzero(record == one)
            for first in range(0, len(places), config.usual_every):
                earlier = places[past(first, len(places), config)]
                median, spread = usual_beat(
                    windows.gather(torch.from_numpy(earlier).to(windows.starts.device))
                )
                medians.append(median)
                spreads.append(spread)
            number = len(medians) - 1 - (len(places) - 1) // config.usual_every
            blocks.append(number + np.arange(len(places)) // config.usual_every)
        empty = windows.signal.new_zeros((0, windows.length))
        return cls(
            torch.stack(medians) if medians else empty,
            torch.stack(spreads) if spreads else empty,
            torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.int64), *blocks])).to(
                windows.starts.device
            ),
        )

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return type(self)(self.median.to(device), self.spread.to(device), self.block.to(device))


def usual_beat(beats: Tensor) -> tuple[Tensor, Tensor]:
    """Median and robust standard deviation of each sample, (samples,); beats: (beats, samples), mV."""
    median = _median(beats)
    return median, SD_PER_MAD * _median((beats - median).abs())


def _median(values: Tensor) -> Tensor:
    """The lower median of each column; NumPy's sort finds it five times as fast as torch on a CPU."""
    if values.device.type != "cpu":
        return values.median(dim=0).values
    ascending = np.sort(values.numpy().T, axis=1)
    return torch.from_numpy(ascending[:, (len(values) - 1) // 2].copy())


def past(first: int, num_beats: int, config: BeatConfig) -> slice:
    """Of which beats of a recording the usual one of the block that begins at `first` is made.

    num_beats: of the whole recording; what lies after the first block does not matter.
    """
    if first == 0:
        return slice(0, min(config.usual_every, num_beats))
    return slice(max(0, first - config.num_usual_beats), first)
