"""From a recorder's samples to one clean signal: resampled, without baseline wander, mains and muscle noise.

Every output sample depends on a bounded stretch of input around it: the resampler and the filter have finite
support, `half_length_s` to each side for the filter, and no statistic of the whole recording enters. So a stream that
waits for that stretch gives the signal of the batch, up to the rounding of float32. That is why the filter is a
linear-phase FIR (zero phase once its delay is taken off) and not a recursive one run forwards and backwards, whose
result depends on the whole recording.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from pipelines.ecg_anomaly.config import SignalConfig
from shared.errors import RequestError

# A block of this many filter lengths fits the cache, and little of it is spent on overlap.
_LENGTHS_PER_BLOCK = 8
_NOTCH_HALF_WIDTH_HZ = 1.0
# Resampling ratios beyond this would need a bank of filters larger than the signal.
_MAX_RATIO_PART = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Conditioned:
    """A signal at the common rate, all float32 of shape (..., samples), mV.

    signal: the band in which beats lie. noise: what lies above that band.
    """

    signal: Tensor
    noise: Tensor


def condition(raw: Tensor, rate_hz: float, config: SignalConfig) -> Conditioned:
    """Resample and filter raw samples, float32 of shape (..., samples), mV and finite, on their device.

    Raises RequestError for a sampling rate that cannot be brought to the common one.
    """
    resampled = resample(raw, rate_hz, config.rate_hz)
    filtered = _convolve(resampled, _kernels(config).to(resampled.device))
    return Conditioned(filtered[0], filtered[1])


def resample(raw: Tensor, rate_hz: float, wanted_hz: int) -> Tensor:
    """Samples at another rate, of shape (..., ceil(samples * wanted_hz / rate_hz)), band-limited."""
    from torchaudio.functional import resample as sinc_resample

    ratio = rate_ratio(rate_hz, wanted_hz)
    return sinc_resample(raw, ratio.denominator, ratio.numerator)


def rate_ratio(rate_hz: float, wanted_hz: int) -> Fraction:
    """Samples that `resample` gives for each one. Raises RequestError where that is no plain fraction."""
    ratio = Fraction(wanted_hz) / Fraction(rate_hz).limit_denominator(1000)
    if max(ratio.numerator, ratio.denominator) > _MAX_RATIO_PART:
        raise RequestError(f"Expected a plain sampling rate, such as 250 Hz. Received {rate_hz:g} Hz.")
    return ratio


def band_pass(signal: Tensor, low_hz: float, high_hz: float, reach: int, rate_hz: int) -> Tensor:
    """A signal of shape (..., samples) between two frequencies, by a filter of `reach` samples to each side."""
    kernel = _low_pass(high_hz, reach, rate_hz) - _low_pass(low_hz, reach, rate_hz)
    return _convolve(signal, kernel[None].float().to(signal.device))[0]


def upright_sign(signal: Tensor, r_sample: np.ndarray, rate_hz: int) -> int:
    """-1 where most beats of the first minute point down, as with swapped electrodes; 1 otherwise.

    signal: of shape (samples,). r_sample: positions of R peaks, int64 of shape (beats,).
    """
    first = r_sample[r_sample < 60 * rate_hz]
    heights = signal[torch.from_numpy(first).to(signal.device)]
    return -1 if len(first) and float(heights.sign().sum()) < 0 else 1


def _kernels(config: SignalConfig) -> Tensor:
    """Band-pass and what lies above the band, float32 of shape (2, taps)."""
    reach = round(config.half_length_s * config.rate_hz)
    low, high = (_low_pass(edge, reach, config.rate_hz) for edge in (config.low_hz, config.high_hz))
    everything = torch.zeros_like(high)
    everything[reach] = 1.0
    band = high - low
    if config.mains_hz is not None and config.mains_hz - _NOTCH_HALF_WIDTH_HZ < config.high_hz:
        below, above = (
            _low_pass(config.mains_hz + shift, reach, config.rate_hz)
            for shift in (-_NOTCH_HALF_WIDTH_HZ, _NOTCH_HALF_WIDTH_HZ)
        )
        band = band - (above - below)
    return torch.stack([band, everything - high]).float()


def _low_pass(edge_hz: float, reach: int, rate_hz: int) -> Tensor:
    """A windowed sinc of 2 reach + 1 taps that lets a constant pass unchanged; -6 dB at the edge."""
    taps = torch.arange(-reach, reach + 1, dtype=torch.float64)
    window = torch.hamming_window(2 * reach + 1, periodic=False, dtype=torch.float64)
    kernel = torch.sinc(2 * edge_hz / rate_hz * taps) * window
    return kernel / kernel.sum()


def _convolve(signal: Tensor, kernels: Tensor) -> Tensor:
    """Centred convolution with each symmetric kernel, of shape (kernels, ..., samples), by overlap and save.

    The ends are continued by their last value, so that an offset of the recorder does not ring.
    """
    reach = kernels.shape[-1] // 2
    num_samples = signal.shape[-1]
    size = 1 << (_LENGTHS_PER_BLOCK * kernels.shape[-1]).bit_length()
    step = size - 2 * reach
    num_blocks = -(-num_samples // step)
    behind = num_blocks * step - num_samples + reach
    before = signal[..., :1].expand(*signal.shape[:-1], reach)
    after = signal[..., -1:].expand(*signal.shape[:-1], behind)
    blocks = torch.cat([before, signal, after], dim=-1).unfold(-1, size, step)
    spectrum = torch.fft.rfft(blocks)
    results = [
        torch.fft.irfft(spectrum * torch.fft.rfft(kernel, size), size)[..., 2 * reach :].flatten(-2)
        for kernel in kernels
    ]
    return torch.stack(results)[..., :num_samples]
