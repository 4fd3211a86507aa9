"""The four C-MAPSS sets are read as published, whichever are there, and files that do not fit are named."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.predictive_maintenance.config import DataConfig
from pipelines.predictive_maintenance.data import load_readings, read_to_score, source_paths
from pipelines.predictive_maintenance.features import Preparation
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.public import cmapss_schema
from shared.contracts.table import check_table
from shared.errors import RequestError

SUBSETS = ("FD001", "FD002", "FD003", "FD004")


def lines(num_units: int, cycles: int, columns: int = 26) -> str:
    """Trajectories in the published form: blank separated, two blanks at the end of each line."""
    rng = np.random.default_rng(0)
    rows = [
        [str(unit), str(cycle), *(f"{value:.4f}" for value in rng.normal(100, 1, columns - 2))]
        for unit in range(1, num_units + 1)
        for cycle in range(1, cycles + 1)
    ]
    return "".join(" ".join(row) + "  \n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the four sets with 12 training engines of 20 cycles and 3 test engines of 7."""
    monkeypatch.setenv("FIELDWORK_DATA", str(tmp_path))
    folder = tmp_path / "cmapss"
    folder.mkdir()
    for subset in SUBSETS:
        (folder / f"train_{subset}.txt").write_text(lines(12, 20))
        (folder / f"test_{subset}.txt").write_text(lines(3, 7))
        (folder / f"RUL_{subset}.txt").write_text("112 \n98 \n5 \n")
    return folder


@pytest.mark.parametrize("subset", SUBSETS)
def test_every_set_is_read_whole_with_its_units_and_remaining_lives(folder, subset):
    given = load_readings("cmapss", DataConfig(subset=subset), seed=0)
    table = check_table(given.frame, given.schema.contract()).require()
    assert table.height == 12 * 20 + 3 * 7
    assert given.given_rul == {"test-1": 112.0, "test-2": 98.0, "test-3": 5.0}
    assert table.filter(failed=1).select("unit_id", "time").rows() == [
        (f"train-{n}", 20.0) for n in range(1, 13)
    ]
    assert len(given.schema.names_of("sensor")) == 21
    assert next(channel.unit for channel in given.schema.channels if channel.name == "Ps30") == "psia"
    assert [path.name for path in source_paths("cmapss", DataConfig(subset=subset))] == [
        f"train_{subset}.txt", f"test_{subset}.txt", f"RUL_{subset}.txt",
    ]  # fmt: skip


def test_a_missing_file_is_named(folder):
    (folder / "RUL_FD004.txt").unlink()
    with pytest.raises(RequestError, match=r"no RUL_FD004\.txt.*data\.subset"):
        load_readings("cmapss", DataConfig(subset="FD004"), seed=0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train_FD001.txt", lines(2, 3, columns=25), "Expected 26 columns .*train_FD001.* Received 25"),
        ("test_FD001.txt", lines(2, 3).replace("1 2 ", "1 x ", 1), "26 columns of numbers .*test_FD001"),
        ("RUL_FD001.txt", "112 \n98 \n", "for each of the 3 engines.* Received 2"),
        ("RUL_FD001.txt", "112 \n98 \nsoon \n", "numbers of cycles from 0 on"),
        ("RUL_FD001.txt", "112 \n98 \n-1 \n", "numbers of cycles from 0 on"),
        ("RUL_FD001.txt", "", "empty"),
    ],
    ids=["25 columns", "a word", "truncated lives", "a word as life", "a negative life", "no lives"],
)
def test_a_file_in_another_form_is_one_request_error(folder, name, content, message):
    (folder / name).write_text(content)
    with pytest.raises(RequestError, match=message):
        load_readings("cmapss", DataConfig(), seed=0)


def test_engines_are_scored_from_a_file_as_published_and_from_a_table_with_a_header(folder, tmp_path):
    schema = cmapss_schema("FD001")
    published = read_to_score(folder / "test_FD001.txt", schema).frame
    path = tmp_path / "engines.csv"
    published.write_csv(path)
    for frame in (published, read_to_score(path, schema).frame):
        table = check_table(frame, schema.contract()).require()
        assert table["unit_id"].unique(maintain_order=True).to_list() == ["1", "2", "3"]


def test_six_operating_conditions_come_out_by_themselves_from_files_as_published(folder):
    conditions = [
        (0, 0, 100),
        (10, 0.25, 100),
        (20, 0.7, 100),
        (25, 0.62, 60),
        (35, 0.84, 100),
        (42, 0.84, 100),
    ]
    rng = np.random.default_rng(0)
    rows = []
    for unit in range(1, 13):
        for cycle in range(1, 101):
            condition = rng.integers(6)
            settings = np.array(conditions[condition]) + rng.normal(0, [0.002, 0.0004, 0.0])
            values = [*settings, *(100.0 * condition + rng.normal(0, 1, 21))]
            rows.append(f"{unit} {cycle} " + " ".join(f"{value:.4f}" for value in values) + "  \n")
    (folder / "train_FD004.txt").write_text("".join(rows))
    given = load_readings("cmapss", DataConfig(subset="FD004"), seed=0)
    frame = check_table(given.frame, given.schema.contract()).require()
    fleet = Fleet.of(frame, given.schema, given.given_rul)
    preparation = Preparation.fit(fleet.of_units(np.flatnonzero(~fleet.is_test)), seed=0)
    assert preparation.regimes.num_regimes == 6
    assert np.abs(preparation.apply(fleet.of_units(np.arange(3))).values).max() <= 10.0
