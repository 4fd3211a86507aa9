"""Labels for posts that nobody has read, from the emoji and emoticons that their authors wrote.

Go, Bhayani, Huang (2009), "Twitter sentiment classification using distant supervision". What gives the label is taken
out of the text, because a model would learn nothing else from it. Such labels are no gold: they train, and never test.
"""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from pipelines.social_sentiment.schema import Posts
from shared.errors import RequestError

IS_WEAK = "is_weak"
NEGATIVE, POSITIVE = "negative", "positive"
# Those that nearly nobody writes in the other mood. Irony, tears of laughter and pleading are in neither.
_POSITIVE = "😀😃😄😁😊😇🙂😍🥰😘😻😋🤗🤩🥳👍👏🙌💪🎉🎊💖💗💓💞💕💝💘💚💙💛🧡💜😺☺♥❤"
_NEGATIVE = "😠😡🤬😞😔😟😕🙁☹😣😖😫😩😢😭😤😒😑🤮🤢🤦👎💔😾😿😰😨😱"
_HAPPY = r"[:=;][\-o']?[)\]D]+|<3+"
_SAD = r"[:=][\-o']?[(\[]+|[:=]'\("
_EMOTICON = r"(^|\s)(?:{})($|\s)"
_TRAIL = "[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]*(?:\u200d[\u2640\u2642]\ufe0f?)?"
_SIGNS = {
    POSITIVE: rf"[{_POSITIVE}]{_TRAIL}",
    NEGATIVE: rf"[{_NEGATIVE}]{_TRAIL}",
}
_EMOTICONS = {POSITIVE: _EMOTICON.format(_HAPPY), NEGATIVE: _EMOTICON.format(_SAD)}


def label_by_emoji(posts: Posts) -> Posts:
    """Posts with a label where they had none and their emoji agree on one, and without these emoji there.

    posts: with columns text and label. Adds the column `is_weak`, which says where that was done, and a note. A post
    that shows both moods or none, or of which no word is left, stays as it is. Raises RequestError where the task has
    no labels negative and positive.
    """
    _require_polar(posts.labels)
    text, label = posts.frame["text"], posts.frame["label"]
    is_negative, is_positive = _shows(text, NEGATIVE), _shows(text, POSITIVE)
    bare = _without_signs(text)
    is_weak = label.is_null() & (is_negative ^ is_positive) & bare.str.contains(r"[\p{L}\p{N}]")
    moods = pl.Series([NEGATIVE, POSITIVE]).gather(is_positive.cast(pl.UInt32))
    frame = posts.frame.with_columns(
        bare.zip_with(is_weak, text).alias("text"),
        moods.zip_with(is_weak, label).alias("label"),
        is_weak.alias(IS_WEAK),
    )
    note = f"{is_weak.sum():,} of {label.null_count():,} posts without a label have that of their emoji (weak labels)."
    return replace(posts, frame=frame, notes=(*posts.notes, note))


def _require_polar(labels: Sequence[str]) -> None:
    if not {NEGATIVE, POSITIVE} <= set(labels):
        raise RequestError(
            f"Expected labels negative and positive for data.weak_labels=emoji. Received {', '.join(labels)}: leave it "
            "out."
        )


def _shows(text: pl.Series, label: str) -> pl.Series:
    return text.str.contains(_SIGNS[label]) | text.str.contains(_EMOTICONS[label])


def _without_signs(text: pl.Series) -> pl.Series:
    for pattern in _SIGNS.values():
        text = text.str.replace_all(pattern, " ")
    for pattern in _EMOTICONS.values():
        # a blank between two belongs to the first match, so that every second one is left by one pass
        for _ in range(2):
            text = text.str.replace_all(pattern, "${1} ${2}")
    return text.str.replace_all(r" {2,}", " ").str.strip_chars()
