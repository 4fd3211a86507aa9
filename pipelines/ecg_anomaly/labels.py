"""Beat symbols of WFDB annotations and the five classes of ANSI/AAMI EC57.

The mapping is that of de Chazal, O'Dwyer and Reilly (2004), "Automatic classification of heartbeats using ECG
morphology and heartbeat interval features", table II, with the symbols that other PhysioNet sets add.
"""

from collections.abc import Sequence

import numpy as np

CLASSES = ("N", "S", "V", "F", "Q")
NORMAL, SUPRAVENTRICULAR, VENTRICULAR, FUSION = range(4)
UNKNOWN = -1
_SYMBOLS = {
    "N": ("N", "L", "R", "B", "e", "j"),
    "S": ("A", "a", "J", "S", "n"),
    "V": ("V", "E", "r"),
    "F": ("F",),
    # Paced beats and fusions of paced and normal ones count as unclassifiable.
    "Q": ("/", "f", "Q", "?"),
}
_CODE = {symbol: CLASSES.index(name) for name, symbols in _SYMBOLS.items() for symbol in symbols}


def class_codes(symbols: Sequence[str]) -> np.ndarray:
    """Position of each symbol's class in `CLASSES`, int8 of shape (symbols,); UNKNOWN for what marks no beat."""
    return np.array([_CODE.get(symbol, UNKNOWN) for symbol in symbols], dtype=np.int8)


def class_counts(codes: np.ndarray) -> dict[str, int]:
    """Beats of each class; those of unknown class are left out."""
    counts = np.bincount(codes[codes >= 0], minlength=len(CLASSES))
    return dict(zip(CLASSES, counts.tolist(), strict=True))


def class_name(code: int) -> str | None:
    """Letter of a class, None for a beat of unknown class."""
    return CLASSES[code] if code >= 0 else None
