"""ECG anomaly detection: a recording with its flagged beats, test beats, and whether the alarm rate can be trusted."""

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from apps.dashboard.components.metrics_table import metrics_table
from apps.dashboard.components.upload import score_upload
from apps.dashboard.domain import TABLES, Domain
from apps.dashboard.manifests import HELP
from apps.dashboard.page import open_page, show_views
from apps.dashboard.published import Model
from apps.dashboard.scoring import scorer
from apps.dashboard.views.ecg import review_recording
from apps.dashboard.views.ecg_evidence import (
    example_beats,
    explanation_checks,
    false_alarms,
    from_the_signal,
    sensitivities,
)
from pipelines.ecg_anomaly.wording import NOT_A_MEDICAL_DEVICE

if TYPE_CHECKING:
    from pipelines.ecg_anomaly.score import Scorer


def _example(model: Model, folder: Path) -> Path:
    from pipelines.ecg_anomaly.example import write_example

    return write_example(scorer(DOMAIN, model), folder)


DOMAIN: "Domain[Scorer]" = Domain(
    pipeline="ecg_anomaly",
    titles={
        "test/auroc": "AUROC, all abnormal beats",
        "test/false_alarm_rate": "False alarms, share of normal beats",
        "test/sensitivity_v": "Ventricular beats flagged",
        "test/sensitivity_s": "Supraventricular beats flagged",
        "test/auroc_v": "AUROC, ventricular",
        "test/auroc_s": "AUROC, supraventricular",
        "test/auroc_f": "AUROC, fusion",
        "test/average_precision": "Average precision",
        "test/sensitivity_f": "Fusion beats flagged",
        "test/false_alarm_rate_textbook": "False alarms at mean + 3 standard deviations",
        "test/sensitivity_v_at_1": "Ventricular beats at 1 % false alarms",
        "test/sensitivity_v_at_5": "Ventricular beats at 5 % false alarms",
        "test/sensitivity_s_at_1": "Supraventricular beats at 1 % false alarms",
        "test/sensitivity_s_at_5": "Supraventricular beats at 5 % false alarms",
        "test/sensitivity_f_at_1": "Fusion beats at 1 % false alarms",
        "test/sensitivity_f_at_5": "Fusion beats at 5 % false alarms",
    },
    baselines={
        "usual_beat_and_earliness": "usual beat + earliness, no network",
        "nearest_neighbours": "k nearest normal beats",
        "pca_and_interval": "PCA + RR interval",
        "pca": "PCA reconstruction",
        "interval_rule": "RR interval rule",
    },
    example=_example,
    accepts=("hea", "dat", "atr", "edf", *TABLES),
    several=True,
)


def main() -> None:
    model = open_page(DOMAIN)
    st.caption(NOT_A_MEDICAL_DEVICE)
    show_views(
        {
            "A recording": lambda: _recording(model),
            "Test beats": lambda: example_beats(DOMAIN, model),
            "Can the alarm rate be trusted": lambda: _trust(model),
        }
    )


def _recording(model: Model) -> None:
    st.caption(HELP)
    scored = score_upload(DOMAIN, model)
    if scored is not None:
        review_recording(DOMAIN, model, scored)


def _trust(model: Model) -> None:
    """What was published about the test recordings; each was judged by a network that did not know its patient."""
    false_alarms(model, key=DOMAIN.key("false-alarms"))
    st.caption("The promise is for the average over patients: single ones lie far above and below it.")
    st.markdown("##### Share of abnormal beats that are flagged")
    sensitivities(model, key=DOMAIN.key("sensitivities"))
    st.markdown("##### From the signal alone, where nobody marked the beats")
    from_the_signal(model, key=DOMAIN.key("end-to-end"))
    st.markdown("##### All numbers of the test")
    metrics_table(model, DOMAIN.titles, DOMAIN.baselines, key=DOMAIN.key("metrics"))
    st.markdown("##### How far the explanations hold")
    explanation_checks(model)


if __name__ == "__main__":
    main()
