"""Learning rate as a pure function of the step, so that a resumed run needs no scheduler state."""

import math

from shared.training.settings import FitSettings

_ONE_CYCLE_START = 1 / 25  # share of the peak, the figure of Smith & Topin (2018) as commonly used
_ONE_CYCLE_RISE = 0.3  # share of the steps spent rising when the warm-up is left at its default


def learning_rate_at(step: int, num_steps: int, settings: FitSettings) -> float:
    """Learning rate of optimiser step `step` (0-based) out of `num_steps`.

    constant: the peak. cosine: peak to 0 on a half cosine. warmup_cosine: linear from 0 over
    `warmup_fraction` of the steps, then the half cosine. one_cycle: half cosine from 1/25 of the peak up over
    30 % of the steps (or `warmup_fraction` if set), then down to 0; the momentum is left alone. The last step
    never has rate 0.
    """
    peak = settings.learning_rate
    if settings.schedule == "constant":
        return peak
    rising = _rising_steps(num_steps, settings)
    if step < rising:
        if settings.schedule == "warmup_cosine":
            return peak * (step + 1) / (rising + 1)
        return peak * (1 - (1 - _ONE_CYCLE_START) * _half_cosine(step / rising))
    return peak * _half_cosine((step - rising) / max(1, num_steps - rising))


def _rising_steps(num_steps: int, settings: FitSettings) -> int:
    if settings.schedule == "cosine":
        return 0
    fraction = settings.warmup_fraction
    if settings.schedule == "one_cycle" and "warmup_fraction" not in settings.model_fields_set:
        fraction = _ONE_CYCLE_RISE
    return math.ceil(fraction * num_steps) if fraction else 0


def _half_cosine(progress: float) -> float:
    """From 1 at progress 0 to 0 at progress 1."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
