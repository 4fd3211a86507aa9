"""Beats: windows of the signal around each R peak, taken without copies, and the RR intervals around them."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pipelines.ecg_anomaly.config import BeatConfig
from shared.errors import RequestError

# A beat of less than this is the baseline; dividing by it would blow noise up.
_SMALLEST_SCALE_MV = 0.02
# A longer hole in the signal may hide a beat: the interval across it is not known.
_LONGEST_HOLE_S = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """RR intervals, all float32 of shape (beats,), s; only beats up to the next one are used.

    before, after: to the beat before and after; where there is none, or a hole in the signal lies between, the local
    one. local: median of `before` over the earlier beats, of the beat itself where there are none. ratio: before /
    local, so less than 1 for a beat that came early.
    """

    before: np.ndarray
    after: np.ndarray
    local: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        ratio: np.ndarray = self.before / self.local
        return ratio

    @classmethod
    def of(cls, r_sample: np.ndarray, is_usable: np.ndarray, rate_hz: int, num_local_beats: int) -> Self:
        """From ascending positions of R peaks, int64 of shape (beats,), in a signal of shape (samples,)."""
        if not len(r_sample):
            nothing = np.zeros(0, dtype=np.float32)
            return cls(nothing, nothing, nothing)
        gap = np.diff(r_sample) / rate_hz
        num_lost = np.concatenate([[0], np.cumsum(~is_usable)])
        is_broken = np.diff(num_lost[r_sample]) > _LONGEST_HOLE_S * rate_hz
        gap[is_broken | (gap <= 0)] = np.nan
        before, after = np.append(np.nan, gap), np.append(gap, np.nan)
        local = _earlier_median(before, num_local_beats)
        # Nothing is known yet: the beat is taken as usual.
        local = np.where(np.isnan(local), np.where(np.isnan(before), after, before), local)
        local = np.where(np.isnan(local), 1.0, local)
        filled = (np.where(np.isnan(interval), local, interval) for interval in (before, after))
        return cls(*(interval.astype(np.float32) for interval in (*filled, local)))


@dataclass(frozen=True, slots=True, eq=False)
class BeatWindows:
    """Windows of `length` samples in one long signal.

    signal: float32 of shape (samples,), mV. starts: int64 of shape (beats,). scale: float32 of shape (beats,), mV,
    what a window is divided by; None for mV. is_centred: the mean of each window is taken off. All on one device.
    """

    signal: Tensor
    starts: Tensor
    length: int
    scale: Tensor | None = None
    is_centred: bool = False

    def __len__(self) -> int:
        return len(self.starts)

    def gather(self, chosen: Tensor) -> Tensor:
        """Some beats, float32 of shape (chosen, length), contiguous. chosen: int64 of shape (chosen,)."""
        # Views that begin at every sample cost nothing; only the chosen ones are copied.
        windows = self.signal.unfold(0, self.length, 1).index_select(0, self.starts[chosen])
        if self.is_centred:
            windows = windows - windows.mean(dim=1, keepdim=True)
        return windows if self.scale is None else windows / self.scale[chosen, None]

    def to(self, device: torch.device) -> Self:
        """The same windows on another device."""
        scale = None if self.scale is None else self.scale.to(device)
        return replace(self, signal=self.signal.to(device), starts=self.starts.to(device), scale=scale)


def samples_before(config: BeatConfig, rate_hz: int) -> int:
    """Samples of a window before its R peak. Raises RequestError when the peak lies outside."""
    before = round(config.before_ms * rate_hz / 1000)
    if before >= config.num_samples:
        raise RequestError(
            f"Expected beats.before_ms below the length of a beat ({config.num_samples * 1000 / rate_hz:.0f} ms). "
            f"Received {config.before_ms:g} ms."
        )
    return before


def beat_windows(
    signal: Tensor, r_sample: Tensor, record: np.ndarray, config: BeatConfig, rate_hz: int
) -> BeatWindows:
    """Windows around R peaks, scaled as configured; record: int64 of shape (beats,), ascending."""
    starts = r_sample - samples_before(config, rate_hz)
    plain = BeatWindows(signal, starts, config.num_samples)
    if config.amplitude == "none" or not len(plain):
        return plain
    spread = torch.cat(
        [plain.gather(part).std(dim=1) for part in torch.arange(len(plain), device=signal.device).split(4096)]
    )
    if config.amplitude == "recent":
        sizes = spread.cpu().numpy()
        recent = [_recent_median(sizes[record == one], config.num_local_beats) for one in np.unique(record)]
        spread = torch.from_numpy(np.concatenate(recent)).to(signal.device)
    scale = spread.clamp(min=_SMALLEST_SCALE_MV)
    return replace(plain, scale=scale, is_centred=config.amplitude == "beat")


def _earlier_median(values: np.ndarray, num: int) -> np.ndarray:
    """Median of the `num` values before each one, NaN left out; NaN where there are none."""
    padded = np.concatenate([np.full(num, np.nan), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded[:-1], num)
    medians = np.full(len(values), np.nan)
    is_known = ~np.isnan(windows).all(axis=1)
    medians[is_known] = np.nanmedian(windows[is_known], axis=1)
    return medians


def _recent_median(values: np.ndarray, num: int) -> np.ndarray:
    """Median of each value and the `num` - 1 before it; float32."""
    padded = np.concatenate([np.full(num - 1, np.nan), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, num)
    medians: np.ndarray = np.nanmedian(windows, axis=1).astype(np.float32)
    return medians
