"""What explanations say of test posts, and how far they can be trusted.

Checked are completeness, posts without their strongest words and of them alone against random ones, agreement with
leaving words out one by one, and networks of random weights; on the generator, whether the deciding words are found.
The explanations themselves are in `explainer`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from torch import nn

from pipelines.social_sentiment.baselines import TFIDF, Baseline
from pipelines.social_sentiment.explainer import BASELINE, METHOD, TARGET, Explainer, PostExplanation
from pipelines.social_sentiment.model import Classifier
from pipelines.social_sentiment.predictions import NETWORK
from pipelines.social_sentiment.schema import Truth
from pipelines.social_sentiment.score import Scorer
from pipelines.social_sentiment.train import logits_of
from pipelines.social_sentiment.word_checks import (
    FEWEST_WORDS,
    Judge,
    WordChecks,
    agreement,
    left_out_one_by_one,
)
from pipelines.social_sentiment.word_gallery import (
    SEEN_AT_LEAST,
    contributions,
    posts_to_show,
    shown,
    words_by_label,
)
from pipelines.social_sentiment.word_truth import deciding_words, recovered
from shared.interpretability.attribution import Attribution
from shared.interpretability.faithfulness import randomisation

GRADIENTS, LEFT_OUT = "gradients", "left_out"
UNIT = "logits"
_FEWEST_CHECKED = 2
_MOST_RANDOMISED = 20


def explain_test(
    scorer: Scorer,
    frame: pl.DataFrame,
    table: pl.DataFrame,
    truth: Truth | None = None,
    rival: Baseline | None = None,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """A document of plain values, and what each word adds in the posts that were explained.

    frame: test posts; table: what was said of them, in the same order, see `predictions.predict_test`. truth: of the
    generator, None elsewhere. rival: the TF-IDF baseline, whose words are held against the truth too. The table has a
    row for each word: post_id, label (as given), place (from 0), word, contribution (logits).
    """
    explainer, texts = Explainer.of(scorer), scorer.prepared(frame["text"])
    rows = posts_to_explain(table, scorer.config.explanation.num_checked, scorer.config.seed)
    found = explainer.explain([texts[row] for row in rows], table[NETWORK].to_numpy()[rows])
    others = left_out_one_by_one(found, margins(explainer))
    document = checks_of(explainer, found, others) | {
        "steps": {
            str(steps): count for steps, count in sorted(Counter(each.steps for each in found).items())
        },
        "words": words_by_label(found, scorer.labels),
        "seen_at_least": SEEN_AT_LEAST,
        "truth": None,
        "examples": {
            name: [_example(explainer, texts[row], table.row(row, named=True)) for row in chosen]
            for name, chosen in posts_to_show(table).items()
        },
    }
    if truth is not None:
        document["truth"] = against_truth(explainer, found, others, frame[rows], truth, rival)
    return document, contributions(found, frame["post_id"].gather(rows), scorer.labels)


def posts_to_explain(table: pl.DataFrame, size: int, seed: int) -> np.ndarray:
    """Places of test posts, int64: of every label as many, as far as there are, in random order."""
    truth = table["truth"].to_numpy()
    order = np.random.default_rng([seed, 2]).permutation(len(truth))
    turn = np.zeros(len(truth), np.int64)
    for label in np.unique(truth):
        turn[truth[order] == label] = np.arange((truth == label).sum())
    return np.asarray(order[np.argsort(turn, kind="stable")][:size])


def checks_of(
    explainer: Explainer, found: Sequence[PostExplanation], others: Sequence[np.ndarray]
) -> dict[str, Any]:
    """The explanation as `attribution`, with its checks: removal, left_out (agreement) and num_randomised (posts).

    others: of the same posts, words left out one by one.

    The last two checks are None, and the explanation is not checked, where hardly a post has words enough.
    """
    seed = explainer.scorer.config.seed
    attribution = _attribution(found)
    wordy = [each for each in found if len(each.spans) >= FEWEST_WORDS]
    if len(wordy) < _FEWEST_CHECKED:
        return {"attribution": attribution.to_json(), "removal": [], "left_out": None, "num_randomised": 0}
    others = [values for each, values in zip(found, others, strict=True) if len(each.spans) >= FEWEST_WORDS]
    checks = WordChecks.of(wordy, others, probabilities(explainer), seed=seed)
    alike = _of_one_length(wordy)
    spearman = _likeness_to_random(explainer, alike, seed)
    moved = np.abs([each.output - each.base for each in found]).mean()
    gap = float(np.abs([each.gap for each in found]).mean() / max(moved, np.finfo(float).tiny))
    faithfulness = checks.faithfulness(spearman, gap, seed=seed)
    return {
        "attribution": attribution.checked(faithfulness).to_json(),
        "removal": checks.to_json(seed=seed),
        "left_out": agreement(wordy, others, seed=seed),
        "num_randomised": len(alike),
    }


def margins(explainer: Explainer) -> Judge:
    """Logit of a label minus the mean of the others."""

    def judge(texts: Sequence[str], labels: np.ndarray) -> np.ndarray:
        return _margin(logits_of(explainer.network, explainer.tokens, texts).astype(np.float64), labels)

    return judge


def probabilities(explainer: Explainer) -> Judge:
    """Calibrated probability of a label."""

    def judge(texts: Sequence[str], labels: np.ndarray) -> np.ndarray:
        logits = logits_of(explainer.network, explainer.tokens, texts)
        found = explainer.scorer.calibration.probabilities(logits)
        return np.asarray(found[np.arange(len(labels)), labels])

    return judge


def against_truth(
    explainer: Explainer,
    found: Sequence[PostExplanation],
    others: Sequence[np.ndarray],
    frame: pl.DataFrame,
    truth: Truth,
    rival: Baseline | None,
) -> dict[str, Any] | None:
    """See `word_truth.recovered`: of gradients, of words left out one by one, and of the same for the rival."""
    deciding = deciding_words(found, frame, truth, explainer.scorer.labels)
    chosen = [place for place, decides in enumerate(deciding) if decides is not None]
    explanations = {
        GRADIENTS: [found[place].contributions for place in chosen],
        LEFT_OUT: [others[place] for place in chosen],
    }
    if rival is not None:
        explanations[TFIDF] = left_out_one_by_one([found[place] for place in chosen], _margins_of(rival))
    known = [decides for decides in deciding if decides is not None]
    return recovered(known, explanations, seed=explainer.scorer.config.seed)


def _attribution(found: Sequence[PostExplanation]) -> Attribution:
    """Posts have words of their own, so that values have no names; shorter ones are filled with nothing."""
    values = np.zeros((len(found), max((len(each.spans) for each in found), default=0), 1))
    for row, each in zip(values, found, strict=True):
        row[: len(each.spans), 0] = each.contributions
    return Attribution(
        values,
        (),
        target=TARGET,
        baseline=BASELINE,
        method=METHOD,
        unit=UNIT,
        base_value=np.array([each.base for each in found]),
        output=np.array([each.output for each in found]),
    )


def _of_one_length(found: Sequence[PostExplanation]) -> list[PostExplanation]:
    """Posts of the commonest number of words."""
    (commonest, _), *_ = Counter(len(each.spans) for each in found).most_common()
    return [each for each in found if len(each.spans) == commonest][:_MOST_RANDOMISED]


def _likeness_to_random(explainer: Explainer, found: Sequence[PostExplanation], seed: int) -> float:
    texts, labels = [each.text for each in found], [each.label for each in found]

    def explain(network: nn.Module) -> Attribution:
        assert isinstance(network, Classifier)
        values = np.stack(
            [each.contributions for each in explainer.with_network(network).explain(texts, labels)]
        )
        return Attribution(values, (), target=TARGET, baseline=BASELINE, method=METHOD)

    return randomisation(explainer.network, explain, seed=seed)[-1].spearman


def _margins_of(baseline: Baseline) -> Judge:
    def judge(texts: Sequence[str], labels: np.ndarray) -> np.ndarray:
        said = baseline.predict_proba(texts)
        return _margin(np.log(np.maximum(said, np.finfo(np.float64).tiny)), labels)

    return judge


def _margin(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    chosen = logits[np.arange(len(labels)), labels]
    return np.asarray(chosen - (logits.sum(1) - chosen) / (logits.shape[1] - 1))


def _example(explainer: Explainer, text: str, said: Mapping[str, Any]) -> dict[str, Any]:
    (found,) = explainer.explain([text], [said[NETWORK]])
    (probability,) = probabilities(explainer)([text], np.array([found.label]))
    return shown(found, explainer.scorer.labels, said) | {"probability": float(probability)}
