"""Where recordings come from: the generator, MIT-BIH, a folder of WFDB records, a manifest; all as a manifest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.ecg_anomaly.config import DataConfig
from pipelines.ecg_anomaly.generator import generate
from pipelines.ecg_anomaly.public import (
    MITDB,
    PACED,
    is_mitdb,
    mitdb_part,
    mitdb_patient,
    mitdb_records,
)
from pipelines.ecg_anomaly.readers import TABLE_SUFFIXES, read_record
from pipelines.ecg_anomaly.schema import COLUMNS, Record
from pipelines.ecg_anomaly.wfdb_files import header_of, named_files
from shared.contracts.refused import Refused
from shared.data.column_map import parsed_column_map, require_declared, require_keys, source_columns
from shared.data.datasets import locate
from shared.data.identifiers import ids_as_text
from shared.data.public_sets import public_sets as known_sets
from shared.data.tables import read_table
from shared.errors import RequestError

_KEYS = ("record", "file")
_SOURCES = f"synthetic, {MITDB}"
_OWN_PATIENTS = "Each recording counts as a patient of its own: give a manifest where one has several."


@dataclass(frozen=True, slots=True)
class Manifest:
    """Recordings in the shape of `ecg_records`, not checked yet.

    root: the folder that holds all their files, None for generated ones, which are in `made` by name. `notes` say in
    words what was left out.
    """

    frame: pl.DataFrame
    root: Path | None
    made: Mapping[str, Record] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def load_manifest(source: str, config: DataConfig, seed: int) -> Manifest:
    """The manifest of `synthetic`, of the public set, of a folder of WFDB records, of one file or of a table.

    Raises RequestError for an unknown source, an unreadable manifest or declared columns that do not fit.
    """
    if config.columns and source in ("synthetic", MITDB):
        raise RequestError(f"Expected data.columns with a manifest of your own. Received it with {source}.")
    if source == "synthetic":
        made = generate(config.num_patients, config.minutes, seed).records
        frame = _frame([{"record": one.name, "patient": one.patient, "file": one.name} for one in made])
        return Manifest(frame, None, {one.name: one for one in made})
    if source == MITDB:
        return _mitdb_manifest(config, locate(MITDB))
    path = _own_path(source)
    if path.is_dir():
        return _folder_manifest(path)
    if path.suffix.lower() in TABLE_SUFFIXES:
        return _table_manifest(path, config)
    return Manifest(_frame([_row(path, path.parent)]), path.parent, notes=(_OWN_PATIENTS,))


def source_paths(source: str, config: DataConfig) -> tuple[Path, ...]:
    """All files behind a source that are there, ascending; none for the generator. Raises RequestError."""
    if source == "synthetic":
        return ()
    manifest = load_manifest(source, config, seed=0)
    assert manifest.root is not None, "only the generator has no folder"
    root = manifest.root.resolve()
    named = (
        manifest.frame.select(pl.col("file", "annotation").cast(pl.String)).unpivot()["value"].drop_nulls()
    )
    found = {path for name in named for path in _behind(root / name)}
    inside = {path for path in found if path.is_file() and path.resolve().is_relative_to(root)}
    own = _own_path(source) if source != MITDB else None
    return tuple(sorted(inside | ({own} if own is not None and own.is_file() else set())))


def read_records(manifest: Manifest, valid: pl.DataFrame, config: DataConfig) -> Iterator[Record | Refused]:
    """The recordings of the valid rows, read one at a time; those that cannot be read with the reason."""
    for row in valid.iter_rows(named=True):
        if manifest.root is None:
            yield manifest.made[row["record"]]
            continue
        try:
            yield read_record(row, manifest.root, config.lead)
        except RequestError as error:
            yield Refused(row["record"], str(error))


def parse_column_map(value: Any) -> dict[str, str]:
    """The configuration key `data.columns`, see `parsed_column_map`. Raises RequestError."""
    return parsed_column_map(value, COLUMNS)


def _own_path(source: str) -> Path:
    path = Path(source).expanduser()
    if path.exists() or header_of(path).is_file():
        return path
    if source in known_sets():
        raise RequestError(
            f"Expected a source of ECG recordings. Received {source}, a data set of another domain.\n"
            f"There are {_SOURCES}, or the path of your own recordings."
        )
    raise RequestError(
        f"Expected {_SOURCES}, a folder of WFDB records, a recording or a manifest. Received {source!r}: there is no "
        "such file."
    )


def _mitdb_manifest(config: DataConfig, folder: Path) -> Manifest:
    names = mitdb_records(config.subset, folder)
    frame = _frame([_row(folder / f"{name}.hea", folder) for name in names])
    if config.subset == "all":
        frame = frame.with_columns(part=pl.Series([mitdb_part(name) for name in names]))
    paced = f"Paced records ({', '.join(PACED)}) are left out, as in EC57."
    return Manifest(frame, folder, notes=(paced,))


def _folder_manifest(folder: Path) -> Manifest:
    headers = sorted(folder.rglob("*.hea"))
    if not headers:
        raise RequestError(
            f"Expected WFDB records (*.hea) in {folder}. Received none: name a manifest of your files."
        )
    known = {path for path in headers if is_mitdb(path)}
    paced = [path for path in headers if path in known and path.stem in PACED]
    rows = [_row(path, folder) for path in headers if path not in paced]
    if not rows:
        raise RequestError(
            f"Expected recordings that are not paced. Received only {', '.join(PACED)} of MIT-BIH."
        )
    notes = []
    if paced:
        notes.append(f"Paced records ({', '.join(path.stem for path in paced)}) are left out, as in EC57.")
    if len(known) < len(headers):
        notes.append(_OWN_PATIENTS)
    return Manifest(_frame(rows), folder, notes=tuple(notes))


def _row(path: Path, root: Path) -> dict[str, str | None]:
    """The row of one file. Marks that lie beside a WFDB record are its annotation."""
    stem = path.with_suffix("") if path.suffix.lower() in (".hea", ".dat") else path
    name = stem.relative_to(root).as_posix()
    header, marks = Path(f"{stem}.hea"), Path(f"{stem}.atr")
    return {
        "record": name,
        "patient": mitdb_patient(stem.name) if header.is_file() and is_mitdb(header) else name,
        "file": name,
        "annotation": f"{name}.atr" if marks.is_file() else None,
    }


def _table_manifest(path: Path, config: DataConfig) -> Manifest:
    raw = read_table(path)
    names = config.columns or {}
    require_declared(raw, names)
    sources = source_columns(raw, names, COLUMNS)
    require_keys(raw, sources, _KEYS)
    columns = {name: raw[sources[name]].alias(name) for name in COLUMNS if name in sources}
    for name in ("record", "patient", "file"):
        if name in columns:
            columns[name] = ids_as_text(columns[name])
    frame = pl.DataFrame(list(columns.values()))
    if "annotation" not in columns:
        frame = frame.with_columns(annotation=pl.lit(None, dtype=pl.String))
    return Manifest(frame, path.parent, notes=() if "patient" in columns else (_OWN_PATIENTS,))


def _frame(rows: list[dict[str, str | None]]) -> pl.DataFrame:
    schema = dict.fromkeys(("record", "patient", "file", "annotation"), pl.String)
    return pl.DataFrame([{**dict.fromkeys(schema), **row} for row in rows], schema=schema)


def _behind(path: Path) -> Iterator[Path]:
    """A file, or the files of a WFDB record, which is named without its suffix."""
    header = header_of(path)
    if header.is_file():
        yield header
        yield from (header.parent / name for name in named_files(header))
    elif path.is_file():
        yield path
