"""A metric is a value with its interval, unit, direction and sample size: how numbers travel."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# Bootstrap quantiles of a constant statistic can differ from the value in the last bits.
FLOAT_NOISE = 1e-9

BOUNDS = ("value", "low", "high")

# Names whose usual spelling is not "the name with spaces".
SPELLINGS = {
    "roc_auc": "ROC-AUC",
    "auroc": "ROC-AUC",
    "ks": "KS",
    "ece": "ECE",
    "brier": "Brier score",
    "gini": "Gini",
    "rmse": "RMSE",
    "iou": "IoU",
    "hd95": "HD95",
    "macro_f1": "macro F1",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured number.

    `low` and `high` bound the 95 % interval unless the caller states another level; NaN means that none was
    computed. `n` counts the independent units behind the value (rows, or patients, users ... when the rows of
    one unit belong together). An undefined metric has the value NaN and says why in `reason`.

    Raises ValueError when the interval does not hold the value, or an undefined value gives no reason.
    """

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    unit: str = ""
    higher_is_better: bool = True
    n: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        if math.isnan(self.value):
            if not self.reason:
                raise ValueError(f"Expected a reason for the undefined metric {self.name}. Received none.")
            if not (math.isnan(self.low) and math.isnan(self.high)):
                raise ValueError(f"Expected no interval for the undefined metric {self.name}.")
        elif math.isnan(self.low) != math.isnan(self.high):
            raise ValueError(f"Expected both ends of the interval of {self.name} or neither.")
        elif self.has_interval:
            noise = FLOAT_NOISE * max(1.0, abs(self.value))
            if not self.low - noise <= self.value <= self.high + noise:
                raise ValueError(
                    f"Expected low <= value <= high for {self.name}. "
                    f"Received {self.low:g}, {self.value:g}, {self.high:g}."
                )

    @property
    def is_defined(self) -> bool:
        return not math.isnan(self.value)

    @property
    def has_interval(self) -> bool:
        return not math.isnan(self.low)

    @property
    def label(self) -> str:
        """The name as a reader expects it: `test/roc_auc` is "ROC-AUC"."""
        return readable(self.name)

    def format(self) -> str:
        """Return e.g. `0.776 (0.742 to 0.808)` or `12.4 cycles (11.0 to 13.9)`; the width sets the digits."""
        if not self.is_defined:
            return f"undefined ({self.reason})"
        digits = decimals(self.high - self.low if self.has_interval else self.value)
        text = number(self.value, digits) + (f" {self.unit}" if self.unit else "")
        if self.has_interval:
            text += f" ({number(self.low, digits)} to {number(self.high, digits)})"
        return text

    def to_json(self) -> dict[str, Any]:
        """Return the fields without the name (it is the key); what is not finite becomes None."""
        return {
            "value": finite_or_none(self.value),
            "low": finite_or_none(self.low),
            "high": finite_or_none(self.high),
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
            "n": self.n,
        } | ({"reason": self.reason} if self.reason else {})

    @classmethod
    def from_json(cls, name: str, fields: Mapping[str, Any]) -> Self:
        """Rebuild a metric from `to_json`. An undefined one without a reason gets a general one."""
        value, low, high = [math.nan if fields.get(key) is None else float(fields[key]) for key in BOUNDS]
        reason = str(fields.get("reason", "")) or ("not computed" if math.isnan(value) else "")
        facts = str(fields["unit"]), bool(fields["higher_is_better"]), int(fields["n"])
        return cls(name, value, low, high, *facts, reason)


def undefined(name: str, reason: str, *, unit: str = "", higher_is_better: bool = True, n: int = 0) -> Metric:
    """Return a metric that could not be computed, with the reason for it."""
    return Metric(name, math.nan, unit=unit, higher_is_better=higher_is_better, n=n, reason=reason)


def readable(name: str) -> str:
    """Return a metric's or model's name for prose: the part after the last slash, in its usual spelling."""
    stem = name.rsplit("/", 1)[-1]
    return SPELLINGS.get(stem, stem.replace("_", " "))


def decimals(width: float) -> int:
    """Return how many decimals tell the ends of a range of this width apart: two significant digits of it."""
    if not math.isfinite(width) or width == 0:
        return 3
    return min(6, max(0, 1 - math.floor(math.log10(abs(width)))))


def number(value: float, digits: int, *, signed: bool = False) -> str:
    """Return a fixed-point number that is never "-0.000"."""
    rounded = round(value, digits) + 0.0
    return f"{rounded:{'+' if signed and rounded else ''}.{digits}f}"


def finite_or_none(value: float) -> float | None:
    """Return the value as a float, or None where JSON has no number for it."""
    return float(value) if math.isfinite(value) else None
