"""Scored images: the cases in the order in which a human should see them, and each with what was found in it."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.dashboard.components.archive import download_folder
from apps.dashboard.components.banners import banner, explanation_banner, part
from apps.dashboard.components.image_viewer import Plane, image_viewer
from apps.dashboard.components.kept import kept
from apps.dashboard.components.pager import pager
from apps.dashboard.components.results import results_table
from apps.dashboard.components.text import markdown_text
from apps.dashboard.domain import Domain
from apps.dashboard.manifests import to_score
from apps.dashboard.published import Model
from apps.dashboard.scoring import Scored, scorer
from shared.publishing.blocks import show

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from pipelines.medical_segmentation.review import Reviewed
    from pipelines.medical_segmentation.score import Scorer

_IMAGE_PIXELS, _BESIDE_PIXELS = 600, 320
_EVIDENCE_LIMITS = (
    "It tells from where in the image a layer of the network spoke for its answer. Not why, not whether the answer is "
    "right, and not how sure it is: a U-Net's map mostly repeats its mask."
)


@part
def review_cases(domain: "Domain[Scorer]", model: Model, scored: Scored) -> None:
    """The list of cases, and the one that is chosen."""
    import polars as pl

    from pipelines.medical_segmentation.review import worklist

    results = scored.frame()
    cases = worklist(results)
    referred = int(cases["refer"].sum())
    st.markdown("##### Cases")
    st.caption(
        f"{referred} of {cases.height} need a human: they come first, the least sure of them on top. "
        "Choose a row to see the case."
    )
    row = results_table(
        cases.with_columns(pl.col("refer_reason").fill_null("")),
        key=domain.key("cases"),
        order=["case", "patient", "refer", "found", "confidence", "refer_reason"],
        columns={
            "refer": st.column_config.CheckboxColumn("needs a human"),
            "found": st.column_config.TextColumn("found"),
            "confidence": st.column_config.NumberColumn("confidence", format="%.2f"),
            "refer_reason": st.column_config.TextColumn("why", width="large"),
        },
        choose=True,
        height=250,
    )
    place = pager(cases.height, row, key=domain.key(f"pager/{scored.output.parent.name}"), what="case")
    _case(domain, model, scored, results, str(cases["case"][place]))


def _case(domain: "Domain[Scorer]", model: Model, scored: Scored, results: "pl.DataFrame", case: str) -> None:
    import polars as pl

    from pipelines.medical_segmentation.review import Reviewed

    network = scorer(domain, model)
    what = (str(scored.output), case)
    with st.spinner("Reading the image ..."):
        seen = kept(
            domain.key("seen"),
            what,
            lambda: Reviewed.of(network, to_score(scored.source), scored.output, results, case),
        )
    rows = results.filter(pl.col("case") == case)
    # side by side where there is room, else one below the other
    with st.container(horizontal=True, gap="medium"):
        image, beside = st.container(width=_IMAGE_PIXELS), st.container(width=_BESIDE_PIXELS)
    with beside:
        _judgement(rows)
        opacity = st.slider("Opacity of what was found", 0.0, 1.0, 0.25, 0.05, key=domain.key("opacity"))
        evidence, top = _evidence(domain, model, network, seen, what)
        _measurements(rows, seen)
        download_folder(
            scored.output.with_name(f"{scored.output.stem}.masks"),
            "Download all masks",
            key=domain.key("masks"),
        )
    with image:
        _viewer(domain, seen, case, opacity, evidence, top)


def _judgement(rows: "pl.DataFrame") -> None:
    """Whether a human must look at the case, and why."""
    reason = rows["refer_reason"][0]
    if reason is not None:
        banner("warning", f"A human must look at this case: {reason}.")
    else:
        banner("neutral", "Not referred. That does not mean that nothing else is there.")


def _evidence(
    domain: "Domain[Scorer]", model: Model, network: "Scorer", seen: "Reviewed", what: tuple[str, str]
) -> tuple["np.ndarray | None", float]:
    """Grad-CAM of the structure that the user chooses, and its largest value; None where it is not asked for."""
    asked = st.toggle(
        "Where the network looked (Grad-CAM)", key=domain.key("grad-cam"), help=_EVIDENCE_LIMITS
    )
    if not asked:
        return None, 0.0
    structure = 1
    if seen.mask is not None and len(seen.names) > 1:
        structure = 1 + seen.names.index(
            st.segmented_control(
                "of", seen.names, default=seen.names[0], required=True, key=domain.key("structure")
            )
            or seen.names[0]
        )
    explanation_banner(model)
    with st.spinner("Looking where the network looked ..."):
        evidence = kept(
            domain.key("evidence"),
            (model.version, *what, structure),
            lambda: seen.evidence(network, structure),
        )
    if evidence is None:
        st.caption("Nothing was found, so there is nothing to explain.")
        return None, 0.0
    return evidence, float(evidence.max())


def _measurements(rows: "pl.DataFrame", seen: "Reviewed") -> None:
    if seen.mask is None:
        columns = {
            "grade": "grade",
            "confidence": "probability of the grade",
            "referable_probability": "probability of one for a specialist",
        }
    else:
        size = next(name for name in ("volume_ml", "area_mm2", "num_pixels") if rows[name].null_count() == 0)
        titles = {"volume_ml": "volume, mL", "area_mm2": "area, mm²", "num_pixels": "pixels"}
        columns = {
            "structure": "structure",
            size: titles[size],
            "num_components": "pieces",
            "confidence": "confidence",
        }
    table = rows.select(list(columns)).rename(columns)
    formats: dict[str, Any] = {
        name: st.column_config.NumberColumn(format="%.3g")
        for name, kind in table.schema.items()
        if kind.is_float()
    }
    st.dataframe(table, hide_index=True, column_config=formats)
    st.caption(markdown_text(_geometry(seen)))


def _geometry(seen: "Reviewed") -> str:
    shape = " × ".join(map(str, seen.study.shape))
    if seen.unit == "px":
        return f"{seen.study.modality}, {shape} pixels. The spacing is not known, so sizes are pixels."
    steps = " × ".join(show(step) for step in seen.spacing[-len(seen.study.shape) :])
    return f"{seen.study.modality}, {shape} {'voxels' if seen.is_volume else 'pixels'} of {steps} mm."


def _viewer(
    domain: "Domain[Scorer]",
    seen: "Reviewed",
    case: str,
    opacity: float,
    evidence: "np.ndarray | None",
    top: float,
) -> None:
    from pipelines.medical_segmentation.explainer import UNIT
    from pipelines.medical_segmentation.review import PLANES, plane_of, steps_of

    plane, place, where = PLANES[0], 0, ""
    if seen.is_volume:
        plane = st.segmented_control(
            "Plane", PLANES, default=PLANES[0], required=True, key=domain.key("plane")
        )
        plane = plane or PLANES[0]
        most = seen.levels.shape[PLANES.index(plane)]
        # another case or plane starts where most was found
        key = domain.key(f"slice/{case}/{plane}")
        place = st.slider(f"Slice of {most}", 1, most, seen.fullest(plane) + 1, key=key) - 1
        where = f", {plane} slice {place + 1} of {most}"

    def cut(layer: "np.ndarray | None") -> "np.ndarray | None":
        return None if layer is None else plane_of(layer, plane, place)

    pixels = cut(seen.levels)
    assert pixels is not None, "every image has pixels"
    image_viewer(
        Plane(pixels, cut(seen.mask), cut(evidence), steps_of(seen.spacing, plane), seen.unit, seen.names),
        f"{case}{where}",
        opacity=opacity,
        top=top,
        evidence_unit=f"evidence, {UNIT}",
        key=domain.key("viewer"),
        alt=f"{case}{where} with outlines of what was found",
    )
    if seen.is_volume:
        st.caption("Head or front is up, the patient's right on the left.")
