"""The protocol: numbers agree with scikit-learn, copies count once, and the verdict names the strongest rival."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from pipelines.social_sentiment.config import EvaluationConfig, SentimentConfig
from pipelines.social_sentiment.evaluate import TestResults, evaluation_document

LABELS = ("negative", "neutral", "positive")
CONFIG = SentimentConfig(evaluation=EvaluationConfig(num_bootstraps=200))
PRIOR = np.array([0.2, 0.5, 0.3])


def _table(num_posts: int = 400, *, right: float = 0.8, seed: int = 0, copies: int = 1) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    truth = random.choice(3, num_posts, p=[0.4, 0.4, 0.2])

    def said(share: float) -> np.ndarray:
        return np.where(random.random(num_posts) < share, truth, random.integers(3, size=num_posts))

    network, sure = said(right), random.uniform(0.4, 1, num_posts)
    one = pl.DataFrame(
        {
            "post_id": [f"p{place}" for place in range(num_posts)],
            "topic": np.array(["phones", "banks"])[np.arange(num_posts) % 2],
            "truth": truth,
            "group": np.arange(num_posts),
            "network": network,
            "sure_network": sure,
            "likeliest": network,
            "sureness": sure,
            "abstains": sure < 0.5,
            "adapted": said(right),
            "sure_adapted": sure,
            "seed_1": said(right),
            "tfidf_logistic_regression": said(0.5),
            "sure_tfidf_logistic_regression": sure,
            "majority": np.ones(num_posts, np.int64),
            "sure_majority": np.full(num_posts, 0.4),
        }
    )
    return pl.concat([one] * copies)


def test_averages_are_those_of_scikit_learn():
    table = _table()
    found = TestResults(table, LABELS, CONFIG).metrics("network")
    truth, said = table["truth"].to_numpy(), table["network"].to_numpy()
    assert found["test/macro_recall"].value == pytest.approx(balanced_accuracy_score(truth, said))
    assert found["test/macro_f1"].value == pytest.approx(f1_score(truth, said, average="macro"))
    assert found["test/accuracy"].value == pytest.approx((truth == said).mean())
    for metric in found.values():
        assert metric.low <= metric.value <= metric.high


def test_always_naming_one_label_has_the_recall_of_chance():
    found = TestResults(_table(), LABELS, CONFIG).metrics("majority")
    assert found["test/macro_recall"].value == pytest.approx(1 / 3)
    assert found["test/recall_neutral"].value == 1


def test_copies_of_posts_make_no_interval_narrower():
    def width(copies: int) -> float:
        metric = TestResults(_table(copies=copies), LABELS, CONFIG).metrics("network")["test/macro_recall"]
        return metric.high - metric.low

    assert width(5) == pytest.approx(width(1), rel=0.25)


def test_the_verdict_is_against_the_strongest_rival():
    judged, compared = TestResults(_table(), LABELS, CONFIG).judge()
    assert "TF-IDF" in judged.sentence
    assert compared["macro_recall"]["tfidf_logistic_regression"]["difference"] > 0
    beaten, _ = TestResults(_table(right=0.3), LABELS, CONFIG).judge()
    assert "worse than TF-IDF" in beaten.sentence


def test_the_document_has_every_part_and_nothing_that_json_cannot_hold():
    from shared.publishing.plain import plain

    document = plain(evaluation_document(_table(), LABELS, PRIOR, CONFIG))
    assert document["metrics"].keys() == {"network", "tfidf_logistic_regression", "majority"}
    assert document["seeds"]["macro_recall"].keys() == {"network", "seed_1"}
    assert document["seeds"]["standard_deviation"] > 0
    assert np.sum(document["confusion"]["network"]) == 400
    assert [one["name"] for one in document["by_topic"]] == ["phones", "banks"]
    assert document["counts"]["groups"] == 400
    shift = document["shift"]
    distance = 0.5 * sum(abs(shift["prior"][label] - shift["test"][label]) for label in LABELS)
    assert shift["distance"] == pytest.approx(distance)


def test_a_test_without_a_label_has_metrics_of_the_others():
    table = _table().filter(pl.col("truth") != 2)
    document = evaluation_document(table, LABELS, PRIOR, CONFIG)
    assert document["metrics"]["network"]["test/recall_positive"]["value"] is None
    assert document["metrics"]["network"]["test/macro_recall"]["value"] > 0.5


def test_abstaining_keeps_the_posts_of_which_the_network_is_sure():
    table = _table().with_columns(
        sureness=pl.when(pl.col("network") == pl.col("truth")).then(0.9).otherwise(0.1),
        abstains=pl.col("network") != pl.col("truth"),
    )
    found = TestResults(table, LABELS, CONFIG)
    kept = found.kept()
    assert kept[0]["share"] == 1
    assert kept[-1]["accuracy"] == 1
    assert kept[0]["accuracy"] == pytest.approx(kept[0]["random"])
    assert found.abstention()["accuracy_kept"].value == 1
