"""One recording from raw samples to beats, or the reason why it cannot be used."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipelines.ecg_anomaly.beats import BeatWindows, Intervals, samples_before
from pipelines.ecg_anomaly.config import BeatConfig, SignalConfig
from pipelines.ecg_anomaly.gaps import Gaps, find_gaps, unusable
from pipelines.ecg_anomaly.labels import UNKNOWN
from pipelines.ecg_anomaly.peaks import Matches, align_peaks, detect_peaks, match_peaks
from pipelines.ecg_anomaly.quality import Quality, beat_quality
from pipelines.ecg_anomaly.schema import CONTRACT, Annotation, Record
from pipelines.ecg_anomaly.signal import condition, rate_ratio, upright_sign
from shared.contracts.arrays import check_arrays
from shared.contracts.contract import load
from shared.contracts.refused import Refused
from shared.errors import RequestError

# Slower than any heart that pumps.
_SLOWEST_PER_MINUTE = 15.0
# Hearts may beat outside for long; a sampling rate that is wrong by a factor of two looks the same.
_USUAL_PER_MINUTE = (40.0, 150.0)
# At less than 100 Hz the QRS complex is lost; `sampling_rate` of the contract has the same bounds.
_LOWEST_HZ, _HIGHEST_HZ = 100.0, 10_000.0
# A QRS complex this small is noise, or the header's gain is wrong.
_SMALLEST_BEAT_MV = 0.05
_WELL_FOUND = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRecord:
    """A recording at the common rate with its beats; see `Recordings` and `Beats`."""

    name: str
    patient: str
    lead: str
    part: str | None
    signal: np.ndarray
    r_sample: np.ndarray
    beat_class: np.ndarray
    intervals: Intervals
    quality: Quality
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CleanSignal:
    """A conditioned signal and what lies above its band, float32 of shape (samples,), mV; and which samples count."""

    signal: Tensor
    noise: Tensor
    is_usable: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class _FoundBeats:
    """R peaks and classes; how the detector did, where there are marked beats to compare with."""

    r_sample: np.ndarray
    beat_class: np.ndarray
    matches: Matches | None


def prepare_record(record: Record, config: SignalConfig, beats: BeatConfig) -> PreparedRecord | Refused:
    """Condition one recording, find its beats and judge them.

    A recording that is short, flat, noisy beyond use, of implausible amplitude or rate, or without beats is refused
    with the reason; nothing raises.
    """
    try:
        return _prepared(record, config, beats)
    except RequestError as error:
        return Refused(record.name, str(error))


def _prepared(record: Record, config: SignalConfig, beats: BeatConfig) -> PreparedRecord:
    clean = clean_signal(record, config)
    found = _find_beats(record, clean, config, beats)
    quality = _quality(clean, found.r_sample, beats, config.rate_hz)
    median = float(np.median(quality.index))
    if median < config.min_quality:
        raise RequestError(
            f"Expected heartbeats, most of them alike. Received a signal of quality {median:.2f} (0 to 1): is it an "
            "ECG, or noise?"
        )
    return PreparedRecord(
        name=record.name,
        patient=record.patient,
        lead=record.lead,
        part=record.part,
        signal=clean.signal.numpy(),
        r_sample=found.r_sample,
        beat_class=found.beat_class,
        intervals=Intervals.of(found.r_sample, clean.is_usable, config.rate_hz, beats.num_local_beats),
        quality=quality,
        notes=tuple(_notes(record.name, clean, found, config.rate_hz)),
    )


def clean_signal(record: Record, config: SignalConfig) -> CleanSignal:
    """The conditioned signal of a recording. Raises RequestError for one that cannot be used."""
    require_rate(record.rate_hz)
    seconds = len(record.signal) / record.rate_hz
    if seconds < config.min_seconds:
        raise RequestError(f"Expected at least {config.min_seconds:g} s. Received {seconds:.1f} s.")
    gaps = find_gaps(record.signal, record.rate_hz)
    require_millivolts(gaps.filled)
    clean = conditioned(gaps, gaps.filled[0], record.rate_hz, config)
    share = 1 - float(clean.is_usable.mean())
    if share > config.max_unusable_share:
        raise RequestError(
            f"Expected a signal. Received one that is flat, saturated or missing in {share:.0%} of its length: were "
            "the electrodes on?"
        )
    return clean


def conditioned(gaps: Gaps, offset_mv: float, rate_hz: float, config: SignalConfig) -> CleanSignal:
    """The clean signal of raw samples without gaps. offset_mv: the first sample of the recording, taken off.

    The filter takes a constant out anyway, but the resampler makes a ripple of it: 0.25 mV of 300 mV at 250 Hz.
    """
    filled = torch.from_numpy(gaps.filled - np.float32(offset_mv))
    found = condition(filled, rate_hz, config)
    reach = round(config.half_length_s * config.rate_hz)
    lost = unusable(gaps, found.signal.numpy(), reach, rate_ratio(rate_hz, config.rate_hz))
    return CleanSignal(found.signal, found.noise, ~lost)


def require_rate(rate_hz: float) -> None:
    """Raises RequestError for a sampling rate at which beats cannot be judged."""
    if not _LOWEST_HZ <= rate_hz <= _HIGHEST_HZ:
        raise RequestError(
            f"Expected {_LOWEST_HZ:g} to {_HIGHEST_HZ:g} samples a second. Received {rate_hz:g}."
        )


def require_millivolts(filled: np.ndarray) -> None:
    """Raises RequestError for finite samples, float32, beyond the range of the contract."""
    problems = check_arrays({"signal": filled}, load(CONTRACT)).violations
    if problems:
        raise RequestError(f"{problems[0].line()} Are the unit and the gain right?")


def _find_beats(record: Record, clean: CleanSignal, config: SignalConfig, beats: BeatConfig) -> _FoundBeats:
    """R peaks as configured. May turn the signal over. Raises RequestError where there are none worth the name."""
    rate, reach = config.rate_hz, round(beats.align_ms * config.rate_hz / 1000)
    detected = detect_peaks(clean.signal, rate)
    detected = align_peaks(clean.signal, detected[clean.is_usable[detected]], reach)
    _require_beats(clean, detected, rate)
    if config.polarity == "upright":
        clean.signal.mul_(upright_sign(clean.signal, detected, rate))
    if record.annotation is None:
        return _FoundBeats(detected, np.full(len(detected), UNKNOWN, dtype=np.int8), None)
    marked = _at_common_rate(record.annotation, record.rate_hz, rate, len(clean.signal))
    matches = match_peaks(detected, marked.sample, rate)
    if beats.peaks == "annotated":
        return _FoundBeats(align_peaks(clean.signal, marked.sample, reach), marked.beat_class, matches)
    known = np.append(marked.beat_class, np.int8(UNKNOWN))
    return _FoundBeats(detected, known[matches.marked], matches)


def _require_beats(clean: CleanSignal, detected: np.ndarray, rate_hz: int) -> None:
    if not len(detected):
        raise RequestError("Expected heartbeats. Received a signal without any R peak: is it an ECG?")
    heights = np.abs(clean.signal.numpy()[detected])
    if np.median(heights) < _SMALLEST_BEAT_MV:
        raise RequestError(
            f"Expected beats of at least {_SMALLEST_BEAT_MV:g} mV. Received {np.median(heights):.2g} mV: are the unit "
            "and the gain right?"
        )
    if _per_minute(clean, detected, rate_hz) < _SLOWEST_PER_MINUTE:
        raise RequestError(
            f"Expected at least {_SLOWEST_PER_MINUTE:g} beats a minute. Received "
            f"{_per_minute(clean, detected, rate_hz):.0f}: is the signal an ECG, and the sampling rate right?"
        )


def _per_minute(clean: CleanSignal, detected: np.ndarray, rate_hz: int) -> float:
    return 60 * rate_hz * len(detected) / max(int(clean.is_usable.sum()), 1)


def _at_common_rate(annotation: Annotation, rate_hz: float, wanted_hz: int, num_samples: int) -> Annotation:
    """Raises RequestError for marks beyond the end, and for none."""
    sample = np.round(annotation.sample * (wanted_hz / rate_hz)).astype(np.int64)
    if not len(sample) or sample[0] < 0 or sample[-1] >= num_samples:
        what = "marks that lie outside it" if len(sample) else "no mark of a beat"
        raise RequestError(
            f"Expected an annotation of this recording. Received {what}: do the two belong together?"
        )
    return Annotation(sample, annotation.beat_class)


def _quality(clean: CleanSignal, r_sample: np.ndarray, beats: BeatConfig, rate_hz: int) -> Quality:
    margin = beats.num_samples
    signal, noise, usable = (
        torch.nn.functional.pad(part, (margin, margin))
        for part in (clean.signal, clean.noise, torch.from_numpy(clean.is_usable))
    )
    starts = torch.from_numpy(r_sample) + margin - samples_before(beats, rate_hz)
    return beat_quality(BeatWindows(signal, starts, beats.num_samples), noise, usable)


def _notes(name: str, clean: CleanSignal, found: _FoundBeats, rate_hz: int) -> Iterator[str]:
    lost = (~clean.is_usable).sum() / rate_hz
    if lost >= 1:
        yield f"{name}: {lost:.0f} s are flat, saturated or missing."
    per_minute = _per_minute(clean, found.r_sample, rate_hz)
    if not _USUAL_PER_MINUTE[0] <= per_minute <= _USUAL_PER_MINUTE[1]:
        yield f"{name}: {per_minute:.0f} beats a minute. Is the sampling rate right?"
    matches = found.matches
    if matches is not None and min(matches.sensitivity, matches.precision) < _WELL_FOUND:
        yield (
            f"{name}: the detector finds {matches.sensitivity:.1%} of the marked beats, and {matches.precision:.1%} of "
            "what it finds was marked."
        )
