"""Images of one scene under several names: frames of one video, copies, re-encoded or scaled ones.

Found among all pairs of grey thumbnails of 24 x 24 values: a perceptual hash (signs of the low frequencies of the
cosine transform, Zauner 2010) must nearly agree, and the thumbnails must correlate. Both are matrix products, in blocks
of bounded memory. Correlation alone takes two dark images with a bright middle for one.

In the train and validation folders of Kvasir-SEG six pairs correlate by 0.95 or more. Of those that were looked at, two
(0.956, 0.975) show the same scene and one (0.951) does not, nor do three below 0.95. A wrong pair costs one training
image.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn

_LOW = 8
_MAX_HASH_DISTANCE = 0.2
_ROWS_AT_A_TIME = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """first < second: positions of images, int64 of shape (pairs,); correlation: float64, of their thumbnails."""

    first: np.ndarray
    second: np.ndarray
    correlation: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def find(thumbnails: np.ndarray, min_correlation: float, *, turned: bool = False) -> Pairs:
    """Pairs of near-duplicates among thumbnails of shape (images, 24, 24), ordered by position.

    turned: find copies that are mirrored or turned by right angles, too; eight times the work. Images of one value
    are duplicates of nothing.
    """
    best: dict[tuple[int, int], float] = {}
    own_bits, own_levels = _hashes(thumbnails), _levels(thumbnails)
    for view in _views(thumbnails) if turned else [thumbnails]:
        bits, levels = _hashes(view), _levels(view)
        for start in range(0, len(thumbnails), _ROWS_AT_A_TIME):
            rows = slice(start, start + _ROWS_AT_A_TIME)
            correlation = own_levels[rows] @ levels.T
            distance = 0.5 - 0.5 * (own_bits[rows] @ bits.T) / bits.shape[1]
            near = (correlation >= min_correlation) & (distance <= _MAX_HASH_DISTANCE)
            for row, second in np.argwhere(near):
                first = int(row) + start
                if first < second:
                    pair = (first, int(second))
                    best[pair] = max(best.get(pair, 0.0), float(correlation[row, second]))
    pairs = sorted(best)
    places = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Pairs(places[:, 0], places[:, 1], np.array([best[pair] for pair in pairs]))


def _views(thumbnails: np.ndarray) -> list[np.ndarray]:
    """All eight ways to lay down a square."""
    turns = [np.rot90(thumbnails, times, axes=(1, 2)) for times in range(4)]
    return turns + [view[:, :, ::-1] for view in turns]


def _levels(thumbnails: np.ndarray) -> np.ndarray:
    """Of mean 0 and length 1, float32 of shape (images, values): products of two are correlations."""
    values = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    centred = values - values.mean(axis=1, keepdims=True)
    levels: np.ndarray = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    return levels


def _hashes(thumbnails: np.ndarray) -> np.ndarray:
    """Bits as -1 and 1, float32 of shape (images, 63)."""
    spectrum = dctn(thumbnails.astype(np.float32), axes=(1, 2))[:, :_LOW, :_LOW].reshape(len(thumbnails), -1)[
        :, 1:
    ]
    return np.where(spectrum > 0, np.float32(1), np.float32(-1))
