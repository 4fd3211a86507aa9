"""Made-up recordings with the truth, by the dynamical ECG model of McSharry, Clifford, Tarassenko and Smith (2003).

"A dynamical model for generating synthetic electrocardiogram signals", IEEE TBME 50(3): the voltage follows
dz/dt = -sum a_k phi_k exp(-phi_k^2 / 2 b_k^2) - z along a limit cycle, with one Gaussian event for each of P, Q, R, S
and T, and RR intervals that swing with breathing (0.25 Hz) and blood pressure (0.1 Hz). The phase is counted from each
R peak at the patient's mean angular velocity, not stretched with every interval: else the QRS complex of an early beat
would become narrow, and its width is what tells ventricular beats. All beats are computed at once.

Hearts and their beats are in `heart`. Amplitudes go up and down with breathing, and electrodes lie differently after
the patient has turned. Electrodes fall off, and muscles tremble, for some seconds of some recordings.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.signal import lfilter

from pipelines.ecg_anomaly.heart import Heart, P, Q, R, Rhythm, S, T
from pipelines.ecg_anomaly.labels import CLASSES, FUSION, NORMAL
from pipelines.ecg_anomaly.schema import Annotation, Record

RATE_HZ = 360
LEAD = "MLII"
_BEFORE_S, _AFTER_S = 0.45, 0.85
_NOISY_MV, _RAIL_MV = 0.25, 5.0
_RESOLUTION_MV = 0.005
_EDGE_S = 0.5
# Of atria that fibrillate.
_FLICKER_MV, _FLICKER_HZ = 0.04, (4.5, 7.0)
# A wave is over after so many of its widths.
_REACH = 2.5
_EARLIEST_SHARE = 0.03  # of the interval: less is in time
_PARTS = {"P": (P,), "QRS": (Q, R, S), "T": (T,)}
_EVENT_SCHEMA = {"record": pl.String, "kind": pl.String, "start": pl.Float64, "end": pl.Float64}
_TRUTH_SCHEMA = {
    "record": pl.String,
    "beat_time": pl.Float64,
    "beat_class": pl.String,
    "part": pl.String,
    "start": pl.Float64,
    "end": pl.Float64,
}
_Event = tuple[str, str, float, float]
_Difference = tuple[str, float, str, str, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Generated:
    """Recordings with their beats, and what else is true of them.

    events: one row each, of record, kind (noise, lead_off, turned or pause), start and end, s. truth: one row for each
    part in which an abnormal beat differs from the normal ones of its patient, of record, beat_time (s), beat_class,
    part (P, QRS, T or rhythm), start and end, s; the last two null for rhythm.
    """

    records: tuple[Record, ...]
    events: pl.DataFrame
    truth: pl.DataFrame


def generate(num_patients: int, minutes: float, seed: int) -> Generated:
    """One recording of each patient, in mV at 360 Hz; the same arguments, the same recordings.

    Time and memory grow with the product of both; 20 patients of 5 minutes take under 2 s.
    """
    digits = max(2, len(str(num_patients)))
    records: list[Record] = []
    events: list[_Event] = []
    differences: list[_Difference] = []
    for number in range(num_patients):
        # A generator for each patient: more patients do not change the first ones.
        rng = np.random.default_rng([seed, number])
        heart = Heart.of(rng)
        rhythm = heart.beat(minutes * 60, _EDGE_S, rng)
        name = f"patient-{number + 1:0{digits}d}"
        record, happened = _recorded(name, heart, rhythm, minutes * 60, rng)
        records.append(record)
        events += happened
        differences += _differences(name, heart, rhythm)
    return Generated(
        tuple(records),
        pl.DataFrame(events, schema=_EVENT_SCHEMA, orient="row"),
        pl.DataFrame(differences, schema=_TRUTH_SCHEMA, orient="row"),
    )


def _recorded(
    name: str, heart: Heart, rhythm: Rhythm, seconds: float, rng: np.random.Generator
) -> tuple[Record, list[_Event]]:
    moment = rhythm.moment
    turned = float(rng.uniform(0.2, 0.8) * seconds)
    signal = _voltage(heart, rhythm, turned, seconds, rng)
    events: list[_Event] = [(name, "pause", start, end) for start, end in rhythm.pauses]
    events.append((name, "turned", turned, turned))
    is_seen = np.ones(len(moment), dtype=bool)
    _add_noise(signal, heart, rng)
    for kind, share in (("noise", 0.4), ("lead_off", 0.3)):
        if rng.random() < share and seconds >= 30:
            length = rng.uniform(3.0, 10.0) if kind == "noise" else rng.uniform(2.0, 6.0)
            start = rng.uniform(10.0, seconds - length - 5.0)
            _disturb(signal, kind, slice(int(start * RATE_HZ), int((start + length) * RATE_HZ)), rng)
            events.append((name, kind, start, start + length))
            if kind == "lead_off":
                # Nobody marks a beat that the recorder did not show.
                is_seen &= (moment < start) | (moment > start + length)
    stored = (np.round(signal / _RESOLUTION_MV) * _RESOLUTION_MV).astype(np.float32)
    annotation = Annotation(np.round(moment[is_seen] * RATE_HZ).astype(np.int64), rhythm.beat_class[is_seen])
    return Record(name, name, LEAD, float(RATE_HZ), stored, annotation), events


def _voltage(
    heart: Heart, rhythm: Rhythm, turned: float, seconds: float, rng: np.random.Generator
) -> np.ndarray:
    """The clean voltage of one patient, mV, float64 of shape (samples,)."""
    moment, is_fused = rhythm.moment, rhythm.beat_class == FUSION
    size = _sizes(moment, turned, rng)
    # A fusion is half ventricular, half normal; both begin from the same P wave.
    beat = np.concatenate([np.arange(len(moment)), np.flatnonzero(is_fused)])
    shape = np.concatenate([rhythm.shape, np.zeros(is_fused.sum(), dtype=np.int64)])
    weight = np.where(is_fused[beat][:, None] & (np.arange(5) != P), 0.5, 1.0)
    height = heart.height[shape] * size[beat] * weight
    offsets = np.arange(-round(_BEFORE_S * RATE_HZ), round(_AFTER_S * RATE_HZ))
    nearest = np.round(moment * RATE_HZ).astype(np.int64)[beat]
    phase = heart.velocity * ((nearest[:, None] + offsets) / RATE_HZ - moment[beat][:, None])
    push = np.zeros(phase.shape)
    for wave in range(5):
        away = phase - heart.angle[shape, wave, None]
        push -= height[:, wave, None] * away * np.exp(-(away**2) / (2 * heart.width[shape, wave, None] ** 2))
    places = nearest[:, None] + offsets
    num_samples = int(seconds * RATE_HZ)
    is_inside = (places >= 0) & (places < num_samples)
    force = np.bincount(places[is_inside], weights=push[is_inside], minlength=num_samples)
    # dz/dt = force - z, exactly over each step.
    decay = np.exp(-1 / RATE_HZ)
    voltage = lfilter([1 - decay], [1, -decay], force)
    peaks = np.abs(voltage[nearest[: len(moment)][rhythm.beat_class == NORMAL]])
    scaled: np.ndarray = voltage * rng.uniform(0.8, 1.6) / np.median(peaks)
    return scaled


def _sizes(moment: np.ndarray, turned: float, rng: np.random.Generator) -> np.ndarray:
    """Of the five waves of each beat, as multiples, (beats, 5): with breathing, with the position of the patient, who
    slowly moves and once turns over, and a little anew each beat."""
    breathing = rng.uniform(0.02, 0.12) * np.sin(2 * np.pi * (rng.uniform(0.2, 0.3) * moment + rng.random()))
    slowly = rng.uniform(0.0, 0.15) * np.sin(2 * np.pi * (moment / rng.uniform(60, 300) + rng.random()))
    after = rng.lognormal(0, [0.2, 0.3, 0.15, 0.3, 0.25])
    has_turned = np.clip((moment - turned) / 2.0, 0, 1)[:, None]
    anew = rng.normal(1, rng.uniform(0.02, 0.08), (len(moment), 5))
    sizes: np.ndarray = (1 + breathing + slowly)[:, None] * (1 + has_turned * (after - 1)) * anew
    return sizes


def _differences(name: str, heart: Heart, rhythm: Rhythm) -> Iterator[_Difference]:
    for at in np.flatnonzero(rhythm.beat_class != NORMAL):
        moment, letter = float(rhythm.moment[at]), CLASSES[rhythm.beat_class[at]]
        for part, start, end in _parts(heart, int(rhythm.shape[at])):
            if part != "P" or rhythm.beat_class[at] != FUSION:
                yield name, moment, letter, part, moment + start, moment + end
        if rhythm.early[at] > _EARLIEST_SHARE:
            yield name, moment, letter, "rhythm", None, None


def _parts(heart: Heart, shape: int) -> Iterator[tuple[str, float, float]]:
    """In what a shape differs from the normal one, and where that is, s from the R peak: where either has the wave."""
    for part, waves in _PARTS.items():
        chosen = np.ix_([0, shape], waves)
        about = np.stack([table[chosen] for table in (heart.angle, heart.height, heart.width)])
        if not np.array_equal(about[:, 0], about[:, 1]):
            angle, height, width = about
            angle = np.where(height == 0, np.nan, angle)
            yield (
                part,
                float(np.nanmin(angle - _REACH * width) / heart.velocity),
                float(np.nanmax(angle + _REACH * width) / heart.velocity),
            )


def _add_noise(signal: np.ndarray, heart: Heart, rng: np.random.Generator) -> None:
    """Baseline wander, mains hum, a little muscle noise and the flicker of atria that fibrillate, all along."""
    time = np.arange(len(signal)) / RATE_HZ
    for frequency, size in ((rng.uniform(0.15, 0.35), 0.15), (rng.uniform(0.02, 0.1), 0.2)):
        signal += rng.uniform(0.3, 1.0) * size * np.sin(2 * np.pi * (frequency * time + rng.random()))
    signal += rng.uniform(0.0, 0.03) * np.sin(2 * np.pi * rng.choice([50.0, 60.0]) * time)
    signal += np.exp(rng.uniform(np.log(0.005), np.log(0.08))) * rng.standard_normal(len(signal))
    if heart.fibrillates:
        # Neither its frequency nor its size is steady.
        phase = np.cumsum(rng.uniform(*_FLICKER_HZ) / RATE_HZ + rng.normal(0, 0.004, len(signal)))
        signal += _FLICKER_MV * np.sin(2 * np.pi * phase)


def _disturb(signal: np.ndarray, kind: str, where: slice, rng: np.random.Generator) -> None:
    """Trembling muscles, or electrodes that fell off: the recorder shows nothing, or its limit."""
    if kind == "noise":
        signal[where] += _NOISY_MV * rng.standard_normal(where.stop - where.start)
    else:
        signal[where] = rng.choice([0.0, _RAIL_MV])
