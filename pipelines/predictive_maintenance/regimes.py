"""Operating regimes: groups of settings that a fleet is run at, found on training rows alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

# A clear gap between all groups. One cloud cut in pieces has 0.3 to 0.77, from uniform to heavy-tailed ones; six
# regimes spaced as those of a turbofan have over 0.99 (2026-11).
_MIN_SILHOUETTE = 0.8
_MAX_REGIMES = 10
# A group of fewer rows than this share is outliers, and too small for statistics of its own.
_MIN_SHARE = 0.01
# Rows that decide how many regimes there are; more would not show a gap any clearer.
_NUM_JUDGED = 2000
# Settings this far beyond nearly all of training, as a multiple of their distance, are new; but not what is nearer
# than this share of the way to the next centre, or to `_ALONE` standard units where there is none.
_MARGIN, _NEARLY_ALL = 2.0, 0.999
_NEAR, _ALONE = 0.25, 4.0
# A setting that never changed counts as changed from 1 % on.
_CONSTANT, _CONSTANT_SCALE = 1e-6, 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Regimes:
    """Centres of shape (regimes, settings) in standard units, the largest regime first.

    mean and scale of shape (settings,) make the standard units; reach of shape (regimes,) is the distance from the
    centre within which settings clearly belong to it. One regime where there is nothing to tell apart.
    """

    mean: np.ndarray
    scale: np.ndarray
    centres: np.ndarray
    reach: np.ndarray

    @classmethod
    def fit(cls, settings: np.ndarray, seed: int) -> Self:
        """From training rows of shape (rows, settings); rows with a missing setting do not take part.

        As many groups as k-means separates best (silhouette), or one where none is separated clearly: settings that
        merely scatter, or that vary without gaps, make no regimes.
        """
        complete = settings[~np.isnan(settings).any(axis=1)].astype(np.float64)
        if not settings.shape[1] or not len(complete):
            return cls._nothing_to_tell(settings.shape[1])
        mean, deviation = complete.mean(axis=0), complete.std(axis=0)
        varies = deviation > _CONSTANT * np.maximum(np.abs(mean), _CONSTANT)
        scale = np.where(varies, deviation, np.maximum(np.abs(mean) * _CONSTANT_SCALE, _CONSTANT))
        standard = np.where(varies, (complete - mean) / scale, 0.0)
        rng = np.random.default_rng(seed)
        some = standard if len(standard) <= _NUM_JUDGED else rng.choice(standard, _NUM_JUDGED, replace=False)
        centres = _separated(some, seed) if varies.any() else None
        if centres is None:
            centres = np.zeros((1, settings.shape[1]))
        nearest, distance = _nearest(standard, centres)
        order = np.argsort(-np.bincount(nearest, minlength=len(centres)), kind="stable")
        reach = [_MARGIN * np.quantile(distance[nearest == number], _NEARLY_ALL) for number in order]
        return cls(mean, scale, centres[order], np.array(reach))

    @classmethod
    def _nothing_to_tell(cls, num_settings: int) -> Self:
        nothing = np.zeros(num_settings)
        return cls(nothing, np.ones(num_settings), nothing[None, :], np.array([np.inf]))

    @property
    def num_regimes(self) -> int:
        return len(self.centres)

    def assign(self, settings: np.ndarray) -> np.ndarray:
        """The nearest regime of each row, int64, by the settings that are there; the largest where none is."""
        return _nearest((settings - self.mean) / self.scale, self.centres)[0]

    def is_ambiguous(self, settings: np.ndarray) -> np.ndarray:
        """Rows of which a setting is missing so that several regimes fit what is left, bool."""
        standard = (settings - self.mean) / self.scale
        fitting = _distances(standard, self.centres) <= self.reach
        ambiguous: np.ndarray = np.isnan(settings).any(axis=1) & (fitting.sum(axis=1) > 1)
        return ambiguous

    def is_unseen(self, settings: np.ndarray) -> np.ndarray:
        """Rows run as nearly no training row was, bool: what is said of them is extrapolated.

        A regime may be so narrow that a slightly worn actuator leaves it: a quarter of the way to the next is near.
        """
        nearest, distance = _nearest((settings - self.mean) / self.scale, self.centres)
        unseen: np.ndarray = distance > np.maximum(self.reach, _NEAR * _ways_to_next(self.centres))[nearest]
        return unseen

    def to_json(self) -> dict[str, Any]:
        """Lists of numbers; a reach without bound is null, which JSON can hold."""
        reach = [float(one) if np.isfinite(one) else None for one in self.reach]
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "scale", "centres")}
        return {**arrays, "reach": reach}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        mean, scale = (np.array(document[name], dtype=np.float64) for name in ("mean", "scale"))
        reach = np.array([np.inf if one is None else one for one in document["reach"]])
        centres = np.array(document["centres"], dtype=np.float64).reshape(len(reach), len(mean))
        return cls(mean, scale, centres, reach)


def _separated(rows: np.ndarray, seed: int) -> np.ndarray | None:
    """Centres of the best separated groups of rows; None where one cloud is all there is."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import pairwise_distances, silhouette_score
    from threadpoolctl import threadpool_limits

    most = min(_MAX_REGIMES, len(np.unique(rows, axis=0)), len(rows) - 1)
    best, found = _MIN_SILHOUETTE, None
    # Threads that wait for each other take longer than so few rows, where other processes keep the cores busy.
    with threadpool_limits(1):
        distances = pairwise_distances(rows)
        for num_groups in range(2, most + 1):
            means = KMeans(num_groups, n_init=5, random_state=seed).fit(rows)
            if np.bincount(means.labels_).min() < max(2, _MIN_SHARE * len(rows)):
                continue
            silhouette = silhouette_score(distances, means.labels_, metric="precomputed")
            if silhouette > best:
                best, found = silhouette, means.cluster_centers_
    return found


def _nearest(standard: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest centre of each row and the distance to it."""
    distances = _distances(standard, centres)
    nearest: np.ndarray = distances.argmin(axis=1)
    return nearest, distances.min(axis=1)


def _distances(standard: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Distance of each row to each centre over the settings that are there, of shape (rows, centres)."""
    return np.stack([np.sqrt(np.nansum((standard - centre) ** 2, axis=1)) for centre in centres], axis=1)


def _ways_to_next(centres: np.ndarray) -> np.ndarray:
    """Distance of each centre to the nearest other one; a few standard units for a single one."""
    if len(centres) == 1:
        return np.full(1, _ALONE)
    distances = np.sqrt(((centres[:, None] - centres[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distances, np.inf)
    nearest: np.ndarray = distances.min(axis=1)
    return nearest
