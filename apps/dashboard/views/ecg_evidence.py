"""What a run published about the alarms of test recordings, and beats of them: found, missed, flagged in vain."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from apps.dashboard.components.banners import explanation_banner, part
from apps.dashboard.components.figures import COLOURS, bar_height, figure
from apps.dashboard.components.text import escaped
from apps.dashboard.domain import AnyDomain
from apps.dashboard.published import Model
from apps.dashboard.views.ecg_beats import beat_paper, beat_parts
from pipelines.ecg_anomaly.wording import CLASS_TITLES, moment, share
from shared.publishing.blocks import estimate, interval, show

_GALLERIES = {
    "found": "Abnormal, flagged",
    "missed": "Abnormal, missed",
    "false_alarms": "Normal, flagged in vain",
}
_THRESHOLDS = {"": "threshold in use", "_at_1": "at 1 % false alarms", "_at_5": "at 5 % false alarms"}
_MOST_RECORDS = 30
_BEAT_PIXELS = (460, 460)


@part
def example_beats(domain: AnyDomain, model: Model) -> None:
    """Beats of patients whom the network had not seen, each beside the usual one of its patient."""
    document = model.metrics["explanation"]
    galleries = {name: title for name, title in _GALLERIES.items() if document["examples"][name]}
    if not galleries:
        st.text("No test beat was flagged, and none was marked abnormal.")
        return
    kind = st.segmented_control(
        "Test beats",
        list(galleries),
        default=next(iter(galleries)),
        required=True,
        format_func=lambda each: galleries[each],
        key=domain.key("gallery"),
    )
    beats = document["examples"][kind or next(iter(galleries))]
    number = st.segmented_control(
        "Beat",
        range(len(beats)),
        default=0,
        required=True,
        format_func=lambda each: f"{beats[each]['record']}, {moment(beats[each]['beat_time'])}",
        key=domain.key(f"example/{kind}"),
    )
    beat = beats[number or 0] | {name: document[name] for name in ("rate_hz", "before", "segment")}
    with st.container(horizontal=True, gap="medium"):
        left, right = (st.container(width=pixels) for pixels in _BEAT_PIXELS)
    with left:
        beat_paper(beat, key=domain.key("example-paper"))
    with right:
        beat_parts(model, beat, key=domain.key("example-parts"))


def false_alarms(model: Model, *, key: str) -> None:
    """Normal beats that are flagged in each test recording, beside the promise."""
    import plotly.graph_objects as go

    cards = [card for card in model.metrics["per_record"] if card["false_alarm_rate"] is not None]
    if not cards:
        st.text("No test recording has enough normal beats to say how many of them are flagged.")
        return
    worst = sorted(cards, key=lambda card: -card["false_alarm_rate"])[:_MOST_RECORDS]
    promised = model.config["threshold"]["false_alarms"]
    drawing = go.Figure()
    drawing.add_bar(
        x=[100 * card["false_alarm_rate"] for card in worst],
        y=[escaped(card["record"]) for card in worst],
        orientation="h",
        marker_color=COLOURS["blue"],
        hovertemplate="%{y}: %{x:.2f} %<extra></extra>",
    )
    if model.config["threshold"]["rule"] == "conformal":
        drawing.add_vline(
            100 * promised,
            line_color=COLOURS["orange"],
            line_width=1.5,
            annotation_text=f"promised on average, {share(promised)}",
            annotation_position="bottom right",
        )
    drawing.update_yaxes(autorange="reversed", type="category", ticksuffix=" ")
    most = f", the {_MOST_RECORDS} worst of {len(cards)}" if len(cards) > _MOST_RECORDS else ""
    figure(
        drawing,
        f"False alarms of each test recording{most}",
        x="normal beats that are flagged, %",
        key=key,
        height=bar_height(len(worst), row=24),
        legend=False,
    )


def sensitivities(model: Model, *, key: str) -> None:
    """Which share of the abnormal beats of each class is flagged, at the threshold in use and at two others."""
    metrics = model.summary.metrics
    rows = []
    for kind in ("V", "S", "F"):
        row = {"class": CLASS_TITLES[kind], "test beats": show(model.metrics["counts"]["beats"][kind])}
        for end, title in _THRESHOLDS.items():
            row[title] = _cell(metrics[f"test/sensitivity_{kind.lower()}{end}"].model_dump())
        rows.append(row)
    st.dataframe(rows, hide_index=True, key=key)
    st.caption(
        "Only the threshold in use was fixed before the test. The other columns take theirs from the test beats "
        "themselves and say what the score could do."
    )


def from_the_signal(model: Model, *, key: str) -> None:
    """What comes of recordings of which nobody marked the beats."""
    document = model.metrics["end_to_end"]
    rows = [
        {
            "class": title,
            "marked": show(facts["marked"]),
            "R peaks found": share(facts["found"]),
            "flagged": share(facts["flagged"]),
        }
        for kind, title in CLASS_TITLES.items()
        if (facts := document["classes"].get(kind)) is not None
    ]
    st.dataframe(rows, hide_index=True, key=key)


def explanation_checks(model: Model) -> None:
    """What the published checks say of the explanations."""
    explanation_banner(model)
    document = model.metrics["explanation"]
    faithfulness = document["attribution"]["faithfulness"]
    if not faithfulness:
        return
    gain = faithfulness["deletion_gain"]
    lines = [
        f"On {document['attribution']['rows']} test beats, putting the usual beat in place of the strongest pieces "
        f"first lowers the score by {show(gain['value'], 2)} more than a random order ({show(gain['low'], 2)} to "
        f"{show(gain['high'], 2)}).",
        "Networks of random weights rank the pieces of a beat alike, with a correlation of "
        f"{show(document['likeness_to_random'], 2)}: what is far from the usual beat surprises any network.",
    ]
    for line in lines:
        st.markdown(f"- {line}")


def _cell(metric: Mapping[str, Any]) -> str:
    if metric["value"] is None:
        return "–"
    between = interval(metric)
    return f"{estimate(metric)} ({between})" if between else estimate(metric)
