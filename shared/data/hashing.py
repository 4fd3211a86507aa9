"""A hash of table cells that stays the same across processes, machines and library releases.

Splits hang on it for years, so it is spelt out here in 64-bit arithmetic instead of borrowed from a library
that may change its own. It is a multilinear hash (Carter and Wegman, 1979: the sum of byte times random
weight, modulo 2^64) followed by the splitmix64 finaliser (Steele, Lea and Flood, 2014). It is not
cryptographic.
"""

import hashlib

import numpy as np
import polars as pl

from shared.errors import RequestError

# Longer cells are replaced by their digest, and rows are taken in blocks: memory stays bounded for any input.
_MAX_CELL_BYTES = 1024
_BLOCK_BYTES = 1 << 22
_NULL = np.uint64(0x9E3779B97F4A7C15)


def hash_cells(values: pl.Series, salt: str) -> np.ndarray:
    """Hash each value to uint64, of shape (n,): values that read the same hash the same whatever their type.

    5, 5.0 and "5" agree, a date and its midnight agree, missing values (null, NaN) agree with each other.
    Raises RequestError for nested types.
    """
    offsets, data = _utf8(_canonical(values))
    seed = int.from_bytes(hashlib.blake2b(salt.encode(), digest_size=8).digest(), "little")
    lengths = np.diff(offsets)
    longest = int(lengths.max(initial=0))
    # Position p of a cell has its own random weight; the length has weight p = 0.
    weights = _finalise(np.uint64(seed) + np.arange(longest + 1, dtype=np.uint64) * _NULL)
    sums = lengths.astype(np.uint64) * weights[0]
    for first, last in _blocks(offsets):
        begin, end = offsets[first], offsets[last]
        positions = np.arange(begin, end) - np.repeat(offsets[first:last], lengths[first:last])
        terms = (data[begin:end].astype(np.uint64) + np.uint64(1)) * weights[1:][positions]
        filled = np.flatnonzero(lengths[first:last])
        if filled.size:
            sums[first + filled] += np.add.reduceat(terms, offsets[first + filled] - begin)
    hashed = _finalise(sums ^ np.uint64(seed))
    hashed[_missing(values)] = _finalise(np.array([np.uint64(seed) ^ _NULL]))[0]
    return hashed


def hash_rows(frame: pl.DataFrame, columns: list[str], salt: str) -> np.ndarray:
    """Hash the content of rows to uint64, of shape (n,). The order of the columns does not matter."""
    combined = np.zeros(frame.height, dtype=np.uint64)
    for column in sorted(columns):
        combined = _finalise(combined * np.uint64(3) + hash_cells(frame[column], f"{salt}\x00{column}"))
    return combined


def _finalise(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _missing(values: pl.Series) -> np.ndarray:
    missing = values.is_null()
    if values.dtype.is_float():
        missing = missing | values.is_nan().fill_null(False)
    return missing.to_numpy()


def _canonical(values: pl.Series) -> pl.Series:
    """The text by which a value is known; a number that is whole reads as an integer."""
    kind = values.dtype
    if kind == pl.Boolean:
        return values.cast(pl.UInt8).cast(pl.String)
    if kind.is_float():
        exact = values.cast(pl.Float64)
        whole = (exact.floor() == exact) & (exact.abs() < 2.0**53)
        bits = pl.Series(exact.fill_null(0.0).to_numpy().view(np.uint64))
        integers = exact.cast(pl.Int64, strict=False).cast(pl.String)
        return integers.zip_with(whole.fill_null(True), "bits:" + bits.cast(pl.String))
    if kind == pl.Date or isinstance(kind, pl.Datetime):
        return values.cast(pl.Datetime("us")).to_physical().cast(pl.String)
    if isinstance(kind, pl.Duration | pl.Time):
        return values.to_physical().cast(pl.String)
    if kind.is_nested() or kind == pl.Object:
        raise RequestError(
            f"Expected plain values in column {values.name!r}. Received {kind}: choose another key column."
        )
    return values.cast(pl.String)


def _utf8(text: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of shape (n + 1,) and bytes of the cells; long cells are digested."""
    if (text.str.len_bytes() > _MAX_CELL_BYTES).any():
        text = pl.Series(
            [
                hashlib.blake2b(cell.encode()).hexdigest()
                if cell and len(cell) * 4 > _MAX_CELL_BYTES
                else cell
                for cell in text
            ],
            dtype=pl.String,
        )
    array = text.fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    cells = np.frombuffer(offsets, dtype=np.int64, count=len(array) + 1, offset=array.offset * 8)
    return cells, np.frombuffer(data or b"", dtype=np.uint8)


def _blocks(offsets: np.ndarray) -> list[tuple[int, int]]:
    """Row ranges of at most about `_BLOCK_BYTES` bytes each."""
    total = int(offsets[-1] - offsets[0])
    marks = offsets[0] + np.arange(0, total + _BLOCK_BYTES, _BLOCK_BYTES)
    edges = np.unique(np.append(np.searchsorted(offsets, marks), len(offsets) - 1))
    edges = edges[edges < len(offsets)]
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
