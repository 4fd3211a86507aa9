"""How classes, moments and beats are written where people read them."""

from collections.abc import Mapping
from typing import Any

from shared.publishing.blocks import show

CLASS_TITLES = {
    "N": "Normal",
    "S": "Supraventricular",
    "V": "Ventricular",
    "F": "Fusion",
    "Q": "Unclassifiable",
}
READERS = (
    "For technicians and clinical engineers who review Holter and event recordings, and for researchers: which beats "
    "to look at first."
)
NOT_A_MEDICAL_DEVICE = (
    "Not a medical device. It was not approved for diagnosis, monitoring or treatment; people who can read an ECG "
    "decide."
)


def moment(seconds: float) -> str:
    """A time since the recording began, as `1:02:03.4` or `2:03.4`."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02d}.{rest % 10}"


def share(value: float | None, digits: int = 1) -> str:
    """A share as `1.2 %`; an en dash for none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def pieces(beat: Mapping[str, Any], *, rate_hz: int, before: int, segment: int) -> dict[str, float]:
    """What each piece of an explained beat adds to its score, by where it is from the R peak, and last its rhythm.

    beat, rate_hz, before and segment: see `explain.explain_test`.
    """
    gradients = beat["gradients"]
    edges = [round((at - before) * 1000 / rate_hz) for at in range(0, len(gradients) + 1, segment)]
    sums = [sum(gradients[at : at + segment]) for at in range(0, len(gradients), segment)]
    named = {
        f"{_ms(first)} to {_ms(last)} ms": value
        for first, last, value in zip(edges, edges[1:], sums, strict=False)
    }
    return named | {"earliness": float(beat["rhythm_gradient"])}


def _ms(value: int) -> str:
    return f"{value:+d}".replace("-", "−") if value else "0"


def beat_sentence(beat: Mapping[str, Any]) -> str:
    """One beat: where it is, what was marked, how it scores and why."""
    marked = CLASS_TITLES.get(beat["beat_class"] or "", "not marked").lower()
    verb = "flagged" if beat["flagged"] else "not flagged"
    leads = "its rhythm" if beat["rhythm"] > beat["shape"] else "its shape"
    return (
        f"{beat['record']} at {moment(beat['beat_time'])}, marked {marked}: score {show(beat['score'], 1)}, {verb} "
        f"(threshold {show(beat['threshold'], 1)}; p = {show(beat['p_value'], 4)}), mostly by {leads}"
    )
