"""Explanations of posts: they add up, by words, for the label given, and each post stands alone."""

import json

import numpy as np
import polars as pl
import pytest
import torch

from pipelines.social_sentiment.explainer import MAX_STEPS, Explainer, PostExplanation, explained
from pipelines.social_sentiment.text import words_of
from pipelines.social_sentiment.tokens import NO_WORD

ODD = ["😍", "great", "[USER]", "", "!!!", "ünïcöde 😡 #fail http", "word " * 200]
ODD_NAMES = [
    "emoji",
    "one word",
    "a user alone",
    "nothing left",
    "one mark",
    "all kinds",
    "longer than is read",
]


@pytest.fixture(scope="module")
def explainer(world) -> Explainer:
    return Explainer.of(world.scorer)


@pytest.fixture(scope="module")
def texts(world) -> list[str]:
    return world.scorer.prepared(world.test["text"])[:24]


@pytest.fixture(scope="module")
def found(explainer, texts) -> list[PostExplanation]:
    return explainer.explain(texts)


def margin(explainer: Explainer, text: str, label: int) -> float:
    ids = torch.from_numpy(explainer.tokens.encode([text]).ids).long()[None]
    with torch.inference_mode():
        logits = explainer.network(ids)[0].double().numpy()
    return float(logits[label] - np.delete(logits, label).mean())


def test_contributions_sum_to_the_margin_of_the_label_over_that_of_the_baseline(explainer, found):
    for each in found:
        assert each.output == pytest.approx(margin(explainer, each.text, each.label), abs=1e-4)
        allowed = max(0.05 * abs(each.output - each.base), 0.05)
        assert abs(each.gap) <= allowed or each.steps == MAX_STEPS


def test_the_label_explained_is_the_one_that_scoring_gives(world, found):
    given = world.scorer.sentiment(world.test[:24], world.logits[:24])["label"].to_list()
    assert [world.scorer.labels[each.label] for each in found] == given


def test_words_are_sums_of_their_tokens_and_special_tokens_have_none(explainer, texts):
    """Against plain integrated gradients of all token embeddings, summed by hand."""
    text = max(texts, key=len)
    (each,) = explainer.explain([text])
    ids, word = explainer.tokens.words(text, words_of(text))
    tokens = torch.from_numpy(ids).long()[None]
    here = explainer.network.encoder.embed(tokens).detach()
    pad = explainer.network.encoder.embed(torch.tensor([[explainer.tokens.pad_id]])).detach()
    special = torch.from_numpy(word == NO_WORD)[None, :, None]
    there = torch.where(special, here, pad)
    total = torch.zeros_like(here)
    nodes, weights = np.polynomial.legendre.leggauss(64)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        point = (there + node * (here - there)).requires_grad_()
        logits = explainer.network.of_embedded(point)[0]
        chosen = logits[each.label]
        target = chosen - (logits.sum() - chosen) / (len(logits) - 1)
        total += weight * torch.autograd.grad(target, point)[0]
    by_token = (total * (here - there)).sum(-1)[0].numpy()
    assert np.abs(by_token[word == NO_WORD]).max() == 0
    by_word = np.array([by_token[word == place].sum() for place in range(len(each.spans))])
    assert each.contributions == pytest.approx(by_word, abs=0.05)
    assert len(np.unique(word)) < len(word), "no word of several tokens was looked at"


def test_an_explanation_does_not_depend_on_the_posts_beside_it(explainer, texts, found):
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = explainer.explain([texts[place] for place in order])
    for place, each in zip(order, shuffled, strict=True):
        assert each.contributions == pytest.approx(found[place].contributions, abs=1e-4)
    (alone,) = explainer.explain(texts[:1])
    assert alone.contributions == pytest.approx(found[0].contributions, abs=1e-4)


@pytest.mark.parametrize("text", ODD, ids=ODD_NAMES)
def test_odd_posts_are_explained_word_by_word(explainer, text):
    (each,) = explainer.explain([text])
    assert len(each.contributions) == len(each.spans) == len(words_of(text))
    assert np.isfinite(each.contributions).all()
    assert set(each.deciding()) <= set(each.words)


def test_words_behind_what_is_read_add_nothing(explainer):
    (each,) = explainer.explain(["word " * 200])
    assert each.contributions[0] != 0
    assert (each.contributions[-100:] == 0).all()


def test_an_other_label_can_be_explained(explainer, texts):
    (negative,), (positive,) = (explainer.explain(texts[:1], [label]) for label in (0, 2))
    assert (negative.label, positive.label) == (0, 2)
    assert not np.allclose(negative.contributions, positive.contributions)


def test_explaining_leaves_the_network_as_it_was(world, explainer, texts):
    before = {name: tensor.clone() for name, tensor in world.scorer.network.state_dict().items()}
    explainer.explain(texts[:3])
    assert all(torch.equal(before[name], now) for name, now in world.scorer.network.state_dict().items())
    assert all(parameter.grad is None for parameter in world.scorer.network.parameters())


def test_deciding_words_are_distinct_strong_and_strongest_first():
    text = "not not good but bad"
    spans = tuple(words_of(text))
    each = PostExplanation(text, spans, np.array([0.5, 2.0, 1.0, 0.15, -3.0]), 0, 0.0, 0.65, 16)
    assert each.deciding() == ["not", "good"]
    assert each.deciding(1) == ["not"]
    against = PostExplanation(text, spans, -np.ones(5), 0, 0.0, -5.0, 16)
    assert against.deciding() == []


def test_deciding_words_of_scoring_are_json_lists_of_words_of_the_post(world):
    posts = pl.Series("text", ['@sam "quoted" \\ great <b>😍</b> https://a.example/x', "🤷", "so so bad"])
    lists = [json.loads(words) for words in explained(world.scorer, posts)]
    for words, text in zip(lists, world.scorer.prepared(posts), strict=True):
        assert len(words) <= 5
        assert all(word in text for word in words)
    assert not any("sam" in word or "a.example" in word for words in lists for word in words)


def test_no_post_gives_no_words(world):
    assert explained(world.scorer, pl.Series("text", [], dtype=pl.String)).to_list() == []
