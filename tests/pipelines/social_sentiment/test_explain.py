"""The document of explanations: checks that can fail, and the truth of the generator."""

import numpy as np
import polars as pl
import pytest

from pipelines.social_sentiment.baselines import TFIDF, fit_baselines
from pipelines.social_sentiment.explain import checks_of, explain_test, posts_to_explain
from pipelines.social_sentiment.explainer import Explainer, PostExplanation
from pipelines.social_sentiment.text import words_of
from pipelines.social_sentiment.word_checks import SHARES, WordChecks, left_out_one_by_one, without
from pipelines.social_sentiment.word_gallery import SEEN_AT_LEAST, posts_to_show, words_by_label
from pipelines.social_sentiment.word_truth import deciding_words, recovered

WEIGHTS = {"great": 3.0, "fine": 1.0, "awful": -2.0}
TEXTS = [
    "a great and fine day of an awful week",
    "great , but it is what it is",
    "all is fine here in the great city",
]


@pytest.fixture(scope="module")
def explained(world):
    train = world.division.train
    texts = world.scorer.prepared(world.posts.frame["text"][train])
    rival = fit_baselines(texts, world.numbers(train), world.posts.labels, 0, ["tfidf"])[TFIDF]
    return explain_test(world.scorer, world.test, world.table, world.posts.made, rival)


def additive(texts, labels) -> np.ndarray:
    """A judge that sums known weights of words, in both directions of the label."""
    return np.array(
        [
            (1 if label else -1) * sum(WEIGHTS.get(word, 0.0) for word in text.split())
            for text, label in zip(texts, labels, strict=True)
        ]
    )


def true_explanations(sign: float = 1.0) -> list[PostExplanation]:
    found = []
    for text in TEXTS:
        spans = tuple(words_of(text))
        values = np.array([sign * WEIGHTS.get(text[begin:end], 0.0) for begin, end in spans])
        found.append(PostExplanation(text, spans, values, 1, 0.0, float(values.sum()), 16))
    return found * 8


def test_the_document_has_what_the_gate_and_the_report_read(explained, world):
    document, table = explained
    attribution = document["attribution"]
    assert attribution["rows"] == world.config.explanation.num_checked
    assert isinstance(attribution["faithful"], bool)
    assert attribution["faithful"] == (attribution["warning"] is None)
    assert [row["share"] for row in document["removal"]] == list(SHARES)
    assert set(document["truth"]["explanations"]) == {"gradients", "left_out", TFIDF}
    assert sum(document["steps"].values()) == attribution["rows"]
    sums = table.group_by("post_id").agg(pl.col("contribution").sum())
    assert sums.height == attribution["rows"]


def test_the_same_seed_gives_the_same_document(explained, world):
    document, table = explain_test(world.scorer, world.test, world.table, world.posts.made)
    assert document["removal"] == explained[0]["removal"]
    assert table.equals(explained[1])


def test_posts_of_every_label_are_explained(world):
    rows = posts_to_explain(world.table, 20, 0)
    counts = np.bincount(world.truth[rows], minlength=3)
    assert len(set(rows.tolist())) == 20
    assert counts.min() >= 6
    everything = posts_to_explain(world.table, 10_000, 0)
    assert sorted(everything.tolist()) == list(range(world.table.height))


def test_a_true_explanation_passes_and_its_opposite_fails_with_the_reasons():
    right, wrong = true_explanations(), true_explanations(-1.0)
    others = left_out_one_by_one(right, additive)
    for found, passes in ((right, True), (wrong, False)):
        checks = WordChecks.of(found, others, additive, seed=0)
        outcome = checks.faithfulness(0.0, 0.0, seed=0)
        assert outcome.passed == passes
        assert len(outcome.reasons) == (0 if passes else 2)


@pytest.mark.parametrize(
    ("spearman", "gap", "reason"),
    [(0.9, 0.0, "random weights"), (-0.9, 0.0, "random weights"), (0.0, 0.2, "20.0%")],
    ids=["like a random network", "opposite to a random network", "not complete"],
)
def test_an_explanation_fails_that_follows_the_architecture_or_does_not_add_up(spearman, gap, reason):
    found = true_explanations()
    checks = WordChecks.of(found, left_out_one_by_one(found, additive), additive, seed=0)
    outcome = checks.faithfulness(spearman, gap, seed=0)
    assert not outcome.passed
    assert reason in outcome.reasons[0]


def test_leaving_words_out_one_by_one_finds_the_weights_of_an_additive_judge():
    found = true_explanations()
    for each, values in zip(found, left_out_one_by_one(found, additive), strict=True):
        assert values == pytest.approx(each.contributions)
    assert left_out_one_by_one([], additive) == []


def test_words_are_taken_out_with_their_blanks():
    text = "so  good , really"
    spans = words_of(text)
    assert without(text, spans, [1]) == "so , really"
    assert without(text, spans, [0, 1, 2, 3]) == ""
    assert without(text, spans, []) == "so good , really"


def test_posts_of_hardly_a_word_are_not_checked_and_it_is_said(world):
    explainer = Explainer.of(world.scorer)
    found = explainer.explain(["😍", "bad", "so bad"])
    document = checks_of(explainer, found, [np.zeros(len(each.spans)) for each in found])
    assert document["attribution"]["faithful"] is None
    assert document["removal"] == []


def test_deciding_words_are_those_of_the_generator(world):
    truth, frame = world.posts.made, world.test
    explainer = Explainer.of(world.scorer)
    texts = world.scorer.prepared(frame["text"])
    found = [
        PostExplanation(text, tuple(words_of(text)), np.zeros(len(words_of(text))), label, 0.0, 0.0, 16)
        for text, label in zip(texts, world.truth, strict=True)
    ]
    deciding = deciding_words(found, frame, truth, explainer.scorer.labels)
    known = truth.posts.filter(pl.col("post_id").is_in(frame["post_id"].implode()))
    kinds = dict(known.select("post_id", "kind").iter_rows())
    assert all(
        each is None for each, post in zip(deciding, frame["post_id"], strict=True) if kinds[post] == "fact"
    )
    adjectives = {
        each.words[place].lower()
        for each, decides, post in zip(found, deciding, frame["post_id"], strict=True)
        if decides is not None and kinds[post] == "plain"
        for place in np.flatnonzero(decides)
    }
    assert {"great", "awful"} & adjectives
    assert not {"the", ",", "is"} & adjectives


def test_truth_is_recovered_by_itself_and_not_by_its_opposite():
    decides = [np.array([True, False, False, True]), np.array([False, True, False])]
    values = [np.array([3.0, 0.0, 1.0, 2.0]), np.array([0.0, 1.0, -1.0])]
    found = recovered(decides, {"right": values, "wrong": [-each for each in values]}, seed=0)
    assert found is not None
    assert found["posts"] == 2
    for name, value in (("right", 1.0), ("wrong", 0.0)):
        assert [found["explanations"][name][what]["value"] for what in ("precision", "auroc")] == [value] * 2
    assert recovered([], {"right": []}, seed=0) is None


def test_examples_are_posts_of_their_kind_and_no_two_say_the_same(world):
    table = world.table
    shown = posts_to_show(table)
    for name, rows in shown.items():
        chosen = table[rows]
        assert chosen["group"].n_unique() == len(rows) <= 4
        assert chosen["abstains"].all() if name == "abstained" else not chosen["abstains"].any()
    right = table[shown["surest_right"]]
    assert (right["truth"] == right["network"]).all()
    wrong = table[shown["surest_wrong"]]
    assert (wrong["truth"] != wrong["network"]).all()


def test_words_of_a_label_are_those_seen_often_enough_without_case():
    posts = []
    for word in ("Great", "great", "GREAT", "great", "gReat", "once"):
        values = np.array([2.0, -1.0])
        posts.append(PostExplanation(f"{word} day", tuple(words_of(f"{word} day")), values, 1, 0.0, 1.0, 16))
    words = words_by_label(posts, ("negative", "positive"))
    assert SEEN_AT_LEAST == 5
    assert words == {"negative": [], "positive": [{"word": "great", "count": 5, "mean": 2.0}]}
