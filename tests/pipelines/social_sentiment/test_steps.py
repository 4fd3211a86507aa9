"""Steps: a leak ends the run, decisions are no part of what is learnt, and the card counts weak labels."""

import dataclasses

import numpy as np
import pytest

from pipelines.social_sentiment import steps
from pipelines.social_sentiment.config import DecisionConfig, tiny
from shared.errors import FieldworkError
from shared.orchestration.stored import Source


@pytest.fixture
def ingested():
    config = tiny()
    return steps.ingest.function(Source(name="synthetic", sha256=""), config.data, config.seed)


def test_a_leak_between_parts_ends_the_run(ingested, monkeypatch):
    """As if a test post had been left in the training."""
    divide = steps.divide

    def leaking(posts, config, seed):
        found = divide(posts, config, seed)
        return dataclasses.replace(found, train=np.union1d(found.train, found.test[:3]))

    monkeypatch.setattr(steps, "divide", leaking)
    with pytest.raises(FieldworkError, match="post_overlap"):
        steps.split.function(ingested, tiny().protocol, 0)


def test_what_is_said_of_the_division_is_what_was_done(ingested):
    divided = steps.split.function(ingested, tiny().protocol, 0)
    assert divided.method.startswith("By time, the test from 2026-")
    assert "nobody who tests trains" in divided.method
    at_random = tiny().protocol.model_copy(update={"split": "random"})
    assert steps.split.function(ingested, at_random, 0).method.startswith("At random")


def test_only_what_weights_depend_on_decides_whether_they_are_learnt_again():
    config = tiny()
    same = config.model_copy(update={"decision": DecisionConfig(abstain_share=0.5), "seed": 3})
    assert steps.learnt(same) == steps.learnt(config)
    more = config.training.model_copy(update={"num_seeds": 3})
    assert steps.learnt(config.model_copy(update={"training": more})) == steps.learnt(config)
    longer = config.training.model_copy(update={"epochs": 9})
    assert steps.learnt(config.model_copy(update={"training": longer})) != steps.learnt(config)
