"""Whether the strongest words decide: posts without them and posts of them alone, against words in random order.

Comprehensiveness is what the probability of the label loses when the strongest words are taken out, sufficiency what it
loses when they alone are left (DeYoung et al. 2020, ERASER). Words are taken out of the text, not replaced by what the
explanation starts from, so that the check does not share its assumptions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.social_sentiment.explainer import PostExplanation
from shared.interpretability.faithfulness import (
    MAX_RANDOMISED_SPEARMAN,
    MAX_RELATIVE_GAP,
    Faithfulness,
    Gain,
)
from shared.interpretability.ranks import mean_interval, rank_correlations

# Texts and the number of the label of each -> a number for each, (texts,).
Judge = Callable[[Sequence[str], np.ndarray], np.ndarray]
SHARES = (0.1, 0.2, 0.5)
UNIT = "probability"
# With fewer words all shares would be the same one.
FEWEST_WORDS = 3
_NUM_RANDOM = 4


def without(text: str, spans: Sequence[tuple[int, int]], removed: Sequence[int]) -> str:
    """A text without some of its words, whose places in `spans` are given; blanks are squeezed."""
    parts, at = [], 0
    for place in sorted(removed):
        begin, end = spans[place]
        parts.append(text[at:begin])
        at = end
    return " ".join("".join([*parts, text[at:]]).split())


def left_out_one_by_one(found: Sequence[PostExplanation], judge: Judge) -> list[np.ndarray]:
    """What `judge` loses without each word of each post alone: another explanation of it, each (words,)."""
    texts, labels = [], []
    for each in found:
        texts += [each.text, *(without(each.text, each.spans, [place]) for place in range(len(each.spans)))]
        labels += [each.label] * (len(each.spans) + 1)
    values = judge(texts, np.array(labels, np.int64))
    ends = np.cumsum([len(each.spans) + 1 for each in found])
    return [part[0] - part[1:] for part in np.split(values, ends[:-1])] if found else []


@dataclass(frozen=True, slots=True, eq=False)
class Removals:
    """What the probability of the label loses, both float64 (posts, shares): without the first words of an order, and
    with them alone."""

    comprehensiveness: np.ndarray
    sufficiency: np.ndarray

    @classmethod
    def of(
        cls, found: Sequence[PostExplanation], orders: Sequence[np.ndarray], probability: "Judge"
    ) -> "Removals":
        """orders: of each post the places of its words, the first to be taken first."""
        texts, labels = [], []
        for each, order in zip(found, orders, strict=True):
            texts.append(each.text)
            for share in SHARES:
                num = max(1, round(share * len(order)))
                texts += [
                    without(each.text, each.spans, part.tolist()) for part in (order[:num], order[num:])
                ]
            labels += [each.label] * (1 + 2 * len(SHARES))
        values = probability(texts, np.array(labels, np.int64)).reshape(len(found), 1 + 2 * len(SHARES))
        lost = values[:, :1] - values[:, 1:]
        return cls(lost[:, ::2], lost[:, 1::2])


@dataclass(frozen=True, slots=True, eq=False)
class WordChecks:
    """Removals in the order of the explanation, in that of another one, and the mean over random orders."""

    explained: Removals
    other: Removals
    random: Removals

    @classmethod
    def of(
        cls,
        found: Sequence[PostExplanation],
        others: Sequence[np.ndarray],
        probability: Judge,
        *,
        seed: int,
    ) -> "WordChecks":
        """found: of posts of at least `FEWEST_WORDS`; others: values of the words by another explanation."""
        random = np.random.default_rng(seed)
        # noise breaks ties: equal values, in the order of the words, would be a favourable order by accident
        own = [_strongest_first(each.contributions, random) for each in found]
        compared = [_strongest_first(values, random) for values in others]
        drawn = [
            Removals.of(found, [random.permutation(len(each.spans)) for each in found], probability)
            for _ in range(_NUM_RANDOM)
        ]
        mean = Removals(
            np.mean([one.comprehensiveness for one in drawn], axis=0),
            np.mean([one.sufficiency for one in drawn], axis=0),
        )
        return cls(Removals.of(found, own, probability), Removals.of(found, compared, probability), mean)

    def gains(self, removals: Removals) -> tuple[np.ndarray, np.ndarray]:
        """What is lost more without the words than without random ones, and less with them alone, (posts, shares)."""
        return (
            removals.comprehensiveness - self.random.comprehensiveness,
            self.random.sufficiency - removals.sufficiency,
        )

    def to_json(self, *, seed: int) -> list[dict[str, Any]]:
        """Means over posts by share of the words, with 95 % intervals of the gains over a random order."""
        rows = []
        for at, share in enumerate(SHARES):
            row: dict[str, Any] = {"share": share}
            for name, removals in (("explained", self.explained), ("other", self.other)):
                comprehensiveness, sufficiency = self.gains(removals)
                row[name] = {
                    "comprehensiveness": float(removals.comprehensiveness[:, at].mean()),
                    "sufficiency": float(removals.sufficiency[:, at].mean()),
                    "comprehensiveness_gain": _gain(comprehensiveness[:, at], seed).to_json(),
                    "sufficiency_gain": _gain(sufficiency[:, at], seed).to_json(),
                }
            row["random"] = {
                "comprehensiveness": float(self.random.comprehensiveness[:, at].mean()),
                "sufficiency": float(self.random.sufficiency[:, at].mean()),
            }
            rows.append(row)
        return rows

    def faithfulness(self, spearman: float | None, relative_gap: float, *, seed: int) -> Faithfulness:
        """Whether the explanation holds. Gains are means over shares of the words.

        spearman: rank correlation with explanations of networks of random weights.
        """
        deletion, insertion = (_gain(gain.mean(1), seed) for gain in self.gains(self.explained))
        reasons = []
        if not deletion.low > 0:
            reasons.append(
                f"Without the strongest words the label loses no more than without random ones: {_text(deletion)}."
            )
        if not insertion.low > 0:
            reasons.append(
                f"The strongest words alone keep no more of the label than random ones: {_text(insertion)}."
            )
        if spearman is not None and not abs(spearman) < MAX_RANDOMISED_SPEARMAN:
            reasons.append(
                f"A network of random weights gets a similar explanation (Spearman {spearman:.2f})."
            )
        if not relative_gap < MAX_RELATIVE_GAP:
            reasons.append(
                f"The values miss the difference that they divide by {relative_gap:.1%} on average."
            )
        return Faithfulness(deletion, insertion, spearman, relative_gap, not reasons, tuple(reasons))


def agreement(
    found: Sequence[PostExplanation], others: Sequence[np.ndarray], *, seed: int
) -> dict[str, float]:
    """Mean rank correlation of two explanations of the words of posts, with its 95 % interval."""
    correlations = np.array(
        [
            rank_correlations(each.contributions[None], values[None])[0]
            for each, values in zip(found, others, strict=True)
        ]
    )
    mean, low, high = mean_interval(correlations, seed=seed)
    return {"spearman": mean, "low": low, "high": high, "posts": len(found)}


def _strongest_first(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.lexsort((random.random(len(values)), -values))


def _gain(values: np.ndarray, seed: int) -> Gain:
    return Gain(*mean_interval(values, seed=seed), UNIT, len(values))


def _text(gain: Gain) -> str:
    return f"{gain.value:.3f} (95 % interval {gain.low:.3f} to {gain.high:.3f})"
