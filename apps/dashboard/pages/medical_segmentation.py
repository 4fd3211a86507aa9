"""Medical segmentation: cases for a human first, an image with its mask and measures, and how far to trust them."""

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from apps.dashboard.components.metrics_table import metrics_table
from apps.dashboard.components.upload import score_upload
from apps.dashboard.domain import Domain
from apps.dashboard.manifests import HELP
from apps.dashboard.page import open_page, show_views
from apps.dashboard.published import Model
from apps.dashboard.scoring import scorer
from apps.dashboard.views.segmentation import review_cases
from apps.dashboard.views.segmentation_evidence import explanation_checks, referral, single_cases, structures
from pipelines.medical_segmentation.wording import NOT_A_MEDICAL_DEVICE

if TYPE_CHECKING:
    from pipelines.medical_segmentation.score import Scorer


def _example(model: Model, folder: Path) -> Path:
    from pipelines.medical_segmentation.example import write_example

    return write_example(scorer(DOMAIN, model), folder)


DOMAIN: "Domain[Scorer]" = Domain(
    pipeline="medical_segmentation",
    titles={
        "test/dice": "Dice, mean over cases",
        "test/dice_kept": "Dice without referred cases",
        "test/referred": "Cases for a human",
        "test/hd95": "Hausdorff distance, 95 %",
        "test/quadratic_kappa": "Quadratic weighted kappa",
        "test/referable_auc": "AUROC, cases for a specialist",
        "test/iou": "IoU, mean over cases",
        "test/nsd": "Normalised surface distance",
        "test/size_error": "Median error of the size, share of it",
        "test/found_where_absent": "Found where nobody drew any",
        "test/ece": "Calibration error of pixels",
    },
    baselines={
        "threshold": "brightness threshold",
        "mean_mask": "mean mask",
        "nearest_case": "most similar training case",
    },
    example=_example,
    accepts=(
        "png",
        "jpg",
        "jpeg",
        "tif",
        "tiff",
        "bmp",
        "nii",
        "gz",
        "dcm",
        "ima",
        "csv",
        "jsonl",
        "parquet",
    ),
    several=True,
    explains=False,
)


def main() -> None:
    model = open_page(DOMAIN)
    st.caption(NOT_A_MEDICAL_DEVICE)
    show_views(
        {
            "Cases": lambda: _cases(model),
            "How far to trust it": lambda: _trust(model),
        }
    )


def _cases(model: Model) -> None:
    st.caption(HELP)
    scored = score_upload(DOMAIN, model)
    if scored is not None:
        review_cases(DOMAIN, model, scored)


def _trust(model: Model) -> None:
    """What was published about the test cases; each was seen by a network that did not know its patient."""
    if model.config["task"] == "segmentation":
        left, right = st.columns(2)
        with left:
            single_cases(model, key=DOMAIN.key("dice"))
        with right:
            referral(model, key=DOMAIN.key("referral"))
        st.caption(
            "The mean hides the single case. Right: the nearer the blue line is to the green one, the better "
            "confidence knows where the network errs; on the grey one it knows nothing."
        )
        st.markdown("##### By structure")
        structures(model, key=DOMAIN.key("structures"))
    st.markdown("##### All numbers of the test")
    metrics_table(model, DOMAIN.titles, DOMAIN.baselines, key=DOMAIN.key("metrics"))
    st.markdown("##### How far the maps hold (Grad-CAM)")
    explanation_checks(model)


if __name__ == "__main__":
    main()
