"""Beats: windows of the signal around each R peak, taken without copies, and the RR intervals around them."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pipelines.ecg_anomaly.config import BeatConfig
from shared.errors import RequestError

# Of a normal distribution: standard deviation per median absolute deviation.
SD_PER_MAD = 1.4826
# A longer hole in the signal may hide a beat: the interval across it is not known.
_LONGEST_HOLE_S = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """RR intervals, all float32 of shape (beats,), s; only beats up to the next one are used.

    before, after: to the beat before and after; where there is none, or a hole in the signal lies between, the local
    one. local: median of `before` over the earlier beats, of the beat itself where there are none. spread: how far
    the logarithm of `ratio` usually is from its median over those beats, as a standard deviation; 0 where there are
    none. ratio: before / local, so less than 1 for a beat that came early.
    """

    before: np.ndarray
    after: np.ndarray
    local: np.ndarray
    spread: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        ratio: np.ndarray = self.before / self.local
        return ratio

    @classmethod
    def of(cls, r_sample: np.ndarray, is_usable: np.ndarray, rate_hz: int, num_local_beats: int) -> Self:
        """From ascending positions of R peaks, int64 of shape (beats,), in a signal of shape (samples,)."""
        num_lost = np.concatenate([[0], np.cumsum(~is_usable)])
        return cls.of_beats(r_sample, num_lost[r_sample], rate_hz, num_local_beats)

    @classmethod
    def of_beats(cls, r_sample: np.ndarray, num_lost: np.ndarray, rate_hz: int, num_local_beats: int) -> Self:
        """As `of`; num_lost: how many samples before each R peak are not usable, int64 of shape (beats,).

        What is said of a beat depends on `reach(num_local_beats)` beats before it, apart from `after`.
        """
        if not len(r_sample):
            nothing = np.zeros(0, dtype=np.float32)
            return cls(nothing, nothing, nothing, nothing)
        gap = np.diff(r_sample) / rate_hz
        is_broken = np.diff(num_lost) > _LONGEST_HOLE_S * rate_hz
        gap[is_broken | (gap <= 0)] = np.nan
        before, after = np.append(np.nan, gap), np.append(gap, np.nan)
        local = _earlier_median(before, num_local_beats)
        # Nothing is known yet: the beat is taken as usual.
        local = np.where(np.isnan(local), np.where(np.isnan(before), after, before), local)
        local = np.where(np.isnan(local), 1.0, local)
        before, after = (np.where(np.isnan(interval), local, interval) for interval in (before, after))
        spread = _earlier_spread(np.log(before / local), num_local_beats)
        return cls(*(interval.astype(np.float32) for interval in (before, after, local, spread)))

    @staticmethod
    def reach(num_local_beats: int) -> int:
        """Beats before one on which its intervals depend: `spread` looks at medians of as many before those."""
        return 2 * num_local_beats + 1


@dataclass(frozen=True, slots=True, eq=False)
class BeatWindows:
    """Windows of `length` samples in one long signal.

    signal: float32 of shape (samples,), mV. starts: int64 of shape (beats,). Both on one device.
    """

    signal: Tensor
    starts: Tensor
    length: int

    def __len__(self) -> int:
        return len(self.starts)

    def gather(self, chosen: Tensor) -> Tensor:
        """Some beats, float32 of shape (chosen, length), mV, contiguous. chosen: int64 of shape (chosen,)."""
        # Views that begin at every sample cost nothing; only the chosen ones are copied.
        return self.signal.unfold(0, self.length, 1).index_select(0, self.starts[chosen])

    def to(self, device: torch.device) -> Self:
        """The same windows on another device."""
        return replace(self, signal=self.signal.to(device), starts=self.starts.to(device))


def samples_before(config: BeatConfig, rate_hz: int) -> int:
    """Samples of a window before its R peak. Raises RequestError when the peak lies outside."""
    before = round(config.before_ms * rate_hz / 1000)
    if before >= config.num_samples:
        raise RequestError(
            f"Expected beats.before_ms below the length of a beat ({config.num_samples * 1000 / rate_hz:.0f} ms). "
            f"Received {config.before_ms:g} ms."
        )
    return before


def beat_windows(signal: Tensor, r_sample: Tensor, config: BeatConfig, rate_hz: int) -> BeatWindows:
    """Windows around R peaks at places of `signal`, int64 of shape (beats,)."""
    return BeatWindows(signal, r_sample - samples_before(config, rate_hz), config.num_samples)


def _earlier_median(values: np.ndarray, num: int) -> np.ndarray:
    """Median of the `num` values before each one, NaN left out; NaN where there are none."""
    earlier = _earlier(values, num)
    medians = np.full(len(values), np.nan)
    is_known = ~np.isnan(earlier).all(axis=1)
    medians[is_known] = np.nanmedian(earlier[is_known], axis=1)
    return medians


def _earlier_spread(values: np.ndarray, num: int) -> np.ndarray:
    """Robust standard deviation of the `num` values before each one, 0 where there are none."""
    earlier = _earlier(values, num)[1:]
    spread = np.zeros(len(values))
    spread[1:] = np.nanmedian(np.abs(earlier - np.nanmedian(earlier, axis=1)[:, None]), axis=1)
    return SD_PER_MAD * spread


def _earlier(values: np.ndarray, num: int) -> np.ndarray:
    """The `num` values before each one, of shape (values, num); NaN where there are fewer."""
    padded = np.concatenate([np.full(num, np.nan), values])
    return np.lib.stride_tricks.sliding_window_view(padded[:-1], num)
