"""Scoring one transaction at a time, from a state of customers and terminals that survives a restart."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import torch

from pipelines.fraud_detection.config import FeatureConfig
from pipelines.fraud_detection.score import Scorer, affine
from pipelines.fraud_detection.streaming import NO_CATEGORIES, FeatureState, Transaction


@dataclass(frozen=True, slots=True)
class LiveScore:
    """Score and probability (None without labels) as in a batch; `alert` as far as it is known before the day ends."""

    score: float
    probability: float | None
    alert: bool


class LiveScorer:
    """A scorer with the state that its features need. For one thread, as the state is."""

    def __init__(self, scorer: Scorer, state: FeatureState) -> None:
        self.scorer, self.state = scorer, state
        self._slope, self._offset = affine(scorer.calibration)

    @classmethod
    def begin(cls, scorer: Scorer) -> Self:
        """With everything in the scorer's history as known."""
        return cls(scorer, FeatureState.after(scorer.history, *_described(scorer)))

    @classmethod
    def load(cls, scorer: Scorer, path: Path) -> Self:
        """With the state that `save` wrote. Raises RequestError for another file or one of another configuration."""
        return cls(scorer, FeatureState.load(path, *_described(scorer)))

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        self.state.save(path)

    def observe(self, transaction: Transaction) -> LiveScore:
        """Score an incoming transaction as a batch would, to 1e-6 of the score; it is then part of what is known.

        Raises RequestError when a category that the model was trained with is missing.
        """
        features = self.state.observe(transaction)
        scaling, scorer = self.scorer.scaling, self.scorer
        values = np.array([[features[name] for name in scaling.names]])
        with torch.inference_mode():
            raw = scorer.detector(scaling.scaled(values, scorer.config.model.scoring_limit))
        score = self._slope * float(raw) + self._offset
        probability = scorer.probability(np.array([score]))
        return LiveScore(
            score, None if probability is None else float(probability[0]), scorer.decision.at_once(score)
        )

    def learn_label(
        self,
        terminal_id: str,
        time: datetime,
        label_time: datetime | None = None,
        categories: Mapping[str, str | None] = NO_CATEGORIES,
    ) -> None:
        """A transaction of `time` at this terminal turned out to be fraud; see `FeatureState.learn_label`."""
        self.state.learn_label(terminal_id, time, label_time, categories)


def _described(scorer: Scorer) -> tuple[FeatureConfig, bool, tuple[str, ...]]:
    """What decides which features there are."""
    return scorer.config.features, scorer.labelled, scorer.config.data.categories
