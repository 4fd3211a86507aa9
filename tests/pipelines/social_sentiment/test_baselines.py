"""Baselines learn what they can and give probabilities."""

import numpy as np
import pytest

from pipelines.social_sentiment.baselines import LEXICON, MAJORITY, TFIDF, TITLES, UNWEIGHTED, fit_baselines
from pipelines.social_sentiment.schema import LABELS

TEXTS = ["what a terrible day", "the bus is red", "a wonderful, great day"] * 40
CODES = np.arange(120) % 3


def test_all_give_probabilities_of_all_labels():
    fitted = fit_baselines(TEXTS, CODES, LABELS, 0, ("tfidf", "tfidf_unweighted", "lexicon", "majority"))
    assert set(fitted) == set(TITLES)
    for baseline in fitted.values():
        given = baseline.predict_proba([*TEXTS[:3], "", "words never seen 😀"])
        assert given.shape == (5, 3)
        assert given.dtype == np.float64
        assert (given >= 0).all()
        assert given.sum(axis=1) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", [TFIDF, LEXICON])
def test_plain_words_are_understood(name):
    baseline = fit_baselines(TEXTS, CODES, LABELS, seed=0)[name]
    assert baseline.predict_proba(TEXTS[:3]).argmax(axis=1).tolist() == [0, 1, 2]


def test_the_lexicon_knows_the_three_labels_only():
    assert set(fit_baselines(TEXTS, CODES, ("anger", "joy", "sadness"), seed=0)) == {TFIDF, MAJORITY}


def test_the_majority_says_how_often_labels_are():
    codes = np.array([0] * 10 + [1] * 20 + [2] * 90)
    majority = fit_baselines(TEXTS, codes, LABELS, seed=0)[MAJORITY]
    assert majority.predict_proba(["x"])[0] == pytest.approx([10 / 120, 20 / 120, 90 / 120])


def test_balanced_weights_find_more_of_a_rare_label():
    random = np.random.default_rng(0)
    codes = random.choice(3, size=600, p=[0.1, 0.45, 0.45])
    # words that hint at a label without saying it
    texts = [" ".join(random.choice([f"w{code}", "a", "b", "w0", "w1", "w2"], 4)) for code in codes]
    fitted = fit_baselines(texts, codes, LABELS, 0, ("tfidf", "tfidf_unweighted"))
    found = {name: (model.predict_proba(texts).argmax(axis=1) == 0).sum() for name, model in fitted.items()}
    assert found[UNWEIGHTED] < found[TFIDF]


def test_the_seed_decides_the_fit():
    first, again = (
        fit_baselines(TEXTS, CODES, LABELS, seed=3)[TFIDF].predict_proba(["a great red bus"])
        for _ in range(2)
    )
    assert np.array_equal(first, again)


def test_a_handful_of_posts_is_enough_to_fit():
    fit_baselines(["good", "bad", "so so"], np.array([2, 0, 1]), LABELS, seed=0)
