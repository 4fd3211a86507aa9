"""What a network has to beat: words counted, words looked up, and nothing read at all.

TF-IDF of words and of runs of characters with logistic regression is the strong one on tweets. VADER (Hutto, Gilbert
2014) is a lexicon with rules for negation, emphasis and emoticons, for negative, neutral and positive only.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from pipelines.social_sentiment.schema import LABELS

TFIDF, LEXICON, MAJORITY = "tfidf_logistic_regression", "lexicon", "majority"
UNWEIGHTED = f"{TFIDF}_unweighted"
TITLES = {
    TFIDF: "TF-IDF + logistic regression",
    UNWEIGHTED: "TF-IDF + logistic regression, common labels weigh more",
    LEXICON: "Lexicon (VADER)",
    MAJORITY: "Majority label",
}
USUAL = ("tfidf", "lexicon", "majority")
# The authors' thresholds of the compound score.
_VADER_LIMIT = 0.05
# A share of posts that VADER gives to labels that it did not choose: without it a log loss would be infinite.
_LEXICON_DOUBT = 0.1


class Baseline(Protocol):
    """A fitted baseline."""

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Probability of each label, float64 of shape (texts, labels)."""
        ...


def fit_baselines(
    texts: Sequence[str],
    labels: np.ndarray,
    label_names: Sequence[str],
    seed: int,
    names: Sequence[str] = USUAL,
) -> Mapping[str, Baseline]:
    """The baselines that `EvaluationConfig.baselines` names, fitted to prepared texts (`text.prepare`).

    labels: positions in `label_names`, int64 of shape (texts,), each label at least once. tfidf: rare labels weigh as
    much as common ones, which macro-recall rewards and calibration does not; tfidf_unweighted is the other way round.
    The lexicon is left out where it does not know the labels.
    """
    fitted: dict[str, Baseline] = {}
    if "tfidf" in names:
        fitted[TFIDF] = _Tfidf(texts, labels, seed, balanced=True)
    if "tfidf_unweighted" in names:
        fitted[UNWEIGHTED] = _Tfidf(texts, labels, seed, balanced=False)
    if "lexicon" in names and tuple(label_names) == LABELS:
        fitted[LEXICON] = _Lexicon()
    if "majority" in names:
        fitted[MAJORITY] = _Majority(np.bincount(labels, minlength=len(label_names)))
    return fitted


class _Tfidf:
    """Words and pairs of them, and runs of two to five characters within words, of at least two posts."""

    def __init__(self, texts: Sequence[str], labels: np.ndarray, seed: int, *, balanced: bool) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline, make_union

        # no word of a handful of posts is in two of them
        settings: dict[str, Any] = {"min_df": 2 if len(texts) >= 100 else 1, "sublinear_tf": True}
        words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", **settings)
        characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), **settings)
        # saga reaches the recall of lbfgs on SemEval in a third of its time (2026-11, one thread); 30 passes suffice
        regression = LogisticRegression(
            solver="saga",
            tol=1e-2,
            max_iter=500,
            class_weight="balanced" if balanced else None,
            random_state=seed,
        )
        self._model = make_pipeline(make_union(words, characters), regression).fit(texts, labels)

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        return np.asarray(self._model.predict_proba(texts), dtype=np.float64)


class _Lexicon:
    """VADER's word for each post; its score is no probability, so that the label gets all but a fixed doubt."""

    def __init__(self) -> None:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        self._analyser = SentimentIntensityAnalyzer()

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        scores = np.array([self._analyser.polarity_scores(text)["compound"] for text in texts])
        chosen = 1 + (scores >= _VADER_LIMIT).astype(np.int64) - (scores <= -_VADER_LIMIT)
        doubt = _LEXICON_DOUBT / (len(LABELS) - 1)
        return np.eye(len(LABELS))[chosen] * (1 - _LEXICON_DOUBT - doubt) + doubt


class _Majority:
    """The shares of the labels in training, for every post."""

    def __init__(self, counts: np.ndarray) -> None:
        self._shares = counts / counts.sum()

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        return np.tile(self._shares, (len(texts), 1))
