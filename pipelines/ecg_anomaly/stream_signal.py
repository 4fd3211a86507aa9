"""From samples that come one after the other to clean beats: the same as `prepare` gives for the whole recording.

Nothing in the signal path looks far: the filter one second, flat lines half a second, the peak detector four and a half
seconds to each side. So the batch functions run on a window of the last seconds, and only what lies inside of it by as
much counts. Windows begin at multiples of the resampler's period, and where the batch counts from the beginning of the
recording, running counts are kept. Buffers hold less than half a minute and one period of the resampler, whatever
comes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from pipelines.ecg_anomaly.beats import samples_before
from pipelines.ecg_anomaly.config import BeatConfig, SignalConfig
from pipelines.ecg_anomaly.gaps import FLAT_S, gaps_of
from pipelines.ecg_anomaly.peaks import (
    REACH_S,
    Complexes,
    align_peaks,
    find_complexes,
    refractory_samples,
    shortest_complex,
)
from pipelines.ecg_anomaly.prepare import CleanSignal, conditioned, require_millivolts, require_rate
from pipelines.ecg_anomaly.signal import rate_ratio

# New signal that is worth a look; more costs delay, less costs time.
HOP_S = 1.0
# The resampler reaches over a handful of samples of the slower rate.
_RESAMPLER_S = 0.1
# A complex is longer than the mean that it is compared with only when the signal grows without end.
_LONGEST_COMPLEX_S = 1.5


def delay_s(config: SignalConfig) -> float:
    """How long after its R peak a beat is given at the latest, s of signal."""
    refractory = (refractory_samples(config.rate_hz) + shortest_complex(config.rate_hz)) / config.rate_hz
    return _clean_reach_s(config) + REACH_S + refractory + 2 * HOP_S


def _clean_reach_s(config: SignalConfig) -> float:
    return FLAT_S + config.half_length_s + _RESAMPLER_S


class CleanStream:
    """Raw samples in, clean signal out; see `prepare.clean_signal`.

    Samples before the first one that is there count as missing. They are held as 0 until it is known: by then what
    came of them is given already, and right, since a constant has no beats.
    """

    def __init__(self, rate_hz: float, config: SignalConfig) -> None:
        require_rate(rate_hz)
        self.rate_hz, self.config = rate_hz, config
        self.ratio = rate_ratio(rate_hz, config.rate_hz)
        self.reach = int(np.ceil(_clean_reach_s(config) * rate_hz))
        self.hop = int(np.ceil(HOP_S * rate_hz))
        self.filled = np.zeros(0, dtype=np.float32)
        self.is_missing = np.zeros(0, dtype=bool)
        # raw position of the first sample held, raw samples seen, clean samples given
        self.start, self.num_raw, self.num_given = 0, 0, 0
        self.first: np.float32 | None = None
        self.last = np.float32(0)

    def push(self, raw: np.ndarray) -> Iterator[CleanSignal]:
        """Clean signal that has become certain. Raises RequestError for samples that cannot be mV; none are taken."""
        raw = np.asarray(raw, dtype=np.float32)
        assert raw.ndim == 1, "one lead"
        if len(raw):
            require_millivolts(np.where(np.isfinite(raw), raw, np.float32(0)))
        for begin in range(0, len(raw), self.hop):
            self._append(raw[begin : begin + self.hop])
            certain = self._clean_before(self.num_raw - self.reach)
            if certain - self.num_given >= HOP_S * self.config.rate_hz:
                yield self._given(certain)

    def finish(self) -> CleanSignal:
        """The rest: nothing comes any more."""
        return self._given(-(-self.num_raw * self.ratio.numerator // self.ratio.denominator))

    def _append(self, raw: np.ndarray) -> None:
        is_missing = ~np.isfinite(raw)
        if self.first is None and not is_missing.all():
            self.first = self.last = raw[np.argmin(is_missing)]
            self.filled[:] = self.first
        source = np.maximum.accumulate(np.where(is_missing, -1, np.arange(len(raw))))
        filled = np.where(source < 0, self.last, raw[source])
        self.last = filled[-1]
        self.filled = np.concatenate([self.filled, filled])
        self.is_missing = np.concatenate([self.is_missing, is_missing])
        self.num_raw += len(raw)

    def _clean_before(self, num_raw: int) -> int:
        """Clean samples that lie before a raw one."""
        return max(num_raw, 0) * self.ratio.numerator // self.ratio.denominator

    def _given(self, end: int) -> CleanSignal:
        gaps = gaps_of(self.filled, self.is_missing, self.rate_hz)
        offset = 0.0 if self.first is None else float(self.first)
        clean = conditioned(gaps, offset, self.rate_hz, self.config)
        before = self.start * self.ratio.numerator // self.ratio.denominator
        part = slice(self.num_given - before, end - before)
        self.num_given = end
        self._forget()
        return CleanSignal(clean.signal[part], clean.noise[part], clean.is_usable[part])

    def _forget(self) -> None:
        period = self.ratio.denominator
        needed = self.num_given * period // self.ratio.numerator - self.reach
        start = max(needed // period * period, self.start)
        self.filled, self.is_missing = (
            self.filled[start - self.start :],
            self.is_missing[start - self.start :],
        )
        self.start = start


@dataclass(frozen=True, slots=True, eq=False)
class CutBeats:
    """Beats as a recording has them, in their order.

    r_sample: R peaks since the beginning, at the common rate, int64 of shape (beats,). num_lost: unusable samples
    before each, int64. windows: float32 of shape (beats, 3, samples): signal and noise in mV, and what is usable.
    """

    r_sample: np.ndarray
    num_lost: np.ndarray
    windows: np.ndarray

    def __len__(self) -> int:
        return len(self.r_sample)


class BeatStream:
    """Clean signal in, beats out; see `peaks.detect_peaks` and `prepare`."""

    def __init__(self, rate_hz: int, config: BeatConfig) -> None:
        self.rate_hz, self.length = rate_hz, config.num_samples
        self.before = samples_before(config, rate_hz)
        self.align = round(config.align_ms * rate_hz / 1000)
        self.refractory = refractory_samples(rate_hz)
        self.reach = int(np.ceil(REACH_S * rate_hz))
        # what lies before the first sample is as the batch has it beyond the ends of a recording
        self.signal = np.zeros((3, self.length), dtype=np.float32)
        self.start, self.num_lost = -self.length, 0
        # complexes that end before this are decided, but for the last one, which a stronger one may replace
        self.decided = 0
        self.waiting: tuple[int, float] | None = None

    def push(self, clean: CleanSignal, *, is_last: bool = False) -> CutBeats:
        """Beats that have become certain. is_last: nothing comes any more."""
        self.signal = np.concatenate([self.signal, _stacked(clean)], axis=1)
        end = self.start + self.signal.shape[1]
        first = max(-self.start, 0)
        found = find_complexes(torch.from_numpy(self.signal[0, first:]), self.rate_hz)
        certain = end + 1 if is_last else end - self.reach
        peaks = self._peaks(found, self.start + first, certain, is_last)
        if is_last:
            self.signal = np.pad(self.signal, ((0, 0), (0, self.length)))
        beats = self._cut(peaks, first, end - self.start)
        self._forget()
        return beats

    def _peaks(self, found: Complexes, shift: int, certain: int, is_last: bool) -> np.ndarray:
        """Peaks that no later one can replace; shift: position of the first sample that was looked at."""
        ends, kept = found.end + shift, []
        is_new = (ends >= self.decided) & (ends < certain)
        for peak, height in zip(found.peak[is_new] + shift, found.height[is_new], strict=True):
            if self.waiting is None or peak - self.waiting[0] >= self.refractory:
                kept += [self.waiting[0]] if self.waiting else []
                self.waiting = (int(peak), float(height))
            elif height > self.waiting[1]:
                self.waiting = (int(peak), float(height))
        self.decided = max(certain, self.decided)
        if self.waiting is not None:
            free = self.waiting[0] + self.refractory
            is_rivalled = (found.start[ends >= certain] + shift < free).any()
            if is_last or (not is_rivalled and certain >= free + shortest_complex(self.rate_hz)):
                kept.append(self.waiting[0])
                self.waiting = None
        return np.array(kept, dtype=np.int64)

    def _cut(self, peaks: np.ndarray, first: int, end: int) -> CutBeats:
        """Usable peaks at their place, with their windows; first, end: what of the buffer is the recording."""
        inside = peaks - self.start - first
        inside = inside[self.signal[2, first + inside] > 0]
        places = first + align_peaks(torch.from_numpy(self.signal[0, first:end]), inside, self.align)
        lost = np.concatenate([[0], np.cumsum(self.signal[2] == 0)])
        windows = self.signal[:, (places - self.before)[:, None] + np.arange(self.length)]
        return CutBeats(
            r_sample=places + self.start,
            num_lost=self.num_lost + lost[places] - lost[first],
            windows=windows.transpose(1, 0, 2),
        )

    def _forget(self) -> None:
        """What no beat that may still come needs."""
        needed = self.decided - self.reach - round(_LONGEST_COMPLEX_S * self.rate_hz) - self.length
        start = max(needed, self.start)
        gone = self.signal[2, max(-self.start, 0) : max(start - self.start, 0)]
        self.num_lost += int((gone == 0).sum())
        self.signal, self.start = self.signal[:, start - self.start :], start


def _stacked(clean: CleanSignal) -> np.ndarray:
    return np.stack([clean.signal.numpy(), clean.noise.numpy(), clean.is_usable.astype(np.float32)])
