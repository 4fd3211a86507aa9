"""What is watched of every recording, so that another recorder, other electrodes or other patients are noticed."""

import numpy as np
import polars as pl

from pipelines.ecg_anomaly.predictions import SCORE
from pipelines.ecg_anomaly.recordings import Recordings


def watched(recordings: Recordings, table: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
    """A row for each recording with beats, and its median score, float64 of shape (rows,).

    table: one row for each beat, see `predictions.judged_beats`; position of the beat in `recordings.beats`.
    heart_rate: 60 s over the median RR interval. amplitude_mv: median deflection at the R peak. quality: median of the
    beats. early_share: beats that came by a tenth earlier than usual. noise_share: beats of a quality below one half.
    """
    beats = recordings.beats
    places = table["beat"].to_numpy()
    heights = np.abs(recordings.signal[recordings.offsets[beats.record[places]] + beats.r_sample[places]])
    found = (
        table.select("record", "signal_quality", SCORE)
        .with_columns(
            interval=pl.Series(beats.intervals.before[places]),
            ratio=pl.Series(beats.intervals.ratio[places]),
            height=pl.Series(heights),
        )
        .group_by("record", maintain_order=True)
        .agg(
            heart_rate=60 / pl.col("interval").median().cast(pl.Float64),
            amplitude_mv=pl.col("height").median().cast(pl.Float64),
            quality=pl.col("signal_quality").median().cast(pl.Float64),
            early_share=(pl.col("ratio") < 0.9).mean(),
            noise_share=(pl.col("signal_quality") < 0.5).mean(),
            score=pl.col(SCORE).median(),
        )
    )
    return found.drop("record", "score"), found["score"].to_numpy()
