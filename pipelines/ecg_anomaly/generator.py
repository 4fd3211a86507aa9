"""Made-up recordings with the truth, by the dynamical ECG model of McSharry, Clifford, Tarassenko and Smith (2003).

"A dynamical model for generating synthetic electrocardiogram signals", IEEE TBME 50(3): the voltage follows
dz/dt = -sum a_k phi_k exp(-phi_k^2 / 2 b_k^2) - z along a limit cycle, with one Gaussian event for each of P, Q, R, S
and T, and RR intervals that swing with breathing (0.25 Hz) and blood pressure (0.1 Hz). The phase is counted from each
R peak at the patient's mean angular velocity, not stretched with every interval: else the QRS complex of an early beat
would become narrow, and its width is what tells ventricular beats. All beats are computed at once.

Beats that are not normal: ventricular (early, wide, no P wave, inverted T wave, full compensatory pause), atrial
(early, ordinary QRS complex, P wave of another shape), and pauses, in which one beat is missing. Electrodes fall off,
and muscles tremble, for some seconds of some recordings.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.signal import lfilter

from pipelines.ecg_anomaly.labels import NORMAL, SUPRAVENTRICULAR, VENTRICULAR
from pipelines.ecg_anomaly.schema import Annotation, Record

RATE_HZ = 360
LEAD = "MLII"
# P, Q, R, S, T: angle in degrees, height, width in radians; the defaults of the authors' program ECGSYN.
_ANGLE = np.radians([-70.0, -15.0, 0.0, 15.0, 100.0])
_HEIGHT = np.array([1.2, -5.0, 30.0, -7.5, 0.75])
_WIDTH = np.array([0.25, 0.1, 0.1, 0.1, 0.4])
# How ventricular and atrial beats differ: heights and widths as multiples.
_VENTRICULAR_HEIGHT = np.array([0.0, 0.0, 0.3, 0.5, -2.0])
_VENTRICULAR_WIDTH = np.array([1.0, 1.0, 2.2, 2.0, 1.2])
_ATRIAL_HEIGHT = np.array([-0.7, 1.0, 1.0, 1.0, 1.0])
_VENTRICULAR_SHARE, _ATRIAL_SHARE, _PAUSE_SHARE = 0.05, 0.03, 0.004
# Some hearts have hardly any ectopic beats.
_QUIET_SHARE = 0.25
_BEFORE_S, _AFTER_S = 0.45, 0.85
_NOISY_MV, _RAIL_MV = 0.25, 5.0
_RESOLUTION_MV = 0.005
_EDGE_S = 0.5
_Event = tuple[str, str, float, float]


@dataclass(frozen=True, slots=True)
class Generated:
    """Recordings with their beats, and what else is true of them.

    truth: one row for each event, of record, kind (noise, lead_off or pause), start and end, s.
    """

    records: tuple[Record, ...]
    truth: pl.DataFrame


def generate(num_patients: int, minutes: float, seed: int) -> Generated:
    """One recording of each patient, in mV at 360 Hz; the same arguments, the same recordings.

    Time and memory grow with the product of both; 20 patients of 5 minutes take under 2 s.
    """
    digits = max(2, len(str(num_patients)))
    records: list[Record] = []
    events: list[_Event] = []
    for number in range(num_patients):
        # A generator for each patient: more patients do not change the first ones.
        rng = np.random.default_rng([seed, number])
        record, happened = _patient(f"patient-{number + 1:0{digits}d}", minutes * 60, rng)
        records.append(record)
        events += happened
    schema = {"record": pl.String, "kind": pl.String, "start": pl.Float64, "end": pl.Float64}
    return Generated(tuple(records), pl.DataFrame(events, schema=schema, orient="row"))


def _patient(name: str, seconds: float, rng: np.random.Generator) -> tuple[Record, list[_Event]]:
    mean_rr = rng.uniform(0.65, 1.05)
    moment, beat_class, pauses = _rhythm(mean_rr, seconds, rng)
    signal = _voltage(moment, beat_class, mean_rr, seconds, rng)
    events: list[_Event] = [(name, "pause", start, end) for start, end in pauses]
    is_seen = np.ones(len(moment), dtype=bool)
    _add_noise(signal, rng)
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
    annotation = Annotation(np.round(moment[is_seen] * RATE_HZ).astype(np.int64), beat_class[is_seen])
    return Record(name, name, LEAD, float(RATE_HZ), stored, annotation), events


def _rhythm(
    mean_rr: float, seconds: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[tuple[float, float]]]:
    """Moments of the R peaks, s, their classes, and between which moments a beat is missing."""
    num = int(seconds / mean_rr * 1.5) + 8
    rr = _sinus_intervals(mean_rr, num, rng)
    ventricular, atrial, pause = _events(num, rng)
    early = rng.uniform(0.5, 0.75, len(ventricular)) * rr[ventricular]
    # The sinus node does not notice: the beat after comes when it would have come anyway.
    rr[ventricular + 1] += rr[ventricular] - early
    rr[ventricular] = early
    rr[atrial] *= rng.uniform(0.65, 0.88, len(atrial))
    rr[pause] *= 2.0
    moment = _EDGE_S + np.cumsum(rr)
    classes = np.full(num, NORMAL, dtype=np.int8)
    classes[ventricular], classes[atrial] = VENTRICULAR, SUPRAVENTRICULAR
    is_inside = moment < seconds - _EDGE_S
    pauses = [(float(moment[at - 1]), float(moment[at])) for at in pause if is_inside[at]]
    return moment[is_inside], classes[is_inside], pauses


def _sinus_intervals(mean_rr: float, num: int, rng: np.random.Generator) -> np.ndarray:
    """RR intervals that swing with breathing and blood pressure, s."""
    time, size = mean_rr * np.arange(num), rng.uniform(0.02, 0.06)
    swing = sum(size * np.sin(2 * np.pi * (frequency * time + rng.random())) for frequency in (0.1, 0.25))
    return mean_rr * (1 + swing + rng.normal(0, 0.02, num))


def _events(num: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which beats are ventricular, which atrial, and before which one is missing; never two in a row."""
    activity = 0.1 if rng.random() < _QUIET_SHARE else rng.uniform(0.5, 2.0)
    bounds = np.cumsum([activity * _VENTRICULAR_SHARE, activity * _ATRIAL_SHARE, _PAUSE_SHARE])
    kind = np.searchsorted(bounds, rng.random(num), side="right")
    is_event = kind < len(bounds)
    is_event[:3] = is_event[-1] = False
    is_event[1:] &= ~is_event[:-1]
    ventricular, atrial, pause = (np.flatnonzero(is_event & (kind == number)) for number in range(3))
    return ventricular, atrial, pause


def _voltage(
    moment: np.ndarray, beat_class: np.ndarray, mean_rr: float, seconds: float, rng: np.random.Generator
) -> np.ndarray:
    """The clean voltage of one patient, mV, float64 of shape (samples,)."""
    velocity = 2 * np.pi / mean_rr
    # QT follows the square root of the interval (Bazett), as in the paper.
    angle = (_ANGLE + rng.normal(0, 0.04, 5) * (_ANGLE != 0)) * np.sqrt(0.85 / mean_rr)
    height = _HEIGHT * rng.lognormal(0, [0.3, 0.4, 0.1, 0.5, 0.3])
    width = _WIDTH * rng.lognormal(0, 0.1, 5)
    is_wide, is_atrial = (beat_class == VENTRICULAR)[:, None], (beat_class == SUPRAVENTRICULAR)[:, None]
    ventricular = _VENTRICULAR_HEIGHT * rng.choice([1.0, -1.0], p=[0.7, 0.3]) * rng.uniform(0.8, 1.4)
    heights = height * np.where(is_wide, ventricular, np.where(is_atrial, _ATRIAL_HEIGHT, 1.0))
    widths = width * np.where(is_wide, _VENTRICULAR_WIDTH, 1.0)
    heights = heights * rng.normal(1, 0.03, heights.shape)
    offsets = np.arange(-round(_BEFORE_S * RATE_HZ), round(_AFTER_S * RATE_HZ))
    nearest = np.round(moment * RATE_HZ).astype(np.int64)
    phase = velocity * ((nearest[:, None] + offsets) / RATE_HZ - moment[:, None])
    push = np.zeros(phase.shape)
    for wave in range(5):
        away = phase - angle[wave]
        push -= heights[:, wave, None] * away * np.exp(-(away**2) / (2 * widths[:, wave, None] ** 2))
    places = nearest[:, None] + offsets
    num_samples = int(seconds * RATE_HZ)
    is_inside = (places >= 0) & (places < num_samples)
    force = np.bincount(places[is_inside], weights=push[is_inside], minlength=num_samples)
    # dz/dt = force - z, exactly over each step.
    decay = np.exp(-1 / RATE_HZ)
    voltage = lfilter([1 - decay], [1, -decay], force)
    peaks = np.abs(voltage[nearest[beat_class == NORMAL]])
    scaled: np.ndarray = voltage * rng.uniform(0.8, 1.6) / np.median(peaks)
    return scaled


def _add_noise(signal: np.ndarray, rng: np.random.Generator) -> None:
    """Baseline wander, mains hum and a little muscle noise, all along."""
    time = np.arange(len(signal)) / RATE_HZ
    for frequency, size in ((rng.uniform(0.15, 0.35), 0.15), (rng.uniform(0.02, 0.1), 0.2)):
        signal += rng.uniform(0.3, 1.0) * size * np.sin(2 * np.pi * (frequency * time + rng.random()))
    signal += rng.uniform(0.0, 0.03) * np.sin(2 * np.pi * rng.choice([50.0, 60.0]) * time)
    signal += rng.uniform(0.005, 0.02) * rng.standard_normal(len(signal))


def _disturb(signal: np.ndarray, kind: str, where: slice, rng: np.random.Generator) -> None:
    """Trembling muscles, or electrodes that fell off: the recorder shows nothing, or its limit."""
    if kind == "noise":
        signal[where] += _NOISY_MV * rng.standard_normal(where.stop - where.start)
    else:
        signal[where] = rng.choice([0.0, _RAIL_MV])
