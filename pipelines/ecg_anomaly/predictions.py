"""Everything that is said about the beats of test recordings, in one table: detector, classifier, baselines."""

import numpy as np
import polars as pl

from pipelines.ecg_anomaly.baselines import score_baselines
from pipelines.ecg_anomaly.classify import classify
from pipelines.ecg_anomaly.inputs import BeatInputs
from pipelines.ecg_anomaly.labels import CLASSES, class_name
from pipelines.ecg_anomaly.model import Detector
from pipelines.ecg_anomaly.protocol import Fold
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.threshold import Judged, Thresholds
from pipelines.ecg_anomaly.train import Fitted, Trainer, anomaly_parts

SCORE = "score"


def predict_fold(trainer: Trainer, fitted: Fitted, fold: Fold) -> pl.DataFrame:
    """One row for each beat of the test recordings of a fold.

    As `judged_beats`, with predicted_class, by the classifier; flagged_textbook, by mean + 3 standard deviations; and a
    column of scores for each baseline.
    """
    beats = trainer.recordings.beats_of(fold.test)
    table = judged_beats(fitted.detector, fitted.thresholds, trainer.recordings, trainer.inputs, beats)
    found = classify(trainer, fitted.detector, fold.train, beats, f"fold-{fold.number}-classifier")
    rivals = score_baselines(trainer.recordings, trainer.inputs, fold.train, beats, trainer.config)
    seen = fitted.thresholds.everybody.scores
    return table.with_columns(
        pl.lit(fold.number).alias("fold"),
        pl.Series("predicted_class", [CLASSES[code] for code in found], dtype=pl.String),
        (pl.col(SCORE) > seen.mean() + 3 * seen.std()).alias("flagged_textbook"),
        *(pl.Series(name, scores) for name, scores in rivals.items()),
    )


def judged_beats(
    detector: Detector, thresholds: Thresholds, recordings: Recordings, inputs: BeatInputs, beats: np.ndarray
) -> pl.DataFrame:
    """One row for each of some beats: whole recordings, in the order of `recordings.beats`.

    beat (position in `recordings.beats`), record, patient, beat_time (s), beat_class, signal_quality, shape and rhythm
    (parts of the score), score, threshold, p_value, flagged.
    """
    facts = recordings.beats
    parts = anomaly_parts(detector, inputs, beats)
    scores, record = parts.sum(1), facts.record[beats]
    time_s = facts.r_sample[beats] / recordings.rate_hz
    judged = _joined(
        [thresholds.judge(scores[record == one], time_s[record == one]) for one in np.unique(record)]
    )
    return pl.DataFrame(
        {
            "beat": beats,
            "record": [recordings.names[one] for one in record],
            "patient": [recordings.patients[one] for one in record],
            "beat_time": time_s,
            "beat_class": pl.Series([class_name(code) for code in facts.beat_class[beats]], dtype=pl.String),
            "signal_quality": facts.quality[beats],
            "shape": parts[:, 0],
            "rhythm": parts[:, 1],
            SCORE: scores,
            "threshold": judged.threshold,
            "p_value": judged.p_value,
            "flagged": judged.flagged,
        }
    )


def _joined(parts: list[Judged]) -> Judged:
    return Judged(
        *(
            np.concatenate([getattr(part, name) for part in parts]) if parts else np.zeros(0)
            for name in ("threshold", "p_value", "flagged")
        )
    )
