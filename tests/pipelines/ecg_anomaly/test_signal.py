"""What the signal path takes out and what it leaves, and that it looks no further than it says."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.ecg_anomaly.config import SignalConfig
from pipelines.ecg_anomaly.signal import condition, resample, upright_sign
from shared.errors import RequestError

RATE = 360
MIDDLE = slice(4 * RATE, -4 * RATE)


def wave(frequency_hz: float, rate_hz: int = RATE, seconds: int = 20) -> torch.Tensor:
    time = torch.arange(seconds * rate_hz, dtype=torch.float64) / rate_hz
    return torch.sin(2 * torch.pi * frequency_hz * time).float()


def gain(frequency_hz: float, **settings) -> float:
    filtered = condition(wave(frequency_hz), RATE, SignalConfig(**settings)).signal[MIDDLE]
    return float(filtered.std() / wave(frequency_hz)[MIDDLE].std())


@pytest.mark.parametrize("frequency", [2, 10, 25, 36])
def test_beats_pass_in_place_and_in_full(frequency):
    filtered = condition(wave(frequency), RATE, SignalConfig()).signal
    assert torch.allclose(filtered[MIDDLE], wave(frequency)[MIDDLE], atol=0.02)


@pytest.mark.parametrize("frequency", [0.05, 0.1, 50, 60, 100])
def test_wander_mains_and_muscle_noise_are_taken_out(frequency):
    assert gain(frequency) < 0.03


def test_mains_inside_a_wide_band_is_notched_and_its_neighbours_stay():
    assert gain(50, high_hz=100) == pytest.approx(1, abs=0.02)
    assert gain(50, high_hz=100, mains_hz=50) < 0.2
    assert gain(45, high_hz=100, mains_hz=50) == pytest.approx(1, abs=0.02)


def test_what_lies_above_the_band_is_kept_apart():
    parts = condition(wave(10) + wave(80), RATE, SignalConfig())
    assert torch.allclose(parts.noise[MIDDLE], wave(80)[MIDDLE], atol=0.02)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(RATE, 60 * RATE))
def test_no_sample_depends_on_input_beyond_the_reach_of_the_filter(seed, place):
    config = SignalConfig()
    raw = torch.from_numpy(np.random.default_rng(seed).normal(0, 1, 61 * RATE).astype(np.float32))
    changed = raw.clone()
    changed[place] += 100
    difference = (condition(changed, RATE, config).signal - condition(raw, RATE, config).signal).abs()
    touched = torch.nonzero(difference > 1e-3).flatten()
    reach = round(config.half_length_s * RATE)
    assert place - reach <= touched.min()
    assert touched.max() <= place + reach


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(10 * RATE, 50 * RATE))
def test_a_stream_that_waits_for_the_reach_gives_the_signal_of_the_batch(seed, cut):
    config = SignalConfig()
    reach = round(config.half_length_s * RATE)
    raw = torch.from_numpy(np.random.default_rng(seed).normal(0, 1, 60 * RATE).astype(np.float32))
    whole = condition(raw, RATE, config).signal
    first = condition(raw[: cut + reach], RATE, config).signal[:cut]
    rest = condition(raw[cut - reach :], RATE, config).signal[reach:]
    assert torch.allclose(torch.cat([first, rest]), whole, atol=1e-5)


def test_many_signals_at_once_are_filtered_like_each_alone():
    raw = torch.stack([wave(3), wave(30), wave(0.1)])
    together = condition(raw, RATE, SignalConfig()).signal
    assert torch.allclose(together[1], condition(raw[1], RATE, SignalConfig()).signal, atol=1e-6)


@pytest.mark.parametrize("rate", [100, 128, 250, 500, 1000])
def test_any_rate_comes_to_the_common_one_with_the_same_waves(rate):
    resampled = resample(wave(10, rate), rate, RATE)
    assert len(resampled) == 20 * RATE
    assert torch.allclose(resampled[MIDDLE], wave(10)[MIDDLE], atol=0.02)


def test_a_rate_that_is_no_plain_number_is_refused():
    with pytest.raises(RequestError, match="plain sampling rate"):
        resample(wave(10), 359.98765, RATE)


def test_an_offset_of_the_recorder_does_not_ring_at_the_ends():
    filtered = condition(torch.full((20 * RATE,), 50.0), RATE, SignalConfig()).signal
    assert filtered.abs().max() < 1e-3


def test_a_lead_with_swapped_electrodes_is_turned_over():
    peaks = np.arange(RATE, 19 * RATE, RATE)
    signal = torch.zeros(20 * RATE)
    signal[torch.from_numpy(peaks)] = -1.0
    assert upright_sign(signal, peaks, RATE) == -1
    assert upright_sign(-signal, peaks, RATE) == 1
    assert upright_sign(signal, peaks[:0], RATE) == 1


def test_a_band_beyond_what_the_rate_holds_is_refused():
    with pytest.raises(ValueError, match="below half of rate_hz"):
        SignalConfig(rate_hz=100, high_hz=60)
