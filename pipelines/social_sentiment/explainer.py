"""Which words of a post speak for the label that it was given: layer integrated gradients on the token embeddings.

The path goes from a post of nothing, in which the embedding of the padding token stands for every token of a word, to
the post (Sundararajan et al. 2017, arXiv 1703.01365). What is divided among the words is the logit of the label minus
the mean of the others: a logit alone could rise with all the others. The special tokens at the ends are in both, so
that nothing can be credited to them; tokens are summed over words as people see them.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import polars as pl
import torch
from torch import Tensor

from pipelines.social_sentiment.model import Classifier
from pipelines.social_sentiment.score import Scorer
from pipelines.social_sentiment.text import words_of
from pipelines.social_sentiment.tokens import NO_WORD, Tokens
from pipelines.social_sentiment.train import logits_of
from shared.interpretability.gradients import integrated_gradients

BASELINE = "a post of the same length, with the padding token in place of every word"
METHOD = "layer integrated gradients, summed over words"
TARGET = "logit of the label given minus the mean logit of the others"
MAX_STEPS = 512
# What may be missing of the difference that is divided: a share of it, and in logits where it is small.
_RELATIVE_GAP, _ABSOLUTE_GAP = 0.05, 0.05
_POSTS_AT_ONCE, _TOKENS_AT_ONCE = 64, 1024
_NUM_WORDS = 5
# Weaker words than this share of the strongest did not decide.
_LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class PostExplanation:
    """What each word of a post adds to the margin of a label over the others, in logits.

    text: as the network reads it. spans: first character and the one after the last of each word. contributions:
    float64 (words,), positive where the word speaks for the label; 0 for words behind the longest post that the network
    reads. They sum to output - base, up to `gap`. base: margin of the baseline. steps: of the path.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    contributions: np.ndarray = field(repr=False)
    label: int
    base: float
    output: float
    steps: int

    @property
    def gap(self) -> float:
        """How much the contributions sum to more than output - base."""
        return float(self.contributions.sum()) - (self.output - self.base)

    @property
    def words(self) -> list[str]:
        """The words, as they are written."""
        return [self.text[begin:end] for begin, end in self.spans]

    def deciding(self, num_words: int = _NUM_WORDS) -> list[str]:
        """Distinct words that speak for the label, strongest first; none of less than a tenth of the strongest."""
        words, order = self.words, np.argsort(-self.contributions, kind="stable")
        least = _LEAST_SHARE * max(0.0, float(self.contributions.max(initial=0.0)))
        strong = [words[place] for place in order if self.contributions[place] > least]
        return list(dict.fromkeys(strong))[:num_words]


def explained(scorer: Scorer, texts: pl.Series) -> pl.Series:
    """The words that speak for the label of each post, JSON lists, strongest first; `[]` where there is none."""
    found = Explainer.of(scorer).explain(scorer.prepared(texts))
    lists = [json.dumps(each.deciding(), ensure_ascii=False) for each in found]
    return pl.Series("deciding_words", lists, dtype=pl.String)


@dataclass(frozen=True, slots=True)
class Explainer:
    """A fitted network with what it needs to be explained. num_steps: of the path, doubled up to `max_steps` where its
    words do not add up.
    """

    scorer: Scorer
    network: Classifier
    tokens: Tokens
    num_steps: int
    max_steps: int = MAX_STEPS

    @classmethod
    def of(cls, scorer: Scorer) -> Self:
        """The explainer of what a scorer says."""
        return cls(scorer, scorer.network, scorer.tokens, scorer.config.explanation.num_steps)

    def with_network(self, network: Classifier) -> Self:
        """The same, roughly, for another network with the same tokenizer: steps are not doubled."""
        return replace(self, network=network, max_steps=self.num_steps)

    def explain(
        self, texts: Sequence[str], labels: Sequence[int] | np.ndarray | None = None
    ) -> list[PostExplanation]:
        """Explanations of posts as `text.prepare` gives them, each as if it were alone.

        labels: numbers of the labels to explain, by default those that the scorer gives.
        """
        given = self.labels_of(texts) if labels is None else np.asarray(labels, np.int64)
        posts = [_Read.of(text, int(label), self.tokens) for text, label in zip(texts, given, strict=True)]
        found: dict[int, PostExplanation] = {}
        for places in _alike(posts):
            explanations = self._explain([posts[at] for at in places], self.num_steps)
            found.update(zip(places, explanations, strict=True))
        return [found[place] for place in range(len(posts))]

    def labels_of(self, texts: Sequence[str]) -> np.ndarray:
        """Numbers of the labels that the scorer gives to prepared posts, int64 (posts,)."""
        calibration = self.scorer.calibration
        return calibration.decide(calibration.probabilities(logits_of(self.network, self.tokens, texts)))

    def _explain(self, posts: Sequence["_Read"], num_steps: int) -> list[PostExplanation]:
        """Of posts of one number of tokens; those that do not add up again with twice the steps."""
        found = self._along_paths(posts, num_steps)
        rest = [place for place, each in enumerate(found) if not _adds_up(each)]
        if rest and 2 * num_steps <= self.max_steps:
            finer = self._explain([posts[place] for place in rest], 2 * num_steps)
            for place, other in zip(rest, finer, strict=True):
                found[place] = min(found[place], other, key=lambda each: abs(each.gap))
        return found

    def _along_paths(self, posts: Sequence["_Read"], num_steps: int) -> list[PostExplanation]:
        ids = torch.from_numpy(np.stack([post.ids for post in posts])).long()
        is_word = torch.from_numpy(np.stack([post.word for post in posts]) != NO_WORD)
        label = torch.tensor([post.label for post in posts])
        path = _Path(self.network, *self._ends(ids, is_word), label)
        rows = torch.arange(len(posts))
        found = integrated_gradients(
            self.network,
            {"place": torch.ones(ids.shape), "row": rows},
            {"place": torch.zeros(ids.shape), "row": rows},
            score=path.margin,
            num_steps=num_steps,
            max_steps=num_steps,
            num_points=max(1, _TOKENS_AT_ONCE // ids.shape[1]),
        )
        assert isinstance(found.base_value, np.ndarray)
        assert found.output is not None
        return [
            PostExplanation(
                post.text, post.spans, post.by_word(values), post.label, float(base), float(output), num_steps
            )
            for post, values, base, output in zip(
                posts, found.values, found.base_value, found.output, strict=True
            )
        ]

    def _ends(self, ids: Tensor, is_word: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of the posts and of their baselines, both (B, L, E)."""
        device = next(self.network.parameters()).device
        with torch.no_grad():
            here = self.network.encoder.embed(ids.to(device))
            nothing = self.network.encoder.embed(torch.tensor(self.tokens.pad_id, device=device))
        return here, torch.where(is_word.to(device)[:, :, None], nothing, here)


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """From the embeddings of the baselines, `there`, to those of the posts, `here`, both (B, L, E). label: (B,)."""

    network: Classifier
    here: Tensor
    there: Tensor
    label: Tensor

    def margin(self, inputs: dict[str, Tensor]) -> Tensor:
        """What is explained. place: (points, L), of each token on the way from 0 to 1; row: (points,), the posts'."""
        row = inputs["row"]
        embedded = torch.lerp(self.there[row], self.here[row], inputs["place"][:, :, None])
        logits = self.network.of_embedded(embedded)
        chosen = logits.gather(1, self.label[row][:, None])[:, 0]
        return chosen - (logits.sum(1) - chosen) / (logits.shape[1] - 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """A post as the network reads it. word: of each token the place of its word in `spans`, or `NO_WORD`."""

    text: str
    spans: tuple[tuple[int, int], ...]
    ids: np.ndarray
    word: np.ndarray
    label: int

    @classmethod
    def of(cls, text: str, label: int, tokens: Tokens) -> Self:
        spans = tuple(words_of(text))
        return cls(text, spans, *tokens.words(text, spans), label)

    def by_word(self, values: np.ndarray) -> np.ndarray:
        """Values of tokens summed over words, float64 (words,)."""
        known = self.word != NO_WORD
        return np.bincount(self.word[known], weights=values[known], minlength=len(self.spans))


def _alike(posts: Sequence[_Read]) -> Iterator[list[int]]:
    """Places of posts of one number of tokens: together they need no padding."""
    lengths = np.array([len(post.ids) for post in posts], np.int64)
    for length in np.unique(lengths):
        places = np.flatnonzero(lengths == length)
        for begin in range(0, len(places), _POSTS_AT_ONCE):
            yield places[begin : begin + _POSTS_AT_ONCE].tolist()


def _adds_up(explanation: PostExplanation) -> bool:
    moved = abs(explanation.output - explanation.base)
    return abs(explanation.gap) <= max(_RELATIVE_GAP * moved, _ABSOLUTE_GAP)
