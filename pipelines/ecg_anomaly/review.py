"""A scored recording as a reviewer reads it: its clean signal with the beats on it, and what other thresholds flag."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch

from pipelines.ecg_anomaly.explain import explained_beat, explainer_of
from pipelines.ecg_anomaly.explainer import SEGMENT, heat
from pipelines.ecg_anomaly.inputs import BeatInputs
from pipelines.ecg_anomaly.predictions import SCORE
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.score import Scorer
from pipelines.ecg_anomaly.score_files import ToScore
from pipelines.ecg_anomaly.train import anomaly_parts
from shared.training.runtime import single_thread

POOR_QUALITY = 0.5
# Alarms that users choose from, as shares of normal beats.
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
_CURVE_POINTS, _LARGEST_SHARE = 60, 0.2


@dataclass(frozen=True, eq=False)
class Reviewed:
    """What `score_files` said of a file, beside the signals. alerts: its output, see the contract `ecg_alerts`."""

    scorer: Scorer
    recordings: Recordings
    alerts: pl.DataFrame

    @classmethod
    def of(cls, scorer: Scorer, scored: Path, alerts: pl.DataFrame) -> Self:
        """Reads the scored file once more. Raises RequestError where that cannot be done any more."""
        with single_thread():
            recordings = ToScore.of(scored, scorer).recordings
        assert len(recordings.beats) == alerts.height, "the alerts are of another file"
        return cls(scorer, recordings, alerts)

    @cached_property
    def names(self) -> list[str]:
        """The recordings, those with most flagged beats an hour first."""
        flagged = dict(self.alerts.group_by("record").agg(pl.col("flagged").sum()).rows())
        return sorted(self.recordings.names, key=lambda name: -flagged.get(name, 0) / self.hours(name))

    def hours(self, name: str) -> float:
        """Length of a recording."""
        place = self.recordings.names.index(name)
        return float(self.recordings.lengths[place]) / self.recordings.rate_hz / 3600

    def beats(self, name: str, false_alarms: float | None = None) -> pl.DataFrame:
        """The alerts of one recording with `place` (position among all beats) and `heart_rate` (beats a minute).

        false_alarms: with the threshold that promises this share; as it was scored without. Raises RequestError for a
        share rarer than the normal beats of training can promise.
        """
        is_own = (self.alerts["record"] == name).to_numpy()
        places = np.flatnonzero(is_own)
        own = self.alerts.filter(is_own).with_columns(
            place=pl.Series(places), heart_rate=pl.Series(60 / self.recordings.beats.intervals.before[places])
        )
        if false_alarms is None:
            return own
        thresholds = self.scorer.thresholds.promising(false_alarms)
        judged = thresholds.judge(own[SCORE].to_numpy(), own["beat_time"].to_numpy())
        return own.with_columns(
            threshold=pl.Series(judged.threshold),
            flagged=pl.Series(judged.flagged),
            p_value=pl.Series(judged.p_value),
        )

    def to_review(self, beats: pl.DataFrame) -> pl.DataFrame:
        """The flagged ones of some beats in the order of review: good signal first, then the highest score."""
        flagged = beats.filter("flagged")
        poor = pl.col("signal_quality") < POOR_QUALITY
        return flagged.sort(poor, "score", descending=[False, True], maintain_order=True)

    def beat_near(self, beats: pl.DataFrame, time_s: float) -> dict[str, Any]:
        """The beat whose R peak is nearest to a time, as a row of `beats`."""
        return beats.row(int((beats["beat_time"] - time_s).abs().arg_min() or 0), named=True)

    def facts(self, name: str, beats: pl.DataFrame) -> dict[str, Any]:
        """Of one recording: hours, beats, flagged, flagged_per_hour, heart_rate (median), poor (share of beats of poor
        signal), lead, patient. beats: see `beats`."""
        hours, flagged = self.hours(name), int(beats["flagged"].sum())
        place = self.recordings.names.index(name)
        return {
            "hours": hours,
            "beats": beats.height,
            "flagged": flagged,
            "flagged_per_hour": flagged / hours,
            "heart_rate": float(np.median(beats["heart_rate"].to_numpy())),
            "poor": float((beats["signal_quality"].to_numpy() < POOR_QUALITY).mean()),
            "lead": self.recordings.leads[place],
            "patient": self.recordings.patients[place],
        }

    @property
    def shares(self) -> list[float]:
        """Promised shares of false alarms that can be chosen, ascending; the one that was scored with among them."""
        thresholds = self.scorer.thresholds
        known = {share for share in SHARES if share >= thresholds.smallest_share}
        return sorted(known | ({self.served} if self.served is not None else set()))

    @property
    def served(self) -> float | None:
        """The share that the model promises; None where its threshold promises nothing."""
        config = self.scorer.thresholds.config
        return config.false_alarms if config.rule == "conformal" else None

    def alarm_rates(self, name: str) -> pl.DataFrame:
        """Alarms over the promised share: share, alarms_per_hour in this recording, and normal_per_hour, which there
        would be if all its beats were like the normal ones of training."""
        hours, own = self.hours(name), self.beats(name)
        thresholds = self.scorer.thresholds
        judged = thresholds.judge(own[SCORE].to_numpy(), own["beat_time"].to_numpy())
        shares = np.geomspace(max(thresholds.smallest_share, SHARES[0]), _LARGEST_SHARE, _CURVE_POINTS)
        # a beat is flagged at a promised share just where its p value is not above it
        flagged = np.searchsorted(np.sort(judged.p_value), shares, side="right")
        return pl.DataFrame(
            {
                "share": shares,
                "alarms_per_hour": flagged / hours,
                "normal_per_hour": shares * own.height / hours,
            }
        )

    def signal(self, name: str, start_s: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Time since the recording began, s, and voltage, mV, of a stretch as far as the recording goes."""
        rate = self.recordings.rate_hz
        whole = self.recordings.signal_of(self.recordings.names.index(name))
        first = max(0, round(start_s * rate))
        voltage = whole[first : round((start_s + seconds) * rate)]
        return (first + np.arange(len(voltage))) / rate, voltage

    def heat(self, places: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Seconds from the R peak of each sample, (samples,), and the share of each in the surprise of some beats,
        (beats, samples)."""
        explainer = explainer_of(self.scorer, self.recordings.rate_hz)
        with single_thread():
            shares = heat(self.scorer.detector, self._seen.gather(torch.tensor(places, dtype=torch.int64)))
        time = (np.arange(shares.shape[1]) - explainer.before) / explainer.rate_hz
        return time, shares

    def explained(self, beat: dict[str, Any]) -> dict[str, Any]:
        """One beat with its usual one and what each sample adds to its score, see `explain.explained_beat`; beat: a row
        of `beats`. With rate_hz, before and segment, as `wording.pieces` needs them."""
        explainer, place = explainer_of(self.scorer, self.recordings.rate_hz), beat["place"]
        with single_thread():
            shape, rhythm = anomaly_parts(self.scorer.detector, self._seen, np.array([place]))[0]
            row = beat | {"beat": place, "shape": float(shape), "rhythm": float(rhythm)}
            found = explained_beat(explainer, self._seen, row)
        return found | {"rate_hz": explainer.rate_hz, "before": explainer.before, "segment": SEGMENT}

    @cached_property
    def _seen(self) -> BeatInputs:
        with single_thread():
            return BeatInputs.of(self.recordings, self.scorer.beats)
