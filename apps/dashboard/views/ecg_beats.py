"""Beats of a recording: a strip of them on paper, the flagged ones in a list, one of them and what makes its score."""

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from apps.dashboard.components.attribution import Part, attribution_chart
from apps.dashboard.components.ecg_paper import Mark, beat_on_paper, paper_strip
from apps.dashboard.components.results import results_table
from apps.dashboard.components.text import markdown_text
from apps.dashboard.published import Model
from pipelines.ecg_anomaly.wording import CLASS_TITLES, beat_sentence, moment, pieces, share
from shared.publishing.blocks import show

if TYPE_CHECKING:
    import polars as pl

    from pipelines.ecg_anomaly.review import Reviewed

_MOST_LISTED = 500
# Strips begin on a line of the paper, s.
_SQUARE_S = 0.2


def strip(seen: "Reviewed", name: str, beats: "pl.DataFrame", at: float, seconds: float, *, key: str) -> None:
    """The stretch of a recording with the beat at `at` in its middle; beats: see `Reviewed.beats`."""
    import polars as pl

    start = max(0.0, min(at - seconds / 2, 3600 * seen.hours(name) - seconds))
    start = float(np.floor(start / _SQUARE_S) * _SQUARE_S)
    time, voltage = seen.signal(name, start, seconds)
    inside = beats.filter(pl.col("beat_time").is_between(start, start + seconds))
    flagged = inside.filter("flagged")
    paper_strip(
        time,
        voltage,
        [_mark(row) for row in inside.iter_rows(named=True)],
        f"{name} from {moment(start)}",
        start_s=start,
        seconds=seconds,
        key=key,
        hot=_hot(seen, flagged, time) if flagged.height else None,
        alt=f"{seconds:g} seconds from {moment(start)} with {flagged.height} flagged beats",
    )
    st.caption(
        "Shaded beats are flagged; thick orange is where such a beat is unlike the usual one of this patient. "
        "Letters are classes that somebody marked, ▾ is a flagged beat that nobody marked."
    )


def flagged_list(name: str, flagged: "pl.DataFrame", *, key: str) -> float | None:
    """Flagged beats to choose from; returns the time of the chosen one."""
    import polars as pl

    listed = flagged.head(_MOST_LISTED)
    table = listed.select(
        at=pl.Series([moment(at) for at in listed["beat_time"]], dtype=pl.String),
        score="score",
        quality="signal_quality",
        rate="heart_rate",
        marked="beat_class",
    )
    row = results_table(
        table,
        key=f"{key}/{name}",
        columns={
            "at": st.column_config.TextColumn("at", width="small"),
            "score": st.column_config.NumberColumn("score", format="%.1f", width="small"),
            "quality": st.column_config.NumberColumn("quality", format="%.2f", width="small"),
            "rate": st.column_config.NumberColumn(
                "rate", format="%.0f", width="small", help="Beats a minute, by the interval before."
            ),
            "marked": st.column_config.TextColumn("marked", width="small"),
        },
        choose=True,
        height=360,
    )
    st.caption("Good signal first, then the highest score. Poor signal shapes beats, too.")
    return None if row is None else float(listed["beat_time"][row])


def beat_paper(beat: dict[str, Any], *, key: str) -> None:
    """One beat over its usual one; beat: see `Reviewed.explained`."""
    time = (np.arange(len(beat["beat_mv"])) - beat["before"]) / beat["rate_hz"]
    marked = CLASS_TITLES.get(beat["beat_class"] or "", "not marked").lower()
    beat_on_paper(
        time,
        np.array(beat["beat_mv"]),
        np.array(beat["usual_mv"]),
        np.array(beat["heat"]),
        f"{beat['record']}, {moment(beat['beat_time'])}, marked {marked}",
        key=key,
        alt=beat_sentence(beat),
    )
    st.caption(markdown_text(f"{beat_sentence(beat)}."))


def beat_parts(model: Model, beat: dict[str, Any], *, key: str) -> None:
    """What each piece of a beat adds to its score."""
    parts = pieces(beat, rate_hz=beat["rate_hz"], before=beat["before"], segment=beat["segment"])
    attribution_chart(
        model,
        [Part(name, value) for name, value in parts.items()],
        "What makes the score",
        unit="added to the score of the usual beat on time",
        raises="raises the score",
        lowers="lowers it",
        key=key,
    )
    st.caption("Pieces of the beat by their time from the R peak, and how early the beat comes.")


def _mark(row: dict[str, Any]) -> Mark:
    label = row["beat_class"] or ("▾" if row["flagged"] else "")
    rare = "" if row["p_value"] is None else f", {share(row['p_value'], 2)} of normal beats look as abnormal"
    words = f"{moment(row['beat_time'])}: score {show(row['score'], 1)}{rare}, quality {row['signal_quality']:.2f}"
    return Mark(row["beat_time"], label, row["flagged"], words)


def _hot(seen: "Reviewed", flagged: "pl.DataFrame", time: np.ndarray) -> np.ndarray:
    """Heat of flagged beats along a strip, each as a share of its strongest sample."""
    offsets, heat = seen.heat(flagged["place"].to_list())
    hot = np.zeros(len(time))
    for at, values in zip(flagged["beat_time"], heat, strict=True):
        own = np.interp(time - at, offsets, values / max(float(values.max()), 1e-12), left=0.0, right=0.0)
        hot = np.maximum(hot, own)
    return hot
