"""Where a recorder gave nothing that could be an ECG: missing values, flat lines, saturation."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

# No analogue signal stays within a tenth of a microvolt: recorders resolve 1 to 5 microvolts.
_STILL_MV = 1e-4
FLAT_S = 0.5
_SATURATED_S = 0.05
# Between beats a coarse recorder may well show the same value for 50 ms, but only near the baseline.
_SATURATED_MV = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """Raw samples made finite, and what is wrong with them; float32 and two bool arrays of shape (samples,).

    is_off: missing, or flat for half a second. is_still: unchanged for 50 ms; away from the baseline, saturation.
    """

    filled: np.ndarray
    is_off: np.ndarray
    is_still: np.ndarray


def find_gaps(raw: np.ndarray, rate_hz: float) -> Gaps:
    """Gaps of raw samples, float32 of shape (samples,), mV; missing ones (NaN, infinity) repeat the last value."""
    is_missing = ~np.isfinite(raw)
    return gaps_of(_held(raw, is_missing), is_missing, rate_hz)


def gaps_of(filled: np.ndarray, is_missing: np.ndarray, rate_hz: float) -> Gaps:
    """Gaps of samples that were made finite already; is_missing: bool of shape (samples,).

    Whether a sample is flat depends on half a second to each side, on no more.
    """
    num_still = _run_lengths(np.abs(np.diff(filled, prepend=filled[:1])) <= _STILL_MV)
    is_off = is_missing | (num_still >= FLAT_S * rate_hz)
    return Gaps(filled, is_off, num_still >= _SATURATED_S * rate_hz)


def unusable(gaps: Gaps, signal: np.ndarray, num_reached: int, ratio: Fraction) -> np.ndarray:
    """Samples of the conditioned signal that say nothing about the heart, bool of shape (samples,).

    signal: float32 at the common rate, mV. num_reached: samples to each side of a gap that the filter smears it over.
    ratio: samples of `signal` for each raw one, see `signal.rate_ratio`.
    """
    # by the ratio, not by the lengths: those of a whole recording are not known to a stream
    source = np.arange(len(signal)) * ratio.denominator // ratio.numerator
    is_off = _widened(gaps.is_off[source], num_reached)
    return is_off | (gaps.is_still[source] & (np.abs(signal) > _SATURATED_MV))


def _held(raw: np.ndarray, is_missing: np.ndarray) -> np.ndarray:
    """The last value wherever one is missing; the first one before it, 0 where there is none at all."""
    if is_missing.all():
        return np.zeros_like(raw)
    source = np.maximum.accumulate(np.where(is_missing, -1, np.arange(len(raw))))
    source[source < 0] = np.argmin(is_missing)
    held: np.ndarray = raw[source]
    return held


def _run_lengths(flags: np.ndarray) -> np.ndarray:
    """For each True the length of the run that it is part of, 0 elsewhere; int64."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    lengths = np.zeros(len(flags) + 1, dtype=np.int64)
    lengths[edges[::2]] += edges[1::2] - edges[::2]
    lengths[edges[1::2]] -= edges[1::2] - edges[::2]
    return np.cumsum(lengths[:-1])


def _widened(flags: np.ndarray, reach: int) -> np.ndarray:
    """True within `reach` samples of a True."""
    edges = np.diff(flags.astype(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    change = np.zeros(len(flags) + 1, dtype=np.int64)
    np.add.at(change, np.maximum(starts - reach, 0), 1)
    np.add.at(change, np.minimum(ends + reach, len(flags)), -1)
    return np.cumsum(change[:-1]) > 0
