"""What is watched of every post, so that other people, another platform, topic or language are noticed."""

import numpy as np
import polars as pl

from pipelines.social_sentiment.score import Scorer

# Faces, signs and pictures of which posts are full; flags and digits are left out.
_EMOJI = r"[\x{2600}-\x{27bf}\x{1f300}-\x{1faff}]"
_COUNTED = {
    "words": r"\S+",
    "users": r"(?:^|[^\w@])@\w",
    "links": r"(?i)https?://|\bwww\.|(?:^|\s)t\.co/",
    "hashtags": r"(?:^|\s)#\w",
    "emoji": _EMOJI,
    "exclamations": "!",
}


def watched(scorer: Scorer, posts: pl.DataFrame, logits: np.ndarray) -> tuple[pl.DataFrame, np.ndarray]:
    """A row for each post, and how sure its label is, float64 (posts,).

    Counted are words, users, links, hashtags, emoji and exclamation marks. capitals: share of the letters.
    tokens_per_word: rises where the vocabulary does not know the words, as in another language. cut: the end of the
    post is not read. Topics and languages as given are not among them: tables name them or not, whatever is in the
    posts.
    """
    tokens = scorer.tokens.encode(scorer.prepared(posts["text"])).lengths
    text = pl.col("text")
    found = posts.select(
        *(text.str.count_matches(pattern).alias(name) for name, pattern in _COUNTED.items()),
        capitals=text.str.count_matches(r"\p{Lu}") / text.str.count_matches(r"\p{L}").clip(lower_bound=1),
        tokens_per_word=pl.Series(tokens) / text.str.count_matches(r"\S+").clip(lower_bound=1),
        cut=pl.Series(tokens >= scorer.tokens.max_length),
    )
    calibration = scorer.calibration
    return found, calibration.sureness(calibration.probabilities(logits))
