"""A small network that was trained on generated posts, with its test: made once for all tests of the domain."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pytest


@dataclass(frozen=True)
class World:
    """Generated posts, their division, and a calibrated scorer that knows neither calibration nor test posts."""

    posts: Any
    division: Any
    scorer: Any
    config: Any

    @cached_property
    def test(self) -> pl.DataFrame:
        return self.posts.frame[self.division.test]

    @cached_property
    def truth(self) -> np.ndarray:
        return self.numbers(self.division.test)

    @cached_property
    def logits(self) -> np.ndarray:
        found: np.ndarray = self.scorer.logits(self.test["text"])
        return found

    @cached_property
    def table(self) -> pl.DataFrame:
        """The test table, with the baseline that reads nothing."""
        from pipelines.social_sentiment.baselines import fit_baselines
        from pipelines.social_sentiment.predictions import Judged, predict_test

        train = self.division.train
        texts = self.scorer.prepared(self.posts.frame["text"][train])
        return predict_test(
            self.test,
            self.scorer.prepared(self.test["text"]),
            self.truth,
            self.division.groups[self.division.test],
            Judged(self.logits, self.scorer.calibration),
            {},
            fit_baselines(texts, self.numbers(train), self.posts.labels, 0, ["majority"]),
        )

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        places = {label: number for number, label in enumerate(self.posts.labels)}
        found: np.ndarray = self.posts.frame["label"][rows].replace_strict(places).to_numpy()
        return found


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELDWORK_HOME", str(tmp_path_factory.mktemp("world")))
        return _made()


def _made() -> World:
    from pipelines.social_sentiment.calibrate import Calibration
    from pipelines.social_sentiment.config import tiny
    from pipelines.social_sentiment.ingest import read_posts
    from pipelines.social_sentiment.protocol import divide
    from pipelines.social_sentiment.score import Scorer
    from pipelines.social_sentiment.text import prepare
    from pipelines.social_sentiment.train import Trainer

    config = tiny()
    posts = read_posts("synthetic", config.data, config.seed).posts
    division = divide(posts, config.protocol, config.seed)
    blank = World(posts, division, None, config)
    texts = posts.frame["text"]
    trained = Trainer(config).fit(
        prepare(texts[division.train], config.text),
        blank.numbers(division.train),
        len(posts.labels),
        seed=config.seed,
        name="network",
    )
    neutral = Scorer.of(trained, Calibration.neutral(3), posts.labels, config)
    calibration = Calibration.fit(
        neutral.logits(texts[division.calibration]),
        blank.numbers(division.calibration),
        config.decision,
        config.seed,
    )
    return World(posts, division, Scorer.of(trained, calibration, posts.labels, config), config)
