"""A scored recording: where its flagged beats are, a strip of it on paper, one beat and why, and other thresholds."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from apps.dashboard.components.banners import banner, part
from apps.dashboard.components.cards import facts
from apps.dashboard.components.figures import COLOURS, figure
from apps.dashboard.components.kept import kept
from apps.dashboard.components.text import escaped
from apps.dashboard.domain import Domain
from apps.dashboard.manifests import to_score
from apps.dashboard.published import Model
from apps.dashboard.scoring import Scored, scorer
from apps.dashboard.views.ecg_beats import beat_paper, beat_parts, flagged_list, strip
from pipelines.ecg_anomaly.wording import moment, share
from shared.publishing.blocks import show

if TYPE_CHECKING:
    import polars as pl

    from pipelines.ecg_anomaly.review import Reviewed
    from pipelines.ecg_anomaly.score import Scorer

_STRIPS_S = (5, 10, 30)
_USUAL_STRIP_S = 10
_MOST_DOTS = 3000
_CHOICES_PIXELS = (220, 340, 240)
_BEAT_PIXELS = (415, 500, 460, 450)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is looked at: a recording, its beats at the chosen share of false alarms (None: the threshold promises
    nothing), and how long strips are."""

    name: str
    share: float | None
    beats: "pl.DataFrame"
    seconds: float


@part
def review_recording(domain: "Domain[Scorer]", model: Model, scored: Scored) -> None:
    """Everything about one recording of what was scored."""
    from pipelines.ecg_anomaly.review import Reviewed

    network = scorer(domain, model)
    with st.spinner("Reading the recordings ..."):
        seen = kept(
            domain.key("seen"),
            str(scored.output),
            lambda: Reviewed.of(network, to_score(scored.source), scored.frame()),
        )
    shown = _choices(domain, seen)
    flagged = seen.to_review(shown.beats)
    _facts(seen, shown)
    _overview(domain, shown)
    at = _position(domain, shown, flagged)
    strip(seen, shown.name, shown.beats, at, shown.seconds, key=domain.key("paper"))
    _one_beat(domain, model, seen, shown, flagged)


def _choices(domain: "Domain[Scorer]", seen: "Reviewed") -> _Shown:
    """Recording, threshold and length of the strip."""
    # beside each other where there is room, else below
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        first, second, third = (st.container(width=pixels) for pixels in _CHOICES_PIXELS)
    with first:
        name = st.selectbox(
            "Recording",
            seen.names,
            key=domain.key("record"),
            help="Those with most flagged beats an hour come first.",
        )
    with second:
        chosen = seen.served
        if len(seen.shares) > 1 and seen.served is not None:
            chosen = st.select_slider(
                "Flag beats as rare as this among normal ones",
                seen.shares,
                value=seen.served,
                format_func=lambda each: share(each),
                key=domain.key("share"),
                help="The promised share of false alarms over normal beats, on average over patients. The file to "
                f"download keeps what the model promises, {share(seen.served)}.",
            )
    with third:
        seconds = st.segmented_control(
            "Strip",
            _STRIPS_S,
            default=_USUAL_STRIP_S,
            required=True,
            format_func=lambda each: f"{each} s",
            key=domain.key("strip"),
        )
    own = seen.beats(name, None if chosen == seen.served else chosen)
    return _Shown(name, chosen, own, float(seconds or _USUAL_STRIP_S))


def _facts(seen: "Reviewed", shown: _Shown) -> None:
    about = seen.facts(shown.name, shown.beats)
    facts(
        {
            "Flagged": f"{show(about['flagged'])} of {show(about['beats'])} beats",
            "Alarms": f"{show(about['flagged_per_hour'])} an hour",
            "Median heart rate": f"{show(about['heart_rate'], 0)} a minute",
            "Recording": f"{_length(about['hours'])}, lead {about['lead']}",
            "Poor signal": f"{share(about['poor'])} of the beats",
        }
    )


def _length(hours: float) -> str:
    return f"{show(60 * hours, 1)} min" if hours < 2 else f"{show(hours, 1)} h"


def _overview(domain: "Domain[Scorer]", shown: _Shown) -> None:
    """Scores over the whole recording; a click leads to the beat."""
    import plotly.graph_objects as go
    import polars as pl

    beats = shown.beats
    drawing = go.Figure()
    for flagged, words, colour, size in ((False, "beat", "grey", 5), (True, "flagged beat", "orange", 8)):
        own = beats.filter(pl.col("flagged") == flagged)
        # of a day of beats every so many are drawn
        own = own.gather_every(max(1, -(-own.height // _MOST_DOTS)))
        drawing.add_scatter(
            x=own["beat_time"] / 60,
            y=own["score"],
            mode="markers",
            name=words,
            marker={"color": COLOURS[colour], "size": size, "opacity": 0.9 if flagged else 0.55},
            customdata=own["beat_time"],
            text=[moment(at) for at in own["beat_time"]],
            hovertemplate="%{text}: score %{y:.1f}<extra></extra>",
        )
    drawing.add_scatter(
        x=beats["beat_time"] / 60,
        y=beats["threshold"],
        mode="lines",
        line={"color": COLOURS["blue"], "width": 1.5, "shape": "hv"},
        name="threshold",
        hovertemplate="threshold %{y:.2f}<extra></extra>",
    )
    chosen = figure(
        drawing,
        f"Abnormality of every beat of {shown.name}: click one to see it",
        x="time since the recording began, min",
        y="score",
        key=domain.key(f"overview/{shown.name}"),
        height=300,
        alt=f"Scores of {beats.height} beats, {int(beats['flagged'].sum())} of them flagged",
        on_select="rerun",
        selection_mode="points",
    )
    places = [point["customdata"] for point in chosen["selection"]["points"] if "customdata" in point]
    if places:
        _go_once(domain, shown, "overview", float(places[0][0] if isinstance(places[0], list) else places[0]))


def _position(domain: "Domain[Scorer]", shown: _Shown, flagged: "pl.DataFrame") -> float:
    """The beat that is looked at, by its time: at first the first to review, else the most abnormal one."""
    key = domain.key("at")
    held = st.session_state.get(key)
    if held is None or held[0] != shown.name:
        first = flagged if flagged.height else shown.beats.sort("score", descending=True)
        _go(domain, shown.name, float(first["beat_time"][0]))
    at = float(st.session_state[key][1])
    times = flagged["beat_time"].sort().to_numpy()
    before, after = times[times < at], times[times > at]
    with st.container(horizontal=True, vertical_alignment="center"):
        for words, icon, target in (
            ("Flagged before", ":material/chevron_left:", before[-1:]),
            ("Flagged after", ":material/chevron_right:", after[:1]),
        ):
            st.button(
                words,
                icon=icon,
                disabled=not len(target),
                key=domain.key(words),
                on_click=_go,
                args=(domain, shown.name, float(target[0]) if len(target) else at),
            )
        st.caption(f"{show(int((times <= at).sum()))} of {show(len(times))} flagged, at {moment(at)}")
    return at


def _go(domain: "Domain[Scorer]", name: str, at: float) -> None:
    st.session_state[domain.key("at")] = (name, at)


def _go_once(domain: "Domain[Scorer]", shown: _Shown, by: str, at: float) -> None:
    """Go to a beat that was chosen in a figure or a table, once: buttons lead further while it stays chosen."""
    key = domain.key(f"chosen/{by}")
    if st.session_state.get(key) != (shown.name, at):
        st.session_state[key] = (shown.name, at)
        _go(domain, shown.name, at)
        if by == "list":
            # the strip above was drawn before
            st.rerun(scope="fragment")


def _one_beat(
    domain: "Domain[Scorer]", model: Model, seen: "Reviewed", shown: _Shown, flagged: "pl.DataFrame"
) -> None:
    """The list of flagged beats, the one that is looked at with what makes its score, and other thresholds."""
    with st.container(horizontal=True, gap="medium"):
        left, right, below, beside = (st.container(width=pixels) for pixels in _BEAT_PIXELS)
    with left:
        st.markdown("##### Flagged beats")
        if flagged.is_empty():
            banner("neutral", "No beat of this recording is flagged at this threshold.")
        else:
            chosen = flagged_list(shown.name, flagged, key=domain.key("list"))
            if chosen is not None:
                _go_once(domain, shown, "list", chosen)
    beat = seen.beat_near(shown.beats, float(st.session_state[domain.key("at")][1]))
    what = (shown.name, beat["place"], beat["threshold"])
    found = kept(domain.key("explained"), what, lambda: seen.explained(beat))
    with right:
        beat_paper(found, key=domain.key("beat"))
    with below:
        beat_parts(model, found, key=domain.key("parts"))
    with beside:
        _alarm_curve(domain, seen, shown)


def _alarm_curve(domain: "Domain[Scorer]", seen: "Reviewed", shown: _Shown) -> None:
    """Alarms an hour of this recording against the promised share of false alarms."""
    import plotly.graph_objects as go

    from pipelines.ecg_anomaly.review import SHARES

    rates = seen.alarm_rates(shown.name)
    drawing = go.Figure()
    for column, words, colour, dash in (
        ("alarms_per_hour", "this recording", "orange", "solid"),
        ("normal_per_hour", "were all its beats normal", "grey", "dot"),
    ):
        drawing.add_scatter(
            x=100 * rates["share"],
            y=rates[column],
            mode="lines",
            name=words,
            line={"color": COLOURS[colour], "dash": dash, "width": 2.2},
            hovertemplate="at %{x:.2f} %: %{y:.1f} an hour<extra>" + escaped(words) + "</extra>",
        )
    if shown.share is not None:
        drawing.add_scatter(
            x=[100 * shown.share],
            y=[seen.facts(shown.name, shown.beats)["flagged_per_hour"]],
            mode="markers",
            name="chosen",
            marker={"color": COLOURS["blue"], "size": 12},
            hovertemplate="chosen: %{x:.2f} %, %{y:.1f} an hour<extra></extra>",
        )
    ticks = [100 * each for each in SHARES]
    drawing.update_xaxes(
        type="log", tickvals=ticks, ticktext=[f"{tick:g} %" for tick in ticks], minor_ticks=""
    )
    drawing.update_yaxes(rangemode="tozero")
    figure(
        drawing,
        "Threshold against alarm rate",
        x="promised share of normal beats flagged",
        y="alarms an hour",
        key=domain.key("alarms"),
        height=420,
    )
    st.caption(
        "Far above the dotted line: beats unlike normal ones, or a patient unlike those of training. The promise holds "
        "on average over patients, and not for each of them."
    )
