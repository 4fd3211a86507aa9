"""When a beat is flagged: a score that only a promised share of normal beats of unseen patients exceeds.

Split conformal (Papadopoulos et al. 2002; Laxhammar and Falkman 2010): the threshold is a quantile of the scores of
normal beats of patients whom the network has not seen. The promise holds for beats that are drawn like those, so on
average over patients like those of training; no number of beats makes up for few patients. The textbook's mean plus
three standard deviations is there to compare with: scores are skewed, and it promises nothing.

A patient may also be judged by how his own first minutes score: most beats of anybody are usual for him.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from pipelines.ecg_anomaly.config import ThresholdConfig
from shared.errors import RequestError
from shared.evaluation.conformal import conformal_quantile

# Fewer beats in the first minutes do not say how a patient usually scores.
_FEWEST_BEATS = 30
_TITLES = {"conformal": "split conformal", "three_deviations": "mean + 3 standard deviations"}


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A threshold and what it was taken from. scores: of normal beats of unseen patients, ascending, float64."""

    value: float
    scores: np.ndarray

    @classmethod
    def fit(cls, scores: np.ndarray, config: ThresholdConfig) -> Self:
        """Raises RequestError for too few scores to promise so rare an alarm."""
        if config.rule == "three_deviations":
            return cls(float(scores.mean() + 3 * scores.std()), np.sort(scores))
        value = conformal_quantile(scores, 1 - config.false_alarms)
        if not math.isfinite(value):
            raise RequestError(
                f"Expected at least {math.ceil(1 / config.false_alarms) - 1:,} normal beats of patients whom the "
                f"network has not seen, to promise {config.false_alarms:.2%} false alarms. Received {len(scores):,}."
            )
        return cls(value, np.sort(scores))

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Share of normal beats that score at least as high, counting the beat itself; above 0, (beats,)."""
        num_as_high = len(self.scores) - np.searchsorted(self.scores, scores, side="left")
        shares: np.ndarray = (num_as_high + 1) / (len(self.scores) + 1)
        return shares


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Per beat, (beats,): the threshold, the share of normal beats that score as high, and whether it is flagged."""

    threshold: np.ndarray
    p_value: np.ndarray
    flagged: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """everybody: for scores as they are. own: for scores less what is usual for the patient; None: not adapted.

    usual: the score that is usual for the patients of training.
    """

    config: ThresholdConfig
    everybody: Cut
    own: Cut | None
    usual: float

    @classmethod
    def fit(
        cls,
        scores: np.ndarray,
        is_normal: np.ndarray,
        record: np.ndarray,
        time_s: np.ndarray,
        config: ThresholdConfig,
    ) -> Self:
        """From scores of all beats of patients whom the network has not seen, (beats,), with their recording and the
        time of each R peak since it began, s. Alarms are promised for those that are normal."""
        everybody = Cut.fit(scores[is_normal], config)
        if not config.adapt_minutes:
            return cls(config, everybody, None, 0.0)
        is_first = time_s < 60 * config.adapt_minutes
        found = {one: level(scores[is_first & (record == one)]) for one in np.unique(record)}
        levels = {one: value for one, value in found.items() if value is not None}
        usual = float(np.median(list(levels.values()) or [0.0]))
        shift = np.array([levels.get(one, usual) - usual for one in record])
        later = is_normal & ~is_first
        if not later.any():
            raise RequestError(
                f"Expected recordings longer than threshold.adapt_minutes, {config.adapt_minutes:g}. Received none "
                "with normal beats after that."
            )
        return cls(config, everybody, Cut.fit((scores - shift)[later], config), usual)

    def judge(self, scores: np.ndarray, time_s: np.ndarray) -> Judged:
        """Of all beats of one recording, in the order of time, see `fit`."""
        is_first = time_s < 60 * self.config.adapt_minutes
        return self.judge_with(level(scores[is_first]), scores, is_first)

    def judge_with(self, own_level: float | None, scores: np.ndarray, is_first: np.ndarray) -> Judged:
        """Of beats of a recording with this `level`, those of the first minutes as everybody's."""
        threshold = np.full(len(scores), self.everybody.value)
        p_value = self.everybody.p_values(scores)
        if self.own is not None and own_level is not None:
            shift = own_level - self.usual
            threshold[~is_first] = self.own.value + shift
            p_value[~is_first] = self.own.p_values(scores[~is_first] - shift)
        return Judged(threshold, p_value, scores > threshold)

    @property
    def smallest_share(self) -> float:
        """The rarest alarms that so many normal beats can promise."""
        return 1 / (len(self.everybody.scores) + 1)

    def promising(self, false_alarms: float) -> Self:
        """The conformal threshold of another promised share, from the same beats.

        Raises RequestError for a share below `smallest_share`.
        """
        config = self.config.model_copy(update={"rule": "conformal", "false_alarms": false_alarms})
        own = None if self.own is None else Cut.fit(self.own.scores, config)
        return type(self)(config, Cut.fit(self.everybody.scores, config), own, self.usual)

    @property
    def title(self) -> str:
        """The rule in words."""
        adapted = f", adapted to the first {self.config.adapt_minutes:g} min" if self.own is not None else ""
        return _TITLES[self.config.rule] + adapted

    def arrays(self) -> dict[str, np.ndarray]:
        """What `of_arrays` needs beside the configuration."""
        found = {"everybody": self.everybody.scores, "facts": np.array([self.everybody.value, self.usual])}
        if self.own is not None:
            found |= {"own": self.own.scores, "own_facts": np.array([self.own.value])}
        return found

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], config: ThresholdConfig) -> Self:
        """What `arrays` gave."""
        everybody = Cut(float(arrays["facts"][0]), arrays["everybody"])
        own = Cut(float(arrays["own_facts"][0]), arrays["own"]) if "own" in arrays else None
        return cls(config, everybody, own, float(arrays["facts"][1]))

    def to_json(self) -> dict[str, Any]:
        """Plain values for reports."""
        return {
            "rule": self.config.rule,
            "title": self.title,
            "false_alarms": self.config.false_alarms,
            "value": self.everybody.value,
            "own_value": None if self.own is None else self.own.value,
            "num_beats": len(self.everybody.scores),
        }


def level(scores: np.ndarray) -> float | None:
    """How a patient usually scores, from the first minutes: the median, which ectopic beats hardly move.

    None for too few beats.
    """
    return float(np.median(scores)) if len(scores) >= _FEWEST_BEATS else None
