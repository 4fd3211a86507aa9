"""Posts that say the same: copies, retweets, texts with another user or link, and texts with a few words changed.

Two posts are copies when their keys are equal: letters, digits and emoji in lower case, without users, links, marks and
what a retweet puts in front. They are near-duplicates when the runs of five characters in their keys overlap enough
(Jaccard). Those are found by MinHash (Broder 1997) in bands (Indyk and Motwani 1998): posts that agree in a band are
compared for certain, but each only with its neighbour and with the first of its bucket, so that the work grows with the
posts, not with their pairs, however often a text was copied.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipelines.social_sentiment.config import TextConfig
from pipelines.social_sentiment.text import prepare

_TOKENS = r"\[(?:USER|URL)\]|\bhttps?\b"
_RETWEET = r"^\W*rt\b"
# So and Mn: emoji and their presentation; Sk: skin tones.
_SILENT = r"[^\p{L}\p{M}\p{N}\p{So}\p{Sk}]+"
_RUN_LENGTH = 5
# Finds 99 % of the pairs of similarity 0.7, and 28 % of those of 0.3, which the comparison then refuses.
_NUM_BANDS, _ROWS_A_BAND = 12, 3
# Fewer hashes agree than this below the limit in one of a thousand pairs that reach it.
_NUM_DEVIATIONS = 3.0
_BLOCK_POSTS = 1 << 13
_BLOCK_PAIRS = 1 << 14
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The group of each post, int64 of shape (posts,), numbered from 0 by first member.

    copies: of posts with equal keys. near: of near-duplicates, chains of them included; copies are in one group.
    """

    copies: np.ndarray
    near: np.ndarray


def group_posts(texts: pl.Series, near_duplicate: float) -> Groups:
    """Groups of posts that say the same. near_duplicate: least similarity of keys, 0 to 1; at 1 copies only.

    Memory: 4 bytes for each character of all keys, 150 for each key, and what a block of keys or pairs takes.
    """
    keys = duplicate_keys(texts)
    distinct = keys.unique(maintain_order=True)
    place = pl.DataFrame({"key": distinct, "place": np.arange(len(distinct))})
    copies = keys.to_frame("key").join(place, on="key", how="left", maintain_order="left")["place"].to_numpy()
    if near_duplicate >= 1 or len(distinct) < 2:
        return Groups(copies, copies)
    return Groups(copies, _near(_Runs.of(distinct), near_duplicate)[copies])


def duplicate_keys(texts: pl.Series) -> pl.Series:
    """What a post and its copies have in common; the text in brackets where nothing else is left."""
    prepared = pl.Series("key", prepare(texts, TextConfig()), dtype=pl.String)
    keys = (
        prepared.str.replace_all(_TOKENS, " ")
        .str.to_lowercase()
        .str.replace(_RETWEET, "")
        .str.replace_all(_SILENT, "")
    )
    return keys.zip_with(keys != "", "[" + prepared + "]")


def connected(num_nodes: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Group of each node when pairs (first, second) belong together, int64, numbered by first member."""
    edges = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(num_nodes, num_nodes))
    _, found = connected_components(edges, directed=False)
    _, members, group = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(members))[group].astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Hashes of the runs of all keys, uint32, each once a key and ascending in it; where those of each key begin."""

    hashes: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, keys: pl.Series) -> "_Runs":
        blocks = [_run_hashes(keys.slice(start, _BLOCK_POSTS)) for start in range(0, len(keys), _BLOCK_POSTS)]
        counts = np.concatenate([count for _, count in blocks])
        return cls(np.concatenate([hashes for hashes, _ in blocks]), np.concatenate([[0], np.cumsum(counts)]))

    @property
    def num_keys(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> np.ndarray:
        """Different runs of each key."""
        return np.diff(self.offsets)

    def gather(self, keys: np.ndarray) -> np.ndarray:
        """The runs of some keys, uint64: the position in `keys` in the high half, so that they ascend."""
        counts = self.counts[keys]
        owner = np.repeat(np.arange(len(keys)), counts)
        place = np.arange(len(owner)) + np.repeat(self.offsets[keys] - (np.cumsum(counts) - counts), counts)
        return (owner.astype(np.uint64) << np.uint64(32)) | self.hashes[place]


def _run_hashes(keys: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the runs of each key and their numbers. A run begins at each character and may reach into padding."""
    padding = "\0" * (_RUN_LENGTH - 1)
    codes = np.frombuffer((padding.join(keys) + padding).encode("utf-32-le"), dtype=np.uint32)
    num_starts = len(codes) - _RUN_LENGTH + 1
    mixed = np.zeros(num_starts, dtype=np.uint64)
    for place in range(_RUN_LENGTH):
        mixed = (mixed + codes[place : place + num_starts]) * _MULTIPLIER
        mixed ^= mixed >> np.uint64(29)
    starts = np.flatnonzero(codes[:num_starts])
    owner = np.repeat(np.arange(len(keys), dtype=np.uint64), keys.str.len_chars().to_numpy())
    runs = (owner << np.uint64(32)) | (mixed[starts] >> np.uint64(32))
    runs.sort()  # and not np.unique, whose hash table takes fourteen times as long (NumPy 2.3)
    runs = runs[np.append(True, runs[1:] != runs[:-1])[: len(runs)]]
    counts = np.bincount((runs >> np.uint64(32)).astype(np.int64), minlength=len(keys))
    return runs.astype(np.uint32), counts


def _near(runs: _Runs, near_duplicate: float) -> np.ndarray:
    """Group of each key. Pairs that an earlier band has joined are not compared: near-duplicates agree in many."""
    signatures = _signatures(runs)
    group = np.arange(runs.num_keys)
    edges = np.zeros((2, 0), dtype=np.int64)
    for band in range(_NUM_BANDS):
        rows = slice(band * _ROWS_A_BAND, (band + 1) * _ROWS_A_BAND)
        first, second = _candidates(signatures[:, rows])
        apart = group[first] != group[second]
        first, second = first[apart], second[apart]
        starts = range(0, len(first), _BLOCK_PAIRS)
        blocks = [
            (first[start : start + _BLOCK_PAIRS], second[start : start + _BLOCK_PAIRS]) for start in starts
        ]
        pairs = [_similar(runs, signatures, *block, near_duplicate) for block in blocks]
        edges = np.concatenate([edges, *pairs], axis=1)
        group = connected(runs.num_keys, edges[0], edges[1])
    return group


def _similar(
    runs: _Runs, signatures: np.ndarray, first: np.ndarray, second: np.ndarray, near_duplicate: float
) -> np.ndarray:
    """Those of the pairs that are similar enough, of shape (2, pairs); of the hopeless ones the runs are not read."""
    agreement = (signatures[first] == signatures[second]).mean(axis=1)
    deviation = np.sqrt(near_duplicate * (1 - near_duplicate) / signatures.shape[1])
    hopeful = agreement >= near_duplicate - _NUM_DEVIATIONS * deviation
    first, second = first[hopeful], second[hopeful]
    return np.stack([first, second])[:, _similarity(runs, first, second) >= near_duplicate]


def _signatures(runs: _Runs) -> np.ndarray:
    """The least of each of some hash functions over the runs of each key, uint32 of shape (keys, functions)."""
    functions = np.random.default_rng(0).integers(
        1, 1 << 63, size=(_NUM_BANDS * _ROWS_A_BAND, 2), dtype=np.uint64
    )
    least = np.empty((runs.num_keys, len(functions)), dtype=np.uint32)
    for start in range(0, runs.num_keys, _BLOCK_POSTS):
        offsets = runs.offsets[start : start + _BLOCK_POSTS + 1]
        hashes = runs.hashes[offsets[0] : offsets[-1]].astype(np.uint64)
        for number, (factor, shift) in enumerate(functions):
            # the high half of a product with an odd factor (Dietzfelbinger et al. 1997)
            values = (hashes * (factor | np.uint64(1)) + shift) >> np.uint64(32)
            smallest = np.minimum.reduceat(values, offsets[:-1] - offsets[0])
            least[start : start + len(smallest), number] = smallest
    return least


def _candidates(band: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of keys that agree in a band, of shape (keys, rows): neighbours in a bucket, and its first with each."""
    mixed = np.zeros(len(band), dtype=np.uint64)
    for row in band.T:
        mixed = (mixed + row) * _MULTIPLIER
        mixed ^= mixed >> np.uint64(29)
    order = np.argsort(mixed, kind="stable")
    is_same = np.concatenate([[False], mixed[order][1:] == mixed[order][:-1]])
    bucket = np.maximum.accumulate(np.where(is_same, 0, np.arange(len(band))))
    later = np.flatnonzero(is_same)
    not_first = later[bucket[later] != later - 1]
    first = np.concatenate([order[later - 1], order[bucket[not_first]]])
    return first, np.concatenate([order[later], order[not_first]])


def _similarity(runs: _Runs, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Jaccard similarity of pairs of keys, float64 of shape (pairs,)."""
    both = np.concatenate([runs.gather(first), runs.gather(second)])
    # two ascending halves: a stable sort only merges them
    both.sort(kind="stable")
    shared = both[1:][both[1:] == both[:-1]]
    num_shared = np.bincount((shared >> np.uint64(32)).astype(np.int64), minlength=len(first))
    similarity: np.ndarray = num_shared / (runs.counts[first] + runs.counts[second] - num_shared)
    return similarity
