"""How shares, posts and words are written where people read them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.publishing.blocks import show

READERS = (
    "For insight and brand teams who watch what is said about something, and for the data scientists who answer for "
    "the count."
)
NOT_ABOUT_PEOPLE = "It counts posts; it does not judge those who wrote them."
ALL_POSTS = "All posts"
# A report is read, not searched: of longer posts the beginning is shown.
_MOST_SHOWN = 400


def share(value: float | None, digits: int = 1) -> str:
    """A share as `12.3 %`; an en dash for none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def between(low: float | None, high: float | None, digits: int = 1) -> str:
    """An interval of shares as `12.3 to 15.6 %`; nothing where there is none."""
    if low is None or high is None:
        return ""
    return f"{100 * low:.{digits}f} to {share(high, digits)}"


def points(value: float) -> str:
    """A difference of shares as `+1.2 points`."""
    return f"{_signed(value)} points"


def points_between(low: float, high: float) -> str:
    """An interval of differences of shares as `−0.3 to +1.2`."""
    return f"{_signed(low)} to {_signed(high)}"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def move_sentence(move: Mapping[str, Any], label: str) -> str:
    """How a share moved, `delivery: 12.0 % negative (8.1 to 17.2 %), then 31.0 % (25.4 to 38.0 %)`; see
    `periods.moved`."""
    first, last = (
        (share(row["share"]), between(row["share_low"], row["share_high"]))
        for row in (move["first"], move["last"])
    )
    name = ALL_POSTS if move["topic"] is None else move["topic"]
    return f"{name}: {first[0]} {label} ({first[1]}) at first, {last[0]} ({last[1]}) at last"


def number(value: float) -> str:
    """A logit as `1.2`: a digit after the point, also where it is next to nothing."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")


def post_sentence(post: Mapping[str, Any]) -> str:
    """What was said of a post, how sure, and what people said. post: see `word_gallery.shown`."""
    said = "people agree" if post["label"] == post["truth"] else f"people said {post['truth']}"
    words = " · ".join(post["deciding_words"]) or "none"
    return (
        f"Given {post['label']}, probability {show(post['probability'], 2)}; {said}. Deciding words: {words}. Margin "
        f"of the label: {number(post['base'])} without words, {number(post['output'])} with them."
    )


def marked_pieces(
    text: str, spans: Sequence[Sequence[int]], contributions: Sequence[float], most: int = _MOST_SHOWN
) -> list[tuple[str, float]]:
    """A post in pieces with their weights, -1 to 1: the strongest word of the post has 1, what is between words 0.

    Of a post of more than `most` characters its beginning.
    """
    strongest = max(map(abs, contributions), default=0.0) or 1.0
    return list(_pieces(text, spans, [value / strongest for value in contributions], most))


def _pieces(
    text: str, spans: Sequence[Sequence[int]], weights: Sequence[float], most: int
) -> Iterator[tuple[str, float]]:
    at = 0
    for (begin, end), weight in zip(spans, weights, strict=True):
        if end > most:
            yield text[at:most] + "…", 0.0
            return
        if begin > at:
            yield text[at:begin], 0.0
        yield text[begin:end], weight
        at = end
    if at < len(text):
        yield text[at:], 0.0
