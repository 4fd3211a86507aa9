"""Generated images as a folder of pictures with masks, as users have them."""

from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from pipelines.medical_segmentation.config import DataConfig
from pipelines.medical_segmentation.generator import generate


def write_folder(
    folder: Path, num_patients: int = 8, images_per_patient: int = 2, *, edge: int = 64
) -> list[str]:
    """images/ and masks/ with a PNG for each case, and manifest.csv beside; names of the cases."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    data = DataConfig(
        num_patients=num_patients, images_per_patient=images_per_patient, generated_size=edge, contrast=0.9
    )
    studies = generate(data, seed=5).studies
    for study in studies:
        assert study.mask is not None
        Image.fromarray(study.pixels.transpose(1, 2, 0)).save(folder / "images" / f"{study.case}.png")
        Image.fromarray(study.mask * np.uint8(255)).save(folder / "masks" / f"{study.case}.png")
    pl.DataFrame(
        {
            "case": [study.case for study in studies],
            "patient": [study.patient for study in studies],
            "image": [f"images/{study.case}.png" for study in studies],
            "mask": [f"masks/{study.case}.png" for study in studies],
            "spacing_row_mm": [study.spacing_mm[0] if study.spacing_mm else None for study in studies],
            "spacing_column_mm": [study.spacing_mm[1] if study.spacing_mm else None for study in studies],
            "grade": [study.grade for study in studies],
        }
    ).write_csv(folder / "manifest.csv")
    return [study.case for study in studies]
