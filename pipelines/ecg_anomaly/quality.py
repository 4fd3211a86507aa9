"""How far a beat can be believed: 1 for a clean recording, 0 where the electrodes were off.

A beat of strange shape must not count as a bad signal, or every ventricular beat would be excused. So the shape is
judged over a stretch of beats: of ten beats most look like one of those shortly before them, unless noise shapes
them all.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipelines.ecg_anomaly.beats import BeatWindows

# Beats before that one may look like: two of either kind even where every second beat is ectopic.
_NUM_COMPARED = 4
_NUM_STRETCH = 10
# Beats before one on which its quality depends; that of the first one depends on the second.
NUM_BEFORE = _NUM_COMPARED + _NUM_STRETCH - 1
_BEATS_AT_A_TIME = 4096
_SMALLEST_POWER = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """Three views on the signal of each beat, float32 of shape (beats,), 0 (bad) to 1 (good).

    usable: share of samples that are no gap (`gaps`). clean: share of the power that lies in the band of beats and
    not above it. steady: median over the last ten beats of the best correlation with a beat shortly before.
    """

    usable: np.ndarray
    clean: np.ndarray
    steady: np.ndarray

    @property
    def index(self) -> np.ndarray:
        """The quality index: the worst of the three."""
        worst: np.ndarray = np.minimum(np.minimum(self.usable, self.clean), self.steady)
        return worst


def beat_quality(windows: BeatWindows, noise: Tensor, is_usable: Tensor) -> Quality:
    """Quality of the beats of one recording.

    windows: its beats in mV. noise: what lies above the band, float32 of shape (samples,), like the signal.
    is_usable: bool of shape (samples,).
    """
    of_noise = BeatWindows(noise, windows.starts, windows.length)
    of_usable = BeatWindows(is_usable.float(), windows.starts, windows.length)
    parts = [_window_facts(windows, of_noise, of_usable, part) for part in _parts(len(windows), noise)]
    usable, clean, best = (torch.cat(facts).cpu().numpy() for facts in zip(*parts, strict=True))
    return Quality(usable, clean, _stretch_median(best))


def _parts(num_beats: int, like: Tensor) -> tuple[Tensor, ...]:
    return torch.arange(num_beats, device=like.device).split(_BEATS_AT_A_TIME)


def _window_facts(
    windows: BeatWindows, noise: BeatWindows, usable: BeatWindows, part: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Share usable, share of power in the band, best correlation with an earlier beat; each of shape (part,)."""
    earlier = torch.arange(int(part[0]) - _NUM_COMPARED, int(part[-1]) + 1, device=part.device).clamp(min=0)
    beats = windows.gather(earlier)
    beats = beats - beats.mean(dim=1, keepdim=True)
    power = beats.square().mean(dim=1).clamp(min=_SMALLEST_POWER)
    above = noise.gather(part).square().mean(dim=1)
    unit = beats / power.sqrt()[:, None]
    own = unit[_NUM_COMPARED:]
    likeness = torch.stack(
        [
            (own * unit[_NUM_COMPARED - lag : len(unit) - lag]).mean(dim=1).masked_fill(part < lag, 0.0)
            for lag in range(1, _NUM_COMPARED + 1)
        ]
    )
    in_band = power[_NUM_COMPARED:]
    return usable.gather(part).mean(dim=1), in_band / (in_band + above), likeness.amax(dim=0).clamp(0, 1)


def _stretch_median(values: np.ndarray) -> np.ndarray:
    """Median of each value and the nine before it; at the beginning, of the first ones. Float32."""
    if not len(values):
        return values
    # The first beat has none before it to look like.
    known = np.append(values[1:2], values[1:]) if len(values) > 1 else np.zeros_like(values)
    padded = np.concatenate([np.full(_NUM_STRETCH - 1, np.nan, dtype=np.float32), known])
    windows = np.lib.stride_tricks.sliding_window_view(padded, _NUM_STRETCH)
    medians: np.ndarray = np.nanmedian(windows, axis=1).astype(np.float32)
    return medians
