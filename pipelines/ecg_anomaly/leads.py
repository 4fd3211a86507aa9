"""Which signal of a file is read, and its values in millivolts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.contracts.document import did_you_mean
from shared.errors import RequestError

_MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """One lead of a file: float32 of shape (samples,), mV, NaN where there is none; samples per second."""

    lead: str
    rate_hz: float
    signal: np.ndarray


def choose_lead(names: Sequence[str], lead: str | None, default: str) -> int:
    """Position of the lead asked for; without one, of the default where it is there, else of the first.

    Names are compared without regard to case. Raises RequestError for a lead that the file does not have.
    """
    folded = [name.strip().casefold() for name in names]
    wanted = (lead or default).strip().casefold()
    if wanted in folded:
        return folded.index(wanted)
    if lead is None:
        return 0
    raise RequestError(
        f"Expected the lead {lead}{did_you_mean(lead, names)}. Received a file with {', '.join(names[:20])}."
    )


def to_millivolts(values: np.ndarray, unit: str) -> np.ndarray:
    """Float32 of the same shape. Raises RequestError for a unit that is no voltage."""
    factor = _MILLIVOLTS.get(unit.strip().casefold())
    if factor is None:
        raise RequestError(
            f"Expected a voltage (mV, uV, V). Received the unit {unit!r}: choose another lead."
        )
    return (values * np.float32(factor)).astype(np.float32, copy=False)
