"""From text to the numbers of a vocabulary, and back to the words that a person reads.

A tokenizer is the JSON of Hugging Face's `tokenizers`: learnt from the training posts (byte-level BPE, Radford et al.
2019, which has a token for every emoji), or that of a pretrained encoder.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from shared.errors import RequestError

PAD, CLS, SEP = "[PAD]", "[CLS]", "[SEP]"
PLACEHOLDERS = ("[USER]", "[URL]")
NO_WORD = -1
_POSTS_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Posts as tokens, one after another. ids: int32 (tokens,). offsets: int64 (posts + 1,), where each begins."""

    ids: np.ndarray
    offsets: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each post, int64 (posts,)."""
        return np.diff(self.offsets)

    def post(self, number: int) -> np.ndarray:
        """Tokens of one post, int32; a view."""
        return self.ids[self.offsets[number] : self.offsets[number + 1]]


class Tokens:
    """A tokenizer. tokenizer: its JSON. pad: what short posts are filled with. max_length: tokens, the rest is cut."""

    def __init__(self, tokenizer: str, pad: str, max_length: int) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_str(tokenizer)
        except Exception as error:  # the library raises nothing narrower
            raise RequestError(f"Expected the JSON of a tokenizer. Received: {error}") from error
        number = self._tokenizer.token_to_id(pad)
        if number is None:
            raise RequestError(f"Expected a tokenizer with the token {pad}. Received one without.")
        self.pad, self.pad_id, self.max_length = pad, int(number), max_length
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)

    @classmethod
    def learn(cls, texts: Sequence[str], vocabulary: int, max_length: int) -> Self:
        """A vocabulary of at most so many tokens, from training posts as `text.prepare` gives them."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        special = [PAD, CLS, SEP, *PLACEHOLDERS]
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            min_frequency=2,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        numbers = [(name, tokenizer.token_to_id(name)) for name in (CLS, SEP)]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{CLS} $A {SEP}", special_tokens=numbers
        )
        return cls(tokenizer.to_str(), PAD, max_length)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Posts as tokens, special ones included."""
        parts, lengths = [], []
        for begin in range(0, len(texts), _POSTS_AT_ONCE):
            for found in self._tokenizer.encode_batch_fast(list(texts[begin : begin + _POSTS_AT_ONCE])):
                parts.append(np.array(found.ids, np.int32))
                lengths.append(len(found.ids))
        ids = np.concatenate(parts) if parts else np.zeros(0, np.int32)
        return Encoded(ids, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64))

    def words(self, text: str, spans: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of one post, int32, and the place in `spans` of the word that each is part of, int64.

        `NO_WORD` for special tokens. spans: first character and the one after the last of each word, ascending.
        """
        found = self._tokenizer.encode(text)
        starts = np.array([begin for begin, _ in spans], dtype=np.int64)
        ends = np.array([end for _, end in spans], dtype=np.int64)
        words = list(self._word_of(found, text, starts, ends))
        return np.array(found.ids, np.int32), np.array(words, np.int64)

    def to_json(self) -> dict[str, Any]:
        """The tokenizer, its padding token and length."""
        return {"tokenizer": self._tokenizer.to_str(), "pad": self.pad, "max_length": self.max_length}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Rebuild. Raises RequestError for what is no tokenizer."""
        try:
            return cls(str(fields["tokenizer"]), str(fields["pad"]), int(fields["max_length"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RequestError(f"Expected tokenizer, pad and max_length. Received others: {error}") from error

    @staticmethod
    def _word_of(found: Any, text: str, starts: np.ndarray, ends: np.ndarray) -> Iterator[int]:
        for (begin, end), special in zip(found.offsets, found.special_tokens_mask, strict=True):
            # a byte-level token may begin with the blank before its word, or be that blank alone
            while begin < end and text[begin].isspace():
                begin += 1
            word = int(np.searchsorted(starts, begin, side="right")) - 1
            known = not special and word >= 0 and begin < ends[word]
            yield word if known else NO_WORD
