"""The structures that masks show: their names, and the values that stand for them in files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from shared.errors import RequestError

MAX_STRUCTURES = 200
_MAX_VALUE = 65_535
_UNDECLARED = 255
_NUM_NAMED = 8


@dataclass(frozen=True, slots=True)
class Labels:
    """Structures in their order: number 1 is the first one, 0 is the background.

    values: for each structure the values that mean it in a file, usually one.
    """

    names: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, structures: Mapping[str, int]) -> Self:
        """Raises RequestError for names or values that are missing, repeated or out of range."""
        names, values = tuple(structures), tuple(structures.values())
        good = 1 <= len(names) <= MAX_STRUCTURES and len(set(values)) == len(values)
        if (
            not good
            or not all(name.strip() for name in names)
            or not all(0 < v <= _MAX_VALUE for v in values)
        ):
            raise RequestError(
                f"data.structures: Expected 1 to {MAX_STRUCTURES} names, each with a value of its own from 1 to "
                f"{_MAX_VALUE}. Received {dict(structures)}."
            )
        return cls(names, tuple((value,) for value in values))

    @classmethod
    def binary(cls, name: str = "structure") -> Self:
        """One structure, as masks without a declaration have it."""
        return cls((name,), ((1, 255),))

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Numbers of the structures, uint8 of the shape of `values`, which come from a file.

        Raises RequestError for values that are not whole or not declared.
        """
        whole = values if values.dtype.kind in "iub" else _as_whole(values)
        inside = bool(whole.size) and int(whole.min()) >= 0 and int(whole.max()) <= _MAX_VALUE
        if not inside:
            raise self._undeclared(np.unique(whole))
        numbers = np.full(int(whole.max()) + 1, _UNDECLARED, dtype=np.uint8)
        numbers[0] = 0
        for number, meant in enumerate(self.values, start=1):
            numbers[[value for value in meant if value < len(numbers)]] = number
        encoded: np.ndarray = numbers[whole.astype(np.uint16, copy=False)]
        if (encoded == _UNDECLARED).any():
            raise self._undeclared(np.unique(whole[encoded == _UNDECLARED]))
        return encoded

    def decode(self, numbers: np.ndarray, *, brightest: bool) -> np.ndarray:
        """The values that stand for structures in a file, uint8 or uint16.

        brightest: of several values that mean the same, the one that a viewer shows best.
        """
        choose = max if brightest else min
        values = np.array([0, *(choose(meant) for meant in self.values)])
        decoded: np.ndarray = values.astype(np.uint8 if values.max() <= 255 else np.uint16)[numbers]
        return decoded

    def to_json(self) -> dict[str, Any]:
        return {"names": list(self.names), "values": [list(meant) for meant in self.values]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(tuple(document["names"]), tuple(tuple(meant) for meant in document["values"]))

    def _undeclared(self, found: np.ndarray) -> RequestError:
        declared = ", ".join(
            f"{' or '.join(map(str, meant))} ({name})"
            for name, meant in zip(self.names, self.values, strict=True)
        )
        return RequestError(
            f"Expected masks of 0 and {declared}. Received {', '.join(map(str, found[:_NUM_NAMED]))}: declare what "
            "they mean with data.structures=[NAME=VALUE, ...]."
        )


def _as_whole(values: np.ndarray) -> np.ndarray:
    """Labels that a program stored as floats."""
    if not np.isfinite(values).all() or (np.rint(values) != values).any():
        raise RequestError("Expected whole numbers in a mask. Received fractions: is it a probability map?")
    return values.astype(np.int64)
