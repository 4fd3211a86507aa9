"""Batches by tokens: every post once an epoch, within the budget, in an order that only seed and epoch decide."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.social_sentiment.batches import TokenBatches
from pipelines.social_sentiment.tokens import Encoded

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=80)


def _batches(lengths: list[int], budget: int = 64, seed: int = 0) -> TokenBatches:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    # every token of a post is its number, so that posts can be told apart
    ids = np.repeat(np.arange(1, len(lengths) + 1), lengths).astype(np.int32)
    return TokenBatches(Encoded(ids, offsets), np.arange(len(lengths)), pad_id=0, budget=budget, seed=seed)


@given(LENGTHS, st.integers(8, 200))
def test_every_post_comes_once_an_epoch_whole_and_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = _batches(lengths, budget)
    seen: list[int] = []
    for index, batch in enumerate(batches.epoch(0)):
        ids, mask = batch["ids"], batch.get("mask", torch.ones_like(batch["ids"], dtype=torch.bool))
        assert len(ids) == batches.rows_in(0, index)
        assert ids.numel() <= budget or len(ids) == 1
        assert torch.equal(mask.sum(1), torch.tensor(lengths)[batch["label"]])
        assert torch.equal(ids, torch.where(mask, batch["label"][:, None] + 1, 0))
        assert mask.any(0).all(), "a column of padding alone"
        seen += batch["label"].tolist()
    assert sorted(seen) == list(range(len(lengths)))
    assert index + 1 == len(batches)


@given(LENGTHS, st.integers(0, 3))
def test_an_epoch_entered_in_the_middle_continues_it(lengths: list[int], start: int) -> None:
    batches = _batches(lengths)
    whole = list(batches.epoch(1))[start:]
    rest = list(batches.epoch(1, start))
    assert [batch["label"].tolist() for batch in rest] == [batch["label"].tolist() for batch in whole]


def test_epochs_and_seeds_differ_in_order_and_company() -> None:
    lengths = [5, 6, 7, 8] * 50
    first, again = _batches(lengths), _batches(lengths)
    order = [batch["label"].tolist() for batch in first.epoch(0)]
    assert order == [batch["label"].tolist() for batch in again.epoch(0)]
    assert order != [batch["label"].tolist() for batch in first.epoch(1)]
    assert order != [batch["label"].tolist() for batch in _batches(lengths, seed=1).epoch(0)]
    assert {frozenset(part) for part in order} != {
        frozenset(batch["label"].tolist()) for batch in first.epoch(1)
    }


def test_little_is_padding_for_posts_of_all_lengths() -> None:
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(3.1, 0.5, 5000).astype(int), 4, 128).tolist()
    assert _batches(lengths, 1024).padding_share < 0.06


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_every_batch(world: int) -> None:
    lengths = [3, 9, 9, 9, 20, 4] * 10
    whole = [sorted(batch["label"].tolist()) for batch in _batches(lengths).epoch(0)]
    parts = [list(_batches(lengths).shard(rank, world).epoch(0)) for rank in range(world)]
    joined = [
        sorted(torch.cat([part["label"] for part in each]).tolist()) for each in zip(*parts, strict=True)
    ]
    assert joined == whole


def test_other_posts_have_another_digest() -> None:
    assert _batches([3, 4]).digest() != _batches([3, 5]).digest()
    assert _batches([3, 4]).digest() != _batches([3, 4], budget=128).digest()
    assert _batches([3, 4]).digest() == _batches([3, 4]).digest()
