"""The C-MAPSS turbofans as published, in the contract's shape.

Names and units are those of Saxena, Goebel, Simon and Eklund (2008), "Damage propagation modeling for aircraft engine
run-to-failure simulation", table 2.
"""

from pathlib import Path

import polars as pl

from pipelines.predictive_maintenance.schema import Channel, ReadingsSchema
from shared.data.tables import read_table
from shared.errors import RequestError

CMAPSS = "cmapss"
# What results on these sets are usually reported with; it is no property of the engines.
_USUAL_CAP_CYCLES = 125.0
_SETTINGS = (
    ("altitude", "kft", "altitude"),
    ("mach", "1", "Mach number"),
    ("TRA", "deg", "throttle resolver angle"),
)
_SENSORS = (
    ("T2", "degR", "total temperature at fan inlet"),
    ("T24", "degR", "total temperature at LPC outlet"),
    ("T30", "degR", "total temperature at HPC outlet"),
    ("T50", "degR", "total temperature at LPT outlet"),
    ("P2", "psia", "pressure at fan inlet"),
    ("P15", "psia", "total pressure in bypass duct"),
    ("P30", "psia", "total pressure at HPC outlet"),
    ("Nf", "rpm", "physical fan speed"),
    ("Nc", "rpm", "physical core speed"),
    ("epr", "1", "engine pressure ratio P50/P2"),
    ("Ps30", "psia", "static pressure at HPC outlet"),
    ("phi", "pps/psi", "ratio of fuel flow to Ps30"),
    ("NRf", "rpm", "corrected fan speed"),
    ("NRc", "rpm", "corrected core speed"),
    ("BPR", "1", "bypass ratio"),
    ("farB", "1", "burner fuel-air ratio"),
    ("htBleed", "1", "bleed enthalpy"),
    ("Nf_dmd", "rpm", "demanded fan speed"),
    ("PCNfR_dmd", "rpm", "demanded corrected fan speed"),
    ("W31", "lbm/s", "HPT coolant bleed"),
    ("W32", "lbm/s", "LPT coolant bleed"),
)
_CHANNELS = (
    *(Channel(name=name, role="setting", unit=unit, label=label) for name, unit, label in _SETTINGS),
    *(Channel(name=name, role="sensor", unit=unit, label=label) for name, unit, label in _SENSORS),
)
_NAMES = ("unit_id", "time", *(channel.name for channel in _CHANNELS))


def cmapss_schema(subset: str) -> ReadingsSchema:
    """The 3 settings and 21 sensors of each of the four sets."""
    return ReadingsSchema(
        name=f"{CMAPSS}_{subset}",
        channels=_CHANNELS,
        time_unit="cycles",
        usual_cap=_USUAL_CAP_CYCLES,
        names=_NAMES,
    )


def cmapss_files(subset: str, folder: Path) -> tuple[Path, ...]:
    """Training, test and remaining lives of one set. Raises RequestError that names the file that is missing."""
    paths = tuple(folder / f"{what}_{subset}.txt" for what in ("train", "test", "RUL"))
    for path in paths:
        if not path.is_file():
            raise RequestError(
                f"Expected {', '.join(one.name for one in paths)} in {folder}. Received no {path.name}: put it "
                "there, or choose another set with data.subset."
            )
    return paths


def read_cmapss(subset: str, folder: Path) -> tuple[pl.DataFrame, dict[str, float]]:
    """One set in the contract's shape, and the remaining life of each test unit after its last cycle, cycles.

    Units of both parts are numbered from 1 in the files: here they are called train-1 and test-1. Training engines
    failed at their last cycle. Raises RequestError for files in another form or that do not belong together.
    """
    train_path, test_path, lives_path = cmapss_files(subset, folder)
    train = _trajectories(train_path, "train").with_columns(
        failed=(pl.col("time") == pl.col("time").max().over("unit_id")).cast(pl.Int64)
    )
    test = _trajectories(test_path, "test").with_columns(failed=pl.lit(0, dtype=pl.Int64))
    names = test["unit_id"].unique(maintain_order=True).to_list()
    lives = read_table(lives_path, separator=" ", names=("rul",))["rul"]
    if not lives.dtype.is_numeric() or lives.null_count() or not (lives >= 0).all():
        raise RequestError(f"Expected numbers of cycles from 0 on in {lives_path}. Received other values.")
    if len(lives) != len(names):
        raise RequestError(
            f"Expected a remaining life for each of the {len(names)} engines of {test_path}. Received {len(lives)} "
            f"in {lives_path}: get both files from one source."
        )
    return pl.concat([train, test]), dict(zip(names, lives.cast(pl.Float64).to_list(), strict=True))


def _trajectories(path: Path, part: str) -> pl.DataFrame:
    raw = read_table(path, separator=" ", names=_NAMES)
    text = [name for name, dtype in raw.schema.items() if not dtype.is_numeric()]
    if text:
        raise RequestError(
            f"Expected 26 columns of numbers in {path}. Received something else for {text[0]}."
        )
    return raw.with_columns(
        pl.concat_str(pl.lit(f"{part}-"), pl.col("unit_id").cast(pl.Int64).cast(pl.String)).alias("unit_id"),
        pl.exclude("unit_id").cast(pl.Float64),
        part=pl.lit(part),
    )
