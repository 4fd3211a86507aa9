"""Generated images as files, to try a published model with: of the form that it learnt, of patients it has not seen."""

from pathlib import Path

import numpy as np
import polars as pl

from pipelines.medical_segmentation.generator import generate
from pipelines.medical_segmentation.nifti import write_nifti
from pipelines.medical_segmentation.score import Scorer
from pipelines.medical_segmentation.studies import SPACING_COLUMNS, Study
from shared.data.tables import write_table

_NUM_PATIENTS, _NUM_KEPT = 18, 6


def write_example(scorer: Scorer, folder: Path) -> Path:
    """A manifest with its images in an empty folder; returns the manifest.

    Of the generated patients those with the largest structures: there is something to find in them.
    """
    form = scorer.form
    data = scorer.config.data.model_copy(
        update={
            "num_patients": _NUM_PATIENTS,
            "images_per_patient": 2 if len(form.patch) == 2 else 1,
            "dimensions": len(form.patch),
            "appearance": "colour" if form.num_channels == 3 else "grey",
        }
    )
    rows = []
    # another seed than that of the training data: these are other patients
    made = generate(data, scorer.config.seed + 1)
    sizes = made.truth.group_by("patient").agg(pl.col("size").sum()).sort("size", "patient", descending=True)
    kept = set(sizes["patient"].head(_NUM_KEPT))
    for study in (study for study in made.studies if study.patient in kept):
        name = _write(study, folder)
        spacing = dict(zip(SPACING_COLUMNS[-len(study.shape) :], study.spacing_mm or (), strict=True))
        rows.append(
            {"case": study.case, "patient": study.patient, "image": name, "modality": study.modality}
            | spacing
        )
    manifest = folder / "manifest.csv"
    write_table(pl.DataFrame(rows), manifest)
    return manifest


def _write(study: Study, folder: Path) -> str:
    if study.grid is not None:
        name = f"{study.case}.nii.gz"
        write_nifti(folder / name, study.pixels[0], study.grid)
        return name
    from PIL import Image

    name = f"{study.case}.png"
    pixels = np.moveaxis(study.pixels, 0, -1)
    Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]).save(folder / name)
    return name
