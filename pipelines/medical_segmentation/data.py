"""Where images come from: the generator, public sets, a folder, one image, a manifest; all as a manifest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.medical_segmentation.config import DataConfig
from pipelines.medical_segmentation.files import kind_of, visible
from pipelines.medical_segmentation.folders import Row, folder_rows, image_row, patients_of
from pipelines.medical_segmentation.generator import generate
from pipelines.medical_segmentation.labels import Labels
from pipelines.medical_segmentation.public import PUBLIC, public_rows
from pipelines.medical_segmentation.readers import read_spacing, read_study
from pipelines.medical_segmentation.studies import COLUMNS, SPACING_COLUMNS, Study
from shared.contracts.refused import Refused
from shared.data.column_map import parsed_column_map, require_declared, require_keys, source_columns
from shared.data.datasets import locate
from shared.data.flags import flags_as_numbers
from shared.data.identifiers import ids_as_text
from shared.data.public_sets import public_sets
from shared.data.tables import read_table
from shared.errors import RequestError

_KEYS = ("case", "image")
_SOURCES = f"synthetic, {', '.join(PUBLIC)}"
_OWN_PATIENTS = (
    "Each image counts as a patient of its own: name them in a manifest, or by data.patient_pattern."
)
_TYPES: dict[str, pl.DataType] = {name: pl.String() for name in COLUMNS} | {
    **{name: pl.Float64() for name in SPACING_COLUMNS},
    "grade": pl.Int64(),
    "shows_structure": pl.Boolean(),
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """Cases in the shape of `image_studies`, not checked yet.

    root: the folder that holds all their files, None for generated ones, which are in `made` by name. labels: what
    the values of masks mean. notes: in words, what a reader of results should know.
    """

    frame: pl.DataFrame
    root: Path | None
    labels: Labels
    made: Mapping[str, Study] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def load_manifest(source: str, config: DataConfig, seed: int) -> Manifest:
    """The manifest of `synthetic`, of a public set, of a folder, of one image or of a table.

    Raises RequestError for an unknown source, an unreadable manifest or settings that do not fit it.
    """
    for name in ("columns", "structures", "patient_pattern"):
        if getattr(config, name) and source in ("synthetic", *PUBLIC):
            raise RequestError(f"Expected data.{name} with images of your own. Received it with {source}.")
    if source == "synthetic":
        return _generated(config, seed)
    if source in PUBLIC:
        folder = locate(source)
        rows, labels, notes = public_rows(source, folder, config.subset)
        return Manifest(_frame(_with_patients(rows, config)), folder, labels, notes=notes)
    path = _own_path(source)
    labels = Labels.of(config.structures) if config.structures else Labels.binary()
    if path.is_file() and kind_of(path) is None:
        return _table_manifest(path, config, labels)
    rows = folder_rows(path) if path.is_dir() else [image_row(path, path.parent)]
    root, notes = path if path.is_dir() else path.parent, () if config.patient_pattern else (_OWN_PATIENTS,)
    return Manifest(_frame(_with_patients(rows, config)), root, labels, notes=notes)


def source_paths(source: str, config: DataConfig) -> tuple[Path, ...]:
    """All files behind a source that are there, ascending; none for the generator. Raises RequestError."""
    if source == "synthetic":
        return ()
    manifest = load_manifest(source, config, seed=0)
    assert manifest.root is not None, "only the generator has no folder"
    root = manifest.root.resolve()
    columns = [name for name in ("image", "mask") if name in manifest.frame.columns]
    named = manifest.frame.select(pl.col(columns).cast(pl.String)).unpivot()["value"].drop_nulls()
    found = {path for name in named for path in _behind(root / name, root)}
    own = _own_path(source) if source not in PUBLIC else None
    return tuple(sorted(found | ({own.resolve()} if own is not None and own.is_file() else set())))


def read_studies(manifest: Manifest, valid: pl.DataFrame, config: DataConfig) -> Iterator[Study | Refused]:
    """The cases of the valid rows, read one at a time; those that cannot be read with the reason."""
    for row in valid.iter_rows(named=True):
        if manifest.root is None:
            yield manifest.made[row["case"]]
            continue
        try:
            yield read_study(row, manifest.root, manifest.labels, config)
        except RequestError as error:
            yield Refused(row["case"], str(error))


def median_spacing(manifest: Manifest, valid: pl.DataFrame, config: DataConfig) -> tuple[float, ...] | None:
    """Median spacing of the volumes among the valid rows that are not for testing, mm (slice, row, column).

    From headers alone; None where there are no volumes with a spacing. Images that cannot be read are passed over:
    `read_studies` refuses them. Without a given division all cases count: spacing says nothing about a structure.
    """
    spacings = []
    for row in valid.iter_rows(named=True):
        if row.get("part") == "test":
            continue
        try:
            if manifest.root is None:
                spacing = manifest.made[row["case"]].spacing_mm
            else:
                spacing = read_spacing(row, manifest.root, config)
        except RequestError:
            continue
        if spacing is not None and len(spacing) == 3:
            spacings.append(spacing)
    return tuple(np.median(spacings, axis=0).tolist()) if spacings else None


def parse_column_map(value: Any) -> dict[str, str]:
    """The configuration key `data.columns`, see `parsed_column_map`. Raises RequestError."""
    return parsed_column_map(value, COLUMNS)


def parse_structures(value: Any) -> Any:
    """The configuration key `data.structures` as a mapping: also from a list of NAME=VALUE. Raises RequestError."""
    if not isinstance(value, list | tuple):
        return value
    pairs = [str(item).rpartition("=") for item in value]
    if not all(name and number.strip().isdigit() for name, _, number in pairs):
        raise RequestError(f"data.structures: Expected pairs such as liver=1. Received {value!r}.")
    return {name.strip(): int(number) for name, _, number in pairs}


def _generated(config: DataConfig, seed: int) -> Manifest:
    made = generate(config, seed)
    rows = [
        {
            "case": study.case,
            "patient": study.patient,
            "image": study.case,
            "modality": study.modality,
            "grade": study.grade,
            **dict(zip(SPACING_COLUMNS[-len(study.shape) :], study.spacing_mm or (), strict=True)),
        }
        for study in made.studies
    ]
    return Manifest(_frame(rows), None, made.labels, {study.case: study for study in made.studies})


def _own_path(source: str) -> Path:
    path = Path(source).expanduser()
    if path.exists():
        return path
    if source in public_sets():
        raise RequestError(
            f"Expected a source of medical images. Received {source}, a data set of another domain.\n"
            f"There are {_SOURCES}, or the path of your own images."
        )
    raise RequestError(
        f"Expected {_SOURCES}, a folder of images, an image or a manifest. Received {source!r}: there is no such file."
    )


def _table_manifest(path: Path, config: DataConfig, labels: Labels) -> Manifest:
    raw = read_table(path)
    names = config.columns or {}
    require_declared(raw, names)
    sources = source_columns(raw, names, COLUMNS)
    require_keys(raw, sources, _KEYS)
    columns = {name: raw[sources[name]].alias(name) for name in COLUMNS if name in sources}
    for name in ("case", "patient", "image", "mask"):
        if name in columns:
            columns[name] = ids_as_text(columns[name])
    if "shows_structure" in columns:
        columns["shows_structure"] = flags_as_numbers(columns["shows_structure"])
    frame = pl.DataFrame(list(columns.values()))
    if "patient" in columns:
        return Manifest(frame, path.parent, labels)
    if config.patient_pattern is None:
        own = frame["case"].cast(pl.String).alias("patient")
        return Manifest(frame.with_columns(own), path.parent, labels, notes=(_OWN_PATIENTS,))
    images = frame["image"].cast(pl.String).fill_null("").to_list()
    return Manifest(
        frame.with_columns(patient=pl.Series(patients_of(images, config.patient_pattern))),
        path.parent,
        labels,
    )


def _with_patients(rows: list[Row], config: DataConfig) -> list[Row]:
    """By the pattern where there is one, else as the rows say, else one for each image."""
    if config.patient_pattern is None:
        return [{"patient": row["case"]} | row for row in rows]
    patients = patients_of([row["image"] for row in rows], config.patient_pattern)
    return [row | {"patient": patient} for row, patient in zip(rows, patients, strict=True)]


def _frame(rows: list[Row]) -> pl.DataFrame:
    """Only the columns that some row fills."""
    named = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    return pl.DataFrame(
        [{name: row.get(name) for name in named} for row in rows], schema={n: _TYPES[n] for n in named}
    )


def _behind(path: Path, root: Path) -> Iterator[Path]:
    """A file, or the files of a folder, where they lie inside the root."""
    for file in visible(path) if path.is_dir() and path.resolve().is_relative_to(root) else [path]:
        if file.is_file() and file.resolve().is_relative_to(root):
            yield file
