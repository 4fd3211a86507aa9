"""Wrong requests to ECG anomaly detection end with exit code 2 and plain lines, before anything is trained."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.flows.bad_files import written
from tests.flows.ecg_folders import write_folder

TINY = ("run", "ecg_anomaly", "--preset", "tiny", "--quiet")
NUM_LINES = 5


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--set", "trainin.epochs=3"], ["trainin.epochs", "training"]),
        (["--set", "training.epochs=0"], ["training.epochs", "greater than or equal to 1"]),
        (["--set", "signal.high_hz=200"], ["high_hz below half of rate_hz (360 Hz)"]),
        (["--set", "signal.rate_hz=50"], ["signal.rate_hz", "greater than or equal to 100"]),
        (["--set", "beats.num_samples=100"], ["beats.num_samples", "multiple of 16"]),
        (["--set", "beats.before_ms=900"], ["beats.before_ms below the length of a beat (711 ms)"]),
        (["--set", "model.kind=transformer"], ["model.kind", "convolutional"]),
        (["--set", "threshold.false_alarms=0"], ["threshold.false_alarms", "greater than 0"]),
        (["--set", "threshold.false_alarms=0.0001"], ["at least 9,999 normal beats", "Received"]),
        (["--set", "protocol.num_folds=9"], ["at least 9 patients", "Received 8"]),
        (["--set", "protocol.calibration_folds=5"], ["at least 5 patients to train on", "Received 4, of 8"]),
        (["--set", "data.subset=ds3"], ["data.subset", "ds1"]),
        (["--set", "data.columns=[patient=subject]"], ["data.columns", "synthetic"]),
        (["--set", "seed=-1"], ["seed", "greater than or equal to 0"]),
        (["--data", "no_such_folder"], ["no_such_folder", "synthetic, mitdb_ds1"]),
        (["--data", "german_credit"], ["german_credit", "another domain"]),
    ],
    ids=[
        "section", "no-epochs", "beyond-nyquist", "slow-rate", "odd-length", "peak-outside", "kind", "no-alarms",
        "rarer-than-beats", "more-folds-than-patients", "more-parts-than-patients", "subset", "columns-of-generator",
        "seed", "no-folder", "other-domain",
    ],
)  # fmt: skip
def test_wrong_option_is_refused(fieldwork, options, parts):
    fieldwork(*TINY, *options).require_plain_failure(2, *parts)
    assert not (fieldwork.home / "mlflow.db").exists()


def test_public_set_that_is_not_there_names_the_way_to_get_it(fieldwork, monkeypatch):
    monkeypatch.delenv("FIELDWORK_DATA", raising=False)
    fieldwork(*TINY, "--data", "mitdb_ds1").require_plain_failure(2, "mitdb_ds1")


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "holter"
    write_folder(folder, 4)
    return folder


def on_samples(change: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: change(folder / "patient-01.dat")


def of_another_recording(folder: Path) -> None:
    marks = folder / "patient-01.atr"
    write_folder(folder / "longer", 1, minutes=4)
    shutil.copy(folder / "longer" / "patient-01.atr", marks)
    shutil.rmtree(folder / "longer")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (on_samples(lambda path: path.unlink()), ["patient-01.dat", "no such file"]),
        (on_samples(lambda path: path.write_bytes(b"")), ["patient-01.dat", "empty file"]),
        (on_samples(lambda path: path.write_bytes(path.read_bytes()[:5000])), ["32,400 samples", "cut off"]),
        (of_another_recording, ["marks that lie outside", "belong together"]),
        (lambda folder: (folder / "patient-01.hea").write_text("what is this"), ["patient-01"]),
        (lambda folder: (folder / "patient-01.atr").unlink(), ["annotated"]),
    ],
    ids=["no-samples", "empty-samples", "cut-off", "marks-of-another", "broken-header", "not-annotated"],
)
def test_too_many_recordings_of_no_use_are_refused_with_the_reason(fieldwork, good, tmp_path, change, parts):
    folder = shutil.copytree(good, tmp_path / "holter")
    change(folder)
    outcome = fieldwork(*TINY, "--data", folder)
    outcome.require_plain_failure(2, "patient-01", *parts, most_lines=NUM_LINES)
    assert not (fieldwork.home / "checkpoints").exists()


def test_a_folder_without_annotations_asks_for_them(fieldwork, tmp_path):
    write_folder(tmp_path / "holter", 3, annotated=False)
    outcome = fieldwork(*TINY, "--data", tmp_path / "holter")
    outcome.require_plain_failure(2, "are they annotated?", "it can be scored", most_lines=NUM_LINES)


def test_one_patient_alone_cannot_be_divided(fieldwork, tmp_path):
    write_folder(tmp_path / "holter", 1)
    fieldwork(*TINY, "--data", tmp_path / "holter").require_plain_failure(
        2, "at least 2 patients", "Received 1"
    )


def test_a_folder_without_records_asks_for_a_manifest(fieldwork, tmp_path):
    fieldwork(*TINY, "--data", tmp_path).require_plain_failure(2, "*.hea", "manifest")


@pytest.mark.parametrize(
    "write",
    [written(b""), written(b"\x00" * 500), written(b"PAR1", "own.parquet"), written(b"record,file\n")],
    ids=["empty", "zeros", "parquet-magic", "header-only"],
)
def test_unreadable_manifest_is_a_wrong_request(fieldwork, tmp_path, write):
    path = write(tmp_path, pl.DataFrame())
    fieldwork(*TINY, "--data", path).require_plain_failure(2, most_lines=3)


def rows(good: Path) -> pl.DataFrame:
    names = [f"patient-0{number}" for number in range(1, 5)]
    return pl.DataFrame({"record": names, "file": names, "annotation": [f"{name}.atr" for name in names]})


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.drop("file"), ["file", "data.columns=[file=YOUR_COLUMN]"]),
        (lambda table: pl.concat([table, table]), ["record", "20 %"]),
        (lambda table: table.with_columns(file="../" + pl.col("file")), ["outside"]),
        (lambda table: table.with_columns(annotation=pl.lit("/etc/passwd")), ["outside"]),
        (lambda table: table.with_columns(sampling_rate=pl.lit(5.0)), ["sampling_rate", "20 %"]),
        (lambda table: table.with_columns(sampling_rate=pl.lit(500.0)), ["500 Hz, as the manifest says"]),
        (lambda table: table.with_columns(lead=pl.lit("V9")), ["the lead V9", "MLII"]),
        (lambda table: table.with_columns(part=pl.lit("train")), ["train and test", "Received 4 and 0"]),
        (lambda table: table.with_columns(part=pl.lit("validation")), ["part"]),
    ],
    ids=[
        "no-file", "all-twice", "file-outside", "annotation-outside", "impossible-rate", "wrong-rate", "no-lead",
        "no-test", "unknown-part",
    ],
)  # fmt: skip
def test_a_manifest_that_does_not_fit_is_refused(fieldwork, good, tmp_path, change, parts):
    folder = shutil.copytree(good, tmp_path / "holter")
    change(rows(folder)).write_csv(folder / "own.csv")
    outcome = fieldwork(*TINY, "--data", folder / "own.csv")
    outcome.require_plain_failure(2, *parts, most_lines=NUM_LINES)


@pytest.mark.parametrize(
    ("table", "rate", "parts"),
    [
        (pl.DataFrame({"MLII": ["a", "0.1", "0.2"]}), 360.0, ["a column of numbers"]),
        (pl.DataFrame({"MLII": [0.1, 0.2, 0.3]}), None, ["sampling_rate", "no header"]),
        (pl.DataFrame({"MLII": [0.1, 0.2, 0.3]}), 360.0, ["at least 10 s"]),
    ],
    ids=["text-in-signal", "no-rate", "short"],
)
def test_a_table_of_samples_that_cannot_be_used_is_refused(fieldwork, tmp_path, table, rate, parts):
    table.write_csv(tmp_path / "samples.csv")
    pl.DataFrame({"sample": [10], "symbol": ["N"]}).write_csv(tmp_path / "marks.csv")
    row = {"record": "a", "file": "samples.csv", "annotation": "marks.csv", "sampling_rate": rate}
    pl.DataFrame([row], schema_overrides={"sampling_rate": pl.Float64}).write_csv(tmp_path / "own.csv")
    outcome = fieldwork(*TINY, "--data", tmp_path / "own.csv")
    outcome.require_plain_failure(2, *parts, most_lines=NUM_LINES)


def test_scoring_before_anything_was_published_says_what_to_run(fieldwork, good, tmp_path):
    command = ("score", "ecg_anomaly", good / "patient-01.hea", "--out", tmp_path / "out.csv")
    fieldwork(*command).require_plain_failure(2, "fieldwork run ecg_anomaly")


def test_a_record_under_another_name_is_read_anew(good, tmp_path):
    """Names say whom a recording is of: an earlier result under the old name would be of another patient."""
    from pipelines.ecg_anomaly.config import DataConfig
    from pipelines.ecg_anomaly.steps import identify

    folder = shutil.copytree(good, tmp_path / "holter")
    before = identify(str(folder), DataConfig())
    assert identify(str(folder), DataConfig()) == before
    for path in list(folder.glob("patient-04.*")):
        path.rename(path.with_stem("patient-05"))
    assert identify(str(folder), DataConfig()) != before
