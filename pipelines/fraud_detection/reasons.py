"""Features in the words of an analyst: what speaks for fraud, what against it, what would have been normal."""

import re
from typing import NamedTuple

import numpy as np

from shared.interpretability.attribution import Attribution

_TITLES = {
    "amount": "amount",
    "during_weekend": "at the weekend",
    "during_night": "at night",
    "hours_since_last": "hours since last payment",
    "amount_to_customer_mean": "amount over customer mean",
}
_OF_WINDOWS = {
    "customer_count_": "customer payments, {days} days",
    "customer_mean_amount_": "customer mean amount, {days} days",
    "terminal_count_": "terminal payments, {days} days",
    "terminal_risk_": "terminal fraud share, {days} days",
}
_OF_CATEGORIES = (
    (re.compile(r"customer_share_of_(.+)"), "customer payments with this {}"),
    (re.compile(r"(.+)_risk_(\d+)d"), "fraud share of this {}, {} days"),
)
_YES_OR_NO = ("during_weekend", "during_night")
_SHARES = re.compile(r"customer_share_of_.+|.+_risk_\d+d")


class Reasons(NamedTuple):
    """Texts for one transaction; None where there is nothing to say."""

    contributing: str | None
    offsetting: str | None
    normal: str | None


def title_of(name: str) -> str:
    """What a feature is called: `customer_count_7d` is "customer payments, 7 days"."""
    for start, title in _OF_WINDOWS.items():
        if name.startswith(start):
            days = name.removeprefix(start).removesuffix("d")
            text = title.format(days=days)
            return text.removesuffix("s") if days == "1" else text
    for pattern, title in _OF_CATEGORIES:
        if found := pattern.fullmatch(name):
            return title.format(*found.groups()).replace("_", " ")
    return _TITLES.get(name, name)


def value_text(name: str, value: float) -> str:
    """A value of a feature with as many digits as it deserves; expected values may lie outside of what can be."""
    if name in _YES_OR_NO:
        return "yes" if value >= 0.5 else "no"
    value = max(value, 0.0)
    if _SHARES.fullmatch(name):
        return f"{min(value, 1.0):.0%}"
    if "count" in name:
        return f"{value:.0f}"
    return f"{value:,.2f}" if value < 1000 else f"{value:,.0f}"


def reasons_of(
    values: np.ndarray, normal: np.ndarray, attribution: Attribution, *, num_features: int
) -> list[Reasons]:
    """Texts for each row. values and normal: of the features, in their units, of shape (rows, features)."""
    place = {name: at for at, name in enumerate(attribution.names)}

    def listed(found: list[tuple[str, float]], shown: np.ndarray) -> str | None:
        parts = [f"{title_of(name)}: {value_text(name, shown[place[name]])}" for name, _ in found]
        return "; ".join(parts) or None

    return [
        Reasons(listed(up, now), listed(down, now), listed(up, usual))
        for up, down, now, usual in zip(
            attribution.top(num_features, "up"),
            attribution.top(num_features, "down"),
            values,
            normal,
            strict=True,
        )
    ]
