"""The MIT-BIH Arrhythmia Database as published: which records train, which test, which are left out, and whose.

The division is that of de Chazal, O'Dwyer and Reilly (2004); that 201 and 202 are of one patient is stated in the
database's directory (Moody and Mark 2001).
"""

from pathlib import Path
from typing import Literal

from shared.errors import RequestError

MITDB = "mitdb_ds1"
DS1 = (
    "101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122",
    "124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230",
)  # fmt: skip
DS2 = (
    "100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210",
    "212", "213", "214", "219", "221", "222", "228", "231", "232", "233", "234",
)  # fmt: skip
# Beats of a pacemaker look abnormal to anything that has learnt from hearts; EC57 leaves these records out.
PACED = ("102", "104", "107", "217")
_RATE_HZ, _NUM_SAMPLES = "360", "650000"
Subset = Literal["ds1", "ds2", "all"]


def mitdb_records(subset: Subset, folder: Path) -> tuple[str, ...]:
    """The records of a part of the database. Raises RequestError that names those which are not in the folder."""
    wanted = tuple({"ds1": DS1, "ds2": DS2, "all": [*DS1, *DS2]}[subset])
    missing = [name for name in wanted if not (folder / f"{name}.hea").is_file()]
    if missing:
        raise RequestError(
            f"Expected {len(wanted)} records in {folder}. Received none of {', '.join(missing[:5])}"
            f"{' and others' if len(missing) > 5 else ''}: put them there, or choose another part with data.subset."
        )
    return wanted


def is_mitdb(header: Path) -> bool:
    """Whether a header is of this database, from its name and first line."""
    name = header.stem
    if name not in {*DS1, *DS2, *PACED}:
        return False
    with header.open(encoding="latin-1") as file:
        facts = file.readline(200).split()
    return facts[:1] == [name] and facts[2:4] == [_RATE_HZ, _NUM_SAMPLES]


def mitdb_patient(record: str) -> str:
    """Whose recording it is: each has a patient of its own, except for 201 and 202."""
    return "201" if record == "202" else record


def mitdb_part(record: str) -> str:
    """train for DS1, test for DS2."""
    return "train" if record in DS1 else "test"
