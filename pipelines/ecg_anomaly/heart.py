"""A made-up heart: when its beats come, of which class they are, and how each kind of them is shaped.

What makes real recordings hard is here on purpose: hearts that are irregular without an ectopic beat (atrial
fibrillation, breathing), wide beats that are normal for their patient (bundle branch block), ventricular beats that
come late or between two others or in runs and have several shapes, atrial beats that come only a little early, and
fusions of normal and ventricular beats.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from pipelines.ecg_anomaly.labels import FUSION, NORMAL, SUPRAVENTRICULAR, VENTRICULAR

P, Q, R, S, T = range(5)
# Angle in degrees, height, width in radians; the defaults of the authors' program ECGSYN.
_ANGLE = np.radians([-70.0, -15.0, 0.0, 15.0, 100.0])
_HEIGHT = np.array([1.2, -5.0, 30.0, -7.5, 0.75])
_WIDTH = np.array([0.25, 0.1, 0.1, 0.1, 0.4])
# How ventricular beats and those of a bundle branch block differ: heights and widths as multiples.
_VENTRICULAR_HEIGHT = np.array([0.0, 0.0, 0.3, 0.5, -1.5])
_VENTRICULAR_WIDTH = np.array([1.0, 1.0, 2.2, 2.0, 1.2])
_BLOCK_HEIGHT = np.array([1.0, 0.3, 0.4, -0.25, -1.0])
_BLOCK_WIDTH = np.array([1.0, 1.3, 1.6, 2.2, 1.0])
_NORMAL_SHAPE, _ATRIAL_SHAPE, _FIRST_VENTRICULAR = range(3)
_FIBRILLATING_SHARE, _BLOCK_SHARE = 0.15, 0.2
# Some hearts have hardly any ectopic beats.
_QUIET_SHARE = 0.25
# Of atrial beats; the P wave of the others looks as usual, so that only their time tells.
_OTHER_P_SHARE = 0.7
_LONGEST_COMPENSATION = 0.8


@dataclass(frozen=True, slots=True)
class _Kind:
    """What may take the place of a sinus beat. share: of beats. beats: class of each, and between which multiples of
    the interval it comes after the one before. is_compensated: the sinus node does not notice, so the next beat comes
    when it would have come anyway."""

    share: float
    beats: tuple[tuple[int, float, float], ...]
    is_compensated: bool = False


_KINDS = (
    _Kind(0.0, ((NORMAL, 1.0, 1.0),)),
    _Kind(0.028, ((VENTRICULAR, 0.55, 0.85),), is_compensated=True),
    _Kind(0.006, ((VENTRICULAR, 0.45, 0.6), (NORMAL, 0.5, 0.6))),
    _Kind(0.006, ((VENTRICULAR, 1.1, 1.6),)),
    _Kind(0.004, ((VENTRICULAR, 0.55, 0.8), (VENTRICULAR, 0.5, 0.75)), is_compensated=True),
    _Kind(
        0.002,
        ((VENTRICULAR, 0.55, 0.8), (VENTRICULAR, 0.5, 0.7), (VENTRICULAR, 0.5, 0.7)),
        is_compensated=True,
    ),
    _Kind(0.008, ((FUSION, 0.9, 1.0),)),
    _Kind(0.03, ((SUPRAVENTRICULAR, 0.7, 0.97),)),
    _Kind(0.004, ((NORMAL, 2.0, 2.0),)),
)
_ATRIAL, _PAUSE = len(_KINDS) - 2, len(_KINDS) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Rhythm:
    """Beats of one recording: moment of each R peak, s; its class; its shape, a row of those of the heart; what comes
    before the time, as a share of the usual interval; arrays of shape (beats,). pauses: between which moments a beat is
    missing, s."""

    moment: np.ndarray
    beat_class: np.ndarray
    shape: np.ndarray
    early: np.ndarray
    pauses: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Heart:
    """mean_rr: s. swing, restless: of the intervals, as shares of the mean; the first with breathing, the second anew
    each beat. shares: of the kinds of beats, (kinds,). angle, height, width: of the five waves of each shape, (shapes,
    5), rad; row 0 is the normal one, row 1 atrial, the others ventricular. often: how often each of these is."""

    mean_rr: float
    fibrillates: bool
    swing: float
    restless: float
    shares: np.ndarray
    angle: np.ndarray
    height: np.ndarray
    width: np.ndarray
    often: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, rng: np.random.Generator) -> Self:
        """The heart of another patient."""
        mean_rr = rng.uniform(0.65, 1.05)
        fibrillates = rng.random() < _FIBRILLATING_SHARE
        num_ventricular = int(rng.integers(1, 4))
        return cls(
            mean_rr,
            fibrillates,
            swing=0.0 if fibrillates else rng.uniform(0.01, 0.09),
            restless=rng.uniform(0.12, 0.22) if fibrillates else rng.uniform(0.01, 0.035),
            shares=_shares(fibrillates, rng),
            **_shapes(mean_rr, fibrillates, num_ventricular, rng),
            often=rng.dirichlet(np.ones(num_ventricular)),
        )

    @property
    def velocity(self) -> float:
        """Of the phase, rad/s."""
        return 2 * np.pi / self.mean_rr

    def beat(self, seconds: float, edge_s: float, rng: np.random.Generator) -> Rhythm:
        """Beats from `edge_s` after the start to as long before the end of a recording."""
        rr = self._sinus_intervals(int(seconds / self.mean_rr * 1.6) + 8, rng)
        kind = _kinds(self.shares, len(rr), rng)
        num_beats = np.array([len(one.beats) for one in _KINDS])[kind]
        slot = np.repeat(np.arange(len(rr)), num_beats)
        place = np.arange(len(slot)) - np.repeat(np.cumsum(num_beats) - num_beats, num_beats)
        classes, low, high = _tables()[:, kind[slot], place]
        share = rng.uniform(low, high)
        beat_class = classes.astype(np.int8)
        interval = share * rr[slot]
        interval[1:] += _compensation(kind, share, slot)[:-1] * interval[1:]
        moment = edge_s + np.cumsum(interval)
        inside = moment < seconds - edge_s
        missing = np.flatnonzero(inside & (kind[slot] == _PAUSE))
        return Rhythm(
            moment[inside],
            beat_class[inside],
            self._shape_of(beat_class, slot, rng)[inside],
            (1 - share)[inside],
            tuple((float(moment[at - 1]), float(moment[at])) for at in missing),
        )

    def _sinus_intervals(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """RR intervals that swing with breathing and blood pressure, or that nothing orders, s."""
        if self.fibrillates:
            return self.mean_rr * rng.lognormal(0, self.restless, num)
        time = self.mean_rr * np.arange(num)
        sizes = {0.1: 0.5, rng.uniform(0.2, 0.3): 1.0}
        swing = sum(
            self.swing * size * np.sin(2 * np.pi * (frequency * time + rng.random()))
            for frequency, size in sizes.items()
        )
        return self.mean_rr * (1 + swing + rng.normal(0, self.restless, num))

    def _shape_of(self, beat_class: np.ndarray, slot: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Beats of a run come from one place and look alike. A fusion has the shape that it is half of."""
        ventricular = _FIRST_VENTRICULAR + rng.choice(len(self.often), slot[-1] + 1, p=self.often)[slot]
        atrial = np.where(rng.random(len(slot)) < _OTHER_P_SHARE, _ATRIAL_SHAPE, _NORMAL_SHAPE)
        shape = np.where(beat_class == SUPRAVENTRICULAR, atrial, _NORMAL_SHAPE)
        return np.where((beat_class == VENTRICULAR) | (beat_class == FUSION), ventricular, shape)


def _shares(fibrillates: bool, rng: np.random.Generator) -> np.ndarray:
    activity = 0.1 if rng.random() < _QUIET_SHARE else 1.0
    shares = np.array([one.share for one in _KINDS]) * activity * rng.lognormal(0, 0.7, len(_KINDS))
    shares[_PAUSE] = _KINDS[_PAUSE].share
    if fibrillates:
        # Atria that fibrillate have no beats of their own, and no regular ones to miss.
        shares[[_ATRIAL, _PAUSE]] = 0.0
    shares[0] = 1 - shares.sum()
    return shares


def _shapes(
    mean_rr: float, fibrillates: bool, num_ventricular: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    # QT follows the square root of the interval (Bazett), as in the paper.
    angle = (_ANGLE + rng.normal(0, 0.04, 5) * (_ANGLE != 0)) * np.sqrt(0.85 / mean_rr)
    height = _HEIGHT * rng.lognormal(0, [0.3, 0.4, 0.1, 0.5, 0.3])
    width = _WIDTH * rng.lognormal(0, 0.1, 5)
    ventricular_angle, ventricular_height, ventricular_width = angle, height.copy(), width.copy()
    if rng.random() < _BLOCK_SHARE:
        height, width = height * _BLOCK_HEIGHT, width * _BLOCK_WIDTH
        angle = angle * np.array([1.0, 1.5, 1.0, 2.2, 1.1])
    if fibrillates:
        height[P] = 0.0
    atrial = angle * np.array([rng.uniform(0.7, 1.2), 1, 1, 1, 1])
    other_p = height * np.array([rng.choice([-0.8, 0.2, 1.8]), 1, 1, 1, 1])
    size = (num_ventricular, 1)
    wide = 1 + (_VENTRICULAR_WIDTH - 1) * rng.uniform(0.6, 1.2, size)
    factor = _VENTRICULAR_HEIGHT * rng.choice([1.0, -1.0], size, p=[0.7, 0.3]) * rng.uniform(0.5, 1.4, size)
    later = ventricular_angle * np.array([1, 1.5, 1, 2.0, 1.15])
    return {
        "angle": np.stack([angle, atrial, *np.tile(later, size)]),
        "height": np.stack([height, other_p, *(ventricular_height * factor)]),
        "width": np.stack([width, width, *(ventricular_width * wide)]),
    }


def _kinds(shares: np.ndarray, num: int, rng: np.random.Generator) -> np.ndarray:
    """What comes in the place of each sinus beat, int64 of shape (num,); never two ectopic ones in a row."""
    kind = rng.choice(len(shares), num, p=shares)
    kind[:3] = kind[-1] = 0
    kind[1:][kind[:-1] > 0] = 0
    return kind


def _tables() -> np.ndarray:
    """Class, lowest and highest multiple of the interval by kind and place, (3, kinds, places)."""
    longest = max(len(one.beats) for one in _KINDS)
    filled = [[*one.beats, *[(NORMAL, 1.0, 1.0)] * (longest - len(one.beats))] for one in _KINDS]
    return np.moveaxis(np.array(filled, dtype=np.float64), 2, 0)


def _compensation(kind: np.ndarray, share: np.ndarray, slot: np.ndarray) -> np.ndarray:
    """After each beat, how much longer the next interval becomes, as a share of it."""
    lost = np.bincount(slot, weights=1 - share)
    is_compensated = np.array([one.is_compensated for one in _KINDS])[kind]
    is_last = np.append(slot[1:] != slot[:-1], True)
    return np.where(is_last, (lost * is_compensated)[slot].clip(0, _LONGEST_COMPENSATION), 0.0)
