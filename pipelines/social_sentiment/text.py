"""From a post as it was written to what a model reads: as little as possible is taken away.

Users and links become tokens, because who is meant and where a link goes is not sentiment; entities are decoded, blanks
squeezed, invisible characters taken out, long runs of a character shortened. Case, stop words, punctuation and emoji
carry sentiment and stay (Nguyen, Vu, Nguyen 2020, "BERTweet"; Barbieri et al. 2020, "TweetEval").
"""

import html
import re
from collections.abc import Sequence
from html.entities import html5

import numpy as np
import polars as pl

from pipelines.social_sentiment.config import TextConfig

USER, URL = "[USER]", "[URL]"
_TOKENS = {"fieldwork": (USER, URL), "tweeteval": ("@user", "http")}
# Only with its semicolon: "AT&T", "R&D" and "?a=1&copy=2" are meant as they stand.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
# Not among them: what joins emoji and letters (U+200C, U+200D), and the tags that spell flags.
_INVISIBLE = (
    r"[\x{ad}\x{61c}\x{180e}\x{200b}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2060}-\x{206f}\x{feff}"
    r"\x{fff9}-\x{fffb}]+"
)
# A single space is what it becomes: matching it too took six times as long.
_BLANKS = r"[\s\p{Cc}&&[^ ]][\s\p{Cc}]*| [\s\p{Cc}]+"
_LINK = r"(?i)(?:https?://|www\.|pic\.twitter\.com/)[!-~]+"
_SHORT_LINK = r"\bt\.co/[!-~]+"
# Addresses of e-mail are not users; @name@server is one user.
_HANDLE = r"(^|[^\w@])@\w+(?:@\w+)*"
_BLOCK_POSTS = 1 << 14
_NEWLINE = ord("\n")

_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u231a-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f"
    "\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_MODIFIER = "\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
_ONE_EMOJI = f"(?:{_FLAG}|[{_EMOJI}][{_MODIFIER}]*|[0-9#*]\ufe0f?\u20e3)"
_LETTER = rf"[^\s!-/:-@\[-^`{{-~\u2010-\u206f\u3000-\u303f{_EMOJI}]"
_WORD = re.compile(
    rf"""
    \[(?:USER|URL)\]                                    # the tokens of `prepare`
    | (?:https?://|www\.)\S+                             # links that were left
    | {_ONE_EMOJI}(?:\u200d{_ONE_EMOJI})*                # emoji with what is joined to them
    | [<>]?[:;=8xX][\-o*']?[)\](\[dDpP/\\|@3*]+(?!\w)    # emoticons
    | <3+
    | [@\#]?{_LETTER}+(?:['’.,\-]{_LETTER}+)*            # words, numbers, hashtags, contractions
    | ([!-/:-@\[-`{{-~])\1*                               # runs of one mark
    | \S
    """,
    re.VERBOSE,
)


def prepare(texts: Sequence[str] | pl.Series, config: TextConfig) -> list[str]:
    """The texts as models read them, in the same order. Prepared texts stay as they are when prepared again.

    Memory beyond the result is that of a block of posts.
    """
    series = texts if isinstance(texts, pl.Series) else pl.Series(texts, dtype=pl.String)
    prepared: list[str] = []
    for start in range(0, len(series), _BLOCK_POSTS):
        prepared += _prepare_block(series.slice(start, _BLOCK_POSTS), config)
    return prepared


def words_of(text: str) -> list[tuple[int, int]]:
    """Start and end of the words of a text, in its characters: they cover all but blanks and do not overlap.

    A word is what people see as one: with its hashtag or apostrophe, an emoji with its skin tone, an emoticon, a run of
    one punctuation mark. Scripts without blanks between words come out as one word a run.
    """
    return [match.span() for match in _WORD.finditer(text)]


def _prepare_block(texts: pl.Series, config: TextConfig) -> list[str]:
    user, link = _TOKENS[config.style]
    plain = _plain(texts, config.max_repeats)
    with_entities = plain.str.contains("&", literal=True).arg_true()
    if len(with_entities):
        plain = plain.clone().scatter(with_entities, _decoded(plain[with_entities], config.max_repeats))
    replaced = (
        plain.str.replace_all(_LINK, link)
        .str.replace_all(_SHORT_LINK, link)
        .str.replace_all(_HANDLE, "${1}" + user)
    )
    return replaced.to_list()


def _plain(texts: pl.Series, max_repeats: int) -> pl.Series:
    visible = texts.str.replace_all(_INVISIBLE, "").str.replace_all(_BLANKS, " ").str.strip_chars(" ")
    return _shortened(visible, max_repeats)


def _decoded(texts: pl.Series, max_repeats: int) -> pl.Series:
    """Entities as what they stand for, also where they were encoded twice: each may bring forth another."""
    while True:
        decoded = [_ENTITY.sub(_meant, text) for text in texts]
        fresh = _plain(pl.Series(decoded, dtype=pl.String), max_repeats)
        if fresh.equals(texts):
            return fresh
        texts = fresh


def _meant(entity: re.Match[str]) -> str:
    """`html.unescape` would find an entity in the beginning of an unknown name."""
    name = entity[0][1:]
    return html.unescape(entity[0]) if name.startswith("#") else html5.get(name, entity[0])


def _shortened(texts: pl.Series, max_repeats: int) -> pl.Series:
    """Runs of one character cut to `max_repeats`. Texts have no newline any more, so that it may part them here.

    The regular expressions of Polars know no back-references, and those of Python are slow: they see only the few texts
    in which code points, compared for all texts at once, repeat.
    """
    codes = np.frombuffer("\n".join(texts).encode("utf-32-le"), dtype=np.uint32)
    if len(codes) <= max_repeats:
        return texts
    same = codes[1:] == codes[:-1]
    num_ends = len(codes) - max_repeats
    run = np.logical_and.reduce([same[start : start + num_ends] for start in range(max_repeats)])
    ends = np.flatnonzero(run)
    if not len(ends):
        return texts
    touched = np.unique(np.searchsorted(np.flatnonzero(codes == _NEWLINE), ends))
    runs = re.compile(rf"([^0-9])\1{{{max_repeats},}}")
    return texts.clone().scatter(
        touched, [runs.sub(lambda match: match[1] * max_repeats, text) for text in texts[touched]]
    )
