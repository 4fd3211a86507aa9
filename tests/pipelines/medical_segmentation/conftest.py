"""Generated cases, and the files in which users have such: pictures, NIfTI volumes, DICOM series."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.config import DataConfig, ImageConfig, MedicalConfig, tiny
from pipelines.medical_segmentation.gather import gather_cases
from pipelines.medical_segmentation.generator import Generated, generate
from pipelines.medical_segmentation.protocol import Division, Fold, divide
from pipelines.medical_segmentation.studies import Study
from pipelines.medical_segmentation.tasks import FittedTask, Spacing, Tables, task_of
from pipelines.medical_segmentation.train import Trainer

WriteSeries = Callable[..., Path]
VOLUME_SPACING = (2.0, 1.0, 1.0)
_AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.fixture(scope="session")
def generated() -> Generated:
    return generate(
        DataConfig(num_patients=12, images_per_patient=3, generated_size=64, num_structures=2), seed=0
    )


@pytest.fixture(scope="session")
def cases(generated: Generated) -> Cases:
    return gather_cases(generated.studies, generated.labels, ImageConfig(size=64), len(generated.studies))


@pytest.fixture(scope="session")
def volumes() -> Cases:
    made = generate(DataConfig(num_patients=4, images_per_patient=2, generated_size=64, dimensions=3), seed=0)
    return gather_cases(made.studies, made.labels, ImageConfig(), len(made.studies), (2.0, 1.0, 1.0))


@dataclass(frozen=True)
class Judged:
    """A network of the first fold, and what it says of the test cases."""

    config: MedicalConfig
    generated: Generated
    cases: Cases
    division: Division
    fitted: FittedTask
    tables: Tables

    @property
    def fold(self) -> Fold:
        return self.division.folds[0]

    @property
    def tested(self) -> list[Study]:
        """The test cases as read."""
        return [self.generated.studies[case] for case in self.fold.test]


def judged_by(config: MedicalConfig, generated: Generated, cases: Cases, spacing: Spacing = None) -> Judged:
    """Trained for a second on generated cases."""
    task, division = task_of(config), divide(cases, config.protocol, config.seed)
    fold = division.folds[0]
    fitted = task.fit(Trainer(config, cases), division, fold, "fold-0", spacing)
    studies = [generated.studies[case] for case in fold.test]
    tables = task.predict(fitted.scorer, studies, cases, fold)
    return Judged(config, generated, cases, division, fitted, tables)


@pytest.fixture(scope="session")
def small() -> MedicalConfig:
    """A network that trains in a second."""
    config = tiny()
    return config.model_copy(update={"training": config.training.model_copy(update={"min_steps": 40})})


@pytest.fixture(scope="session")
def judged(small: MedicalConfig, generated: Generated, cases: Cases) -> Judged:
    return judged_by(small, generated, cases)


@pytest.fixture(scope="session")
def judged_volumes(small: MedicalConfig) -> Judged:
    data = DataConfig(num_patients=4, images_per_patient=2, generated_size=64, dimensions=3)
    config = small.model_copy(
        update={
            "data": data,
            "training": small.training.model_copy(update={"batch_size": 2}),
            "volumes": small.volumes.model_copy(update={"min_steps": 6}),
        }
    )
    made = generate(data, seed=0)
    cases = gather_cases(made.studies, made.labels, config.image, len(made.studies), VOLUME_SPACING)
    return judged_by(config, made, cases, VOLUME_SPACING)


@pytest.fixture(scope="session")
def graded(small: MedicalConfig, generated: Generated, cases: Cases) -> Judged:
    return judged_by(small.model_copy(update={"task": "grading"}), generated, cases)


@pytest.fixture
def write_picture() -> Callable[..., Path]:
    """Writes an array of (rows, columns) or (rows, columns, channels) in the format that the name says."""

    def write(path: Path, values: np.ndarray, **options: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path, **options)
        return path

    return write


@pytest.fixture
def write_nifti() -> Callable[..., Path]:
    """Writes voxels in the order (x, y, z) of the file, 1 mm to the right, front and head unless told otherwise."""

    def write(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nib.Nifti1Image(values, np.eye(4) if affine is None else affine)
        image.header.set_xyzt_units("mm")
        nib.save(image, path)
        return path

    return write


@pytest.fixture
def write_series() -> WriteSeries:
    """Writes (slices, rows, columns) as CT slices 2.5 mm apart, to the head, with names in another order."""

    def write(folder: Path, values: np.ndarray, **changes: object) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        series = generate_uid()
        for number, pixels in enumerate(values):
            meta = FileMetaDataset()
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            meta.MediaStorageSOPClassUID = CTImageStorage
            meta.MediaStorageSOPInstanceUID = generate_uid()
            one = Dataset()
            one.file_meta = meta
            one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
            one.SeriesInstanceUID, one.Modality = series, "CT"
            one.Rows, one.Columns = pixels.shape
            one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
            one.BitsAllocated = one.BitsStored = 16
            one.HighBit, one.PixelRepresentation = 15, 0
            one.RescaleSlope, one.RescaleIntercept = 1, -1024
            one.PixelSpacing, one.ImageOrientationPatient = [0.5, 0.75], list(_AXIAL)
            one.ImagePositionPatient = [10.0, 20.0, 2.5 * number]
            one.PixelData = pixels.astype("<u2").tobytes()
            for tag, value in changes.items():
                setattr(one, tag, value(number) if callable(value) else value)
            one.save_as(folder / f"im{(number * 7) % 10:02d}.dcm", enforce_file_format=True)
        return folder

    return write
