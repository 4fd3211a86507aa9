"""Every source becomes a manifest; what is left out or unreadable is said."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.ecg_anomaly.config import BeatConfig, DataConfig, SignalConfig
from pipelines.ecg_anomaly.data import (
    Manifest,
    load_manifest,
    parse_column_map,
    read_records,
    source_paths,
)
from pipelines.ecg_anomaly.public import DS1, DS2, PACED, mitdb_records
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.schema import Record
from shared.contracts.contract import load
from shared.contracts.refused import Refused, without_refused
from shared.contracts.table import check_table
from shared.errors import RequestError

CONFIG = DataConfig(num_patients=3, minutes=0.5)


def valid(manifest: Manifest) -> pl.DataFrame:
    return check_table(manifest.frame, load("ecg_records")).require()


def pretend_mitdb(folder: Path, names: list[str]) -> None:
    """Headers as MIT-BIH has them, without samples."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        text = f"{name} 2 360 650000\n{name}.dat 212 200 11 1024 995 -22131 0 MLII\n"
        (folder / f"{name}.hea").write_text(text + f"{name}.dat 212 200 11 1024 1011 20052 0 V1\n")
        (folder / f"{name}.atr").write_bytes(b"\0\0")


@pytest.fixture
def folder(write_record, generated, tmp_path) -> Path:
    for number, record in enumerate(generated.records[:3]):
        write_record(tmp_path / "wfdb", f"r{number}", record, annotated=number > 0)
    return tmp_path / "wfdb"


def test_generated_recordings_keep_the_contract():
    manifest = load_manifest("synthetic", CONFIG, seed=0)
    records = list(read_records(manifest, valid(manifest), CONFIG))
    assert [record.name for record in records] == ["patient-01", "patient-02", "patient-03"]
    assert source_paths("synthetic", CONFIG) == ()


def test_a_folder_of_wfdb_records_is_read_with_the_marks_that_lie_there(folder):
    manifest = load_manifest(str(folder), CONFIG, seed=0)
    records = list(read_records(manifest, valid(manifest), CONFIG))
    assert [record.name for record in records] == ["r0", "r1", "r2"]
    assert [record.annotation is None for record in records] == [True, False, False]
    assert "patient of its own" in manifest.notes[0]
    names = {path.name for path in source_paths(str(folder), CONFIG)}
    assert names == {f"r{n}.{kind}" for n in range(3) for kind in ("hea", "dat", "atr")} - {"r0.atr"}


def test_records_in_folders_within_the_folder_are_found(write_record, generated, tmp_path):
    write_record(tmp_path / "a" / "deep", "r1", generated.records[0])
    manifest = load_manifest(str(tmp_path), CONFIG, seed=0)
    (record,) = read_records(manifest, valid(manifest), CONFIG)
    assert record.name == "a/deep/r1"
    assert record.annotation is not None


@pytest.mark.parametrize("name", ["r1.hea", "r1", "r1.dat"])
def test_one_recording_alone_is_a_source(folder, name):
    manifest = load_manifest(str(folder / name), CONFIG, seed=0)
    assert manifest.frame["record"].to_list() == ["r1"]
    assert len(list(read_records(manifest, valid(manifest), CONFIG))) == 1


def test_a_manifest_names_files_patients_and_parts_in_its_own_words(folder):
    rows = {"rec": [1, 2], "subject": ["p", "p"], "file": ["r1", "r2"], "part": ["train", "test"]}
    pl.DataFrame(rows).write_csv(folder / "list.csv")
    config = DataConfig(columns={"record": "rec", "patient": "subject"})
    manifest = load_manifest(str(folder / "list.csv"), config, seed=0)
    records = list(read_records(manifest, valid(manifest), config))
    assert [(one.name, one.patient, one.part) for one in records] == [("1", "p", "train"), ("2", "p", "test")]
    assert manifest.notes == ()
    assert folder / "list.csv" in source_paths(str(folder / "list.csv"), config)


def test_rows_that_break_the_contract_and_files_that_cannot_be_read_are_told_apart(folder):
    good = [f"r{n % 3}" for n in range(9)]
    rows = {"record": [f"x{n}" for n in range(11)], "file": [*good, "../outside", "r0"]}
    pl.DataFrame({**rows, "unit": [None] * 10 + ["kPa"]}).write_parquet(folder / "list.parquet")
    manifest = load_manifest(str(folder / "list.parquet"), CONFIG, seed=0)
    checked = check_table(manifest.frame, load("ecg_records"))
    assert checked.quarantined["record"].to_list() == ["x10"]
    found = Recordings.of(read_records(manifest, checked.require(), CONFIG), SignalConfig(), BeatConfig())
    assert found.num_records == 9
    lost = without_refused(checked, found.refused, key="record", rule="signal").quarantined
    assert lost["record"].to_list() == ["x10", "x9"]
    assert "leads outside" in lost["broken_rules"][1]


def test_files_outside_the_folder_are_not_even_digested(folder):
    (folder.parent / "secret.csv").write_text("a\n1\n")
    pl.DataFrame({"record": ["a"], "file": ["../secret.csv"]}).write_csv(folder / "list.csv")
    assert source_paths(str(folder / "list.csv"), CONFIG) == (folder / "list.csv",)


def test_a_manifest_without_files_says_how_to_name_the_column(tmp_path):
    pl.DataFrame({"record": ["a"], "path": ["a"]}).write_csv(tmp_path / "list.csv")
    with pytest.raises(RequestError, match=r"data\.columns=\[file=YOUR_COLUMN\]"):
        load_manifest(str(tmp_path / "list.csv"), CONFIG, seed=0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("german_credit", "another domain"),
        ("nowhere", "no such file"),
        ("nowhere/deeper.csv", "no such file"),
    ],
)
def test_an_unknown_source_is_refused(source, message):
    with pytest.raises(RequestError, match=message):
        load_manifest(source, CONFIG, seed=0)


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(RequestError, match=r"WFDB records \(\*\.hea\)"):
        load_manifest(str(tmp_path), CONFIG, seed=0)


def test_columns_of_ones_own_go_with_a_manifest_of_ones_own():
    with pytest.raises(RequestError, match="Received it with synthetic"):
        load_manifest("synthetic", DataConfig(columns={"record": "rec"}), seed=0)
    with pytest.raises(RequestError, match="Received records"):
        parse_column_map(["records=rec"])


def test_paced_records_are_left_out_and_201_and_202_are_one_patient(tmp_path):
    pretend_mitdb(tmp_path, [*DS1, *DS2, *PACED])
    manifest = load_manifest(str(tmp_path), CONFIG, seed=0)
    assert set(manifest.frame["record"]) == {*DS1, *DS2}
    assert manifest.notes == ("Paced records (102, 104, 107, 217) are left out, as in EC57.",)
    by_patient = dict(manifest.frame.select("record", "patient").iter_rows())
    assert by_patient["202"] == by_patient["201"] == "201"
    assert manifest.frame["patient"].n_unique() == 43


def test_records_of_other_origin_with_these_names_are_ordinary(write_record, generated, tmp_path):
    for name in ("102", "201", "202"):
        write_record(tmp_path, name, generated.records[0])
    manifest = load_manifest(str(tmp_path), CONFIG, seed=0)
    assert manifest.frame["patient"].to_list() == ["102", "201", "202"]


@pytest.mark.parametrize(("subset", "names"), [("ds1", DS1), ("ds2", DS2), ("all", (*DS1, *DS2))])
def test_each_half_of_the_public_set_is_read_by_the_same_words(tmp_path, monkeypatch, subset, names):
    pretend_mitdb(tmp_path / "mitdb_ds1", [*DS1, *DS2, *PACED])
    (tmp_path / "mitdb_ds1" / "101.dat").write_bytes(b"\0")
    monkeypatch.setenv("FIELDWORK_DATA", str(tmp_path))
    frame = load_manifest("mitdb_ds1", DataConfig(subset=subset), seed=0).frame
    assert tuple(frame["record"]) == tuple(names)
    if subset == "all":
        assert frame.filter(part="train")["record"].to_list() == list(DS1)


def test_a_half_that_is_not_there_is_named(tmp_path):
    pretend_mitdb(tmp_path, [*DS1])
    with pytest.raises(RequestError, match=r"none of 100, 103, 105, 111, 113 and others.*data\.subset"):
        mitdb_records("ds2", tmp_path)


def test_a_recording_that_cannot_be_read_does_not_stop_the_others(folder):
    whole = (folder / "r1.dat").read_bytes()
    (folder / "r1.dat").write_bytes(whole[:1000])
    manifest = load_manifest(str(folder), CONFIG, seed=0)
    outcomes = list(read_records(manifest, valid(manifest), CONFIG))
    assert [type(one) for one in outcomes] == [Record, Refused, Record]
    assert "cut off" in outcomes[1].reason
    assert np.isfinite(outcomes[0].signal).all()
