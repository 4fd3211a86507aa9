"""Files as users have them, and files that lie: read as meant, or refused in one clear message."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from wfdb.io.convert.edf import read_edf as wfdb_read_edf

from pipelines.ecg_anomaly.edf import read_edf
from pipelines.ecg_anomaly.leads import choose_lead, to_millivolts
from pipelines.ecg_anomaly.readers import read_record
from pipelines.ecg_anomaly.schema import Record
from shared.errors import RequestError


def read(root: Path, file: str, **row) -> Record:
    return read_record({"record": "r", "file": file, **row}, root, "MLII")


@pytest.fixture
def record(generated) -> Record:
    return generated.records[0]


def write_edf(
    path: Path, signals: dict[str, np.ndarray], rates: list[int], unit: str = "mV", kind: str = ""
) -> None:
    """Blocks of one second; values from -5 to 5 in the unit on 16 bits."""
    num, seconds = len(signals), len(next(iter(signals.values()))) // rates[0]
    main = ["0", "", "", "01.01.24", "00.00.00", str(256 * (num + 1)), kind, str(seconds), "1", str(num)]
    header = "".join(
        text.ljust(width) for text, width in zip(main, [8, 80, 80, 8, 8, 8, 44, 8, 8, 4], strict=True)
    )
    fields = [(list(signals), 16), ([""] * num, 80), ([unit] * num, 8), (["-5"] * num, 8), (["5"] * num, 8)]
    fields += [
        (["-32768"] * num, 8),
        (["32767"] * num, 8),
        ([""] * num, 80),
        ([str(rate) for rate in rates], 8),
    ]
    header += "".join(text.ljust(width) for texts, width in [*fields, ([""] * num, 32)] for text in texts)
    digital = [np.round((values + 5) / 10 * 65535 - 32768).astype("<i2") for values in signals.values()]
    blocks = [
        values[second * rate : (second + 1) * rate].tobytes()
        for second in range(seconds)
        for values, rate in zip(digital, rates, strict=True)
    ]
    path.write_bytes(header.encode("latin-1") + b"".join(blocks))


@pytest.mark.parametrize("units", ["mV", "uV"])
def test_wfdb_records_are_read_in_millivolts_with_their_beats(write_record, record, tmp_path, units):
    write_record(tmp_path, "a", record, units=units)
    found = read(tmp_path, "a", annotation="a.atr", patient="p7")
    assert np.abs(found.signal - record.signal).max() < 0.003
    assert np.array_equal(found.annotation.sample, record.annotation.sample)
    assert np.array_equal(found.annotation.beat_class, record.annotation.beat_class)
    assert (found.patient, found.lead, found.rate_hz) == ("p7", "MLII", 360.0)


@pytest.mark.parametrize("file", ["a", "a.hea", "a.dat"])
def test_a_record_may_be_named_by_any_of_its_files(write_record, record, tmp_path, file):
    write_record(tmp_path, "a", record)
    assert len(read(tmp_path, file).signal) == len(record.signal)


def test_the_lead_is_the_one_asked_for_else_the_usual_one_else_the_first(write_record, record, tmp_path):
    write_record(tmp_path, "a", record, leads=("V5", "MLII"))
    write_record(tmp_path, "b", record, leads=("V5", "V1"))
    assert read(tmp_path, "a").lead == "MLII"
    assert read(tmp_path, "b").lead == "V5"
    assert read(tmp_path, "b", lead="v1").lead == "V1"
    with pytest.raises(RequestError, match="Expected the lead V6"):
        read(tmp_path, "b", lead="V6")


@pytest.mark.parametrize("file", ["../a", "../a.csv", "/etc/passwd", "missing", "missing.csv", "."])
def test_a_file_outside_the_folder_or_not_there_is_refused(write_record, record, tmp_path, file):
    write_record(tmp_path, "a", record)
    pl.DataFrame({"MLII": [0.0]}).write_csv(tmp_path / "a.csv")
    (tmp_path / "inside").mkdir()
    with pytest.raises(RequestError):
        read(tmp_path / "inside", file, sampling_rate=360.0)


def test_a_link_that_leads_outside_is_refused(write_record, record, tmp_path):
    header = write_record(tmp_path / "elsewhere", "a", record)
    (tmp_path / "inside").mkdir()
    for suffix in (".hea", ".dat"):
        (tmp_path / "inside" / f"a{suffix}").symlink_to(header.with_suffix(suffix))
    with pytest.raises(RequestError, match="leads outside"):
        read(tmp_path / "inside", "a")


def test_a_path_that_wfdb_would_take_for_an_address_is_refused(write_record, record, tmp_path):
    write_record(tmp_path / "b::c", "a", record)
    with pytest.raises(RequestError, match="without '::'"):
        read(tmp_path, "b::c/a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("a.dat", "../b.dat"), "WFDB"),
        (lambda text: text.replace("a.dat", "/etc/passwd"), "WFDB"),
        (lambda text: text.replace("a.dat", "missing.dat"), "no such file"),
        (lambda text: text.replace("32400", "32400000"), "the file is cut off"),
        (lambda text: text.replace(" 360 ", " 0 "), "WFDB"),
        (lambda text: text.replace("/mV", "/mmHg"), "Received the unit 'mmHg'"),
        (lambda text: text.replace("212", "999"), "readable WFDB file"),
        (lambda text: text.replace("a 2 ", "a 7 "), "WFDB|readable"),
        (lambda text: text.replace("a 2 ", "a/2 2 "), "one segment|readable"),
        (lambda text: "\x00\x01 nonsense", "WFDB"),
        (lambda text: "", "empty file"),
    ],
    ids=[
        "path", "absolute path", "no samples", "too long", "rate 0", "no voltage", "format", "signals", "segments",
        "nonsense", "empty",
    ],
)  # fmt: skip
def test_a_header_that_lies_is_refused(write_record, record, tmp_path, change, message):
    header = write_record(tmp_path, "a", record)
    changed = change(header.read_text())
    assert changed != header.read_text()
    header.write_text(changed)
    with pytest.raises(RequestError, match=message):
        read(tmp_path, "a")


def test_cut_off_samples_and_marks_are_refused(write_record, record, tmp_path):
    write_record(tmp_path, "a", record)
    for name, message in (("a.dat", "the file is cut off"), ("a.atr", "empty file")):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2 if name == "a.dat" else 0])
        with pytest.raises(RequestError, match=message):
            read(tmp_path, "a", annotation="a.atr")
        (tmp_path / name).write_bytes(whole)


def test_a_rate_in_the_manifest_must_be_that_of_the_file(write_record, record, tmp_path):
    write_record(tmp_path, "a", record)
    assert read(tmp_path, "a", sampling_rate=360.0).rate_hz == 360.0
    with pytest.raises(RequestError, match=r"Expected 250 Hz.* Received 360 Hz"):
        read(tmp_path, "a", sampling_rate=250.0)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_tables_are_read_with_their_rate_unit_and_marks(record, tmp_path, name):
    frame = pl.DataFrame({"time": np.arange(len(record.signal)) / 360, "MLII": record.signal * 1000.0})
    (frame.write_csv if name.endswith("csv") else frame.write_parquet)(tmp_path / name)
    pl.DataFrame({"sample": [100, 400], "symbol": ["N", "V"]}).write_csv(tmp_path / "beats.csv")
    found = read(tmp_path, name, sampling_rate=360.0, unit="uV", annotation="beats.csv")
    assert np.abs(found.signal - record.signal).max() < 1e-4
    assert found.lead == "MLII"
    assert found.annotation.beat_class.tolist() == [0, 2]
    with pytest.raises(RequestError, match="Expected a sampling_rate"):
        read(tmp_path, name)


def test_empty_cells_of_a_table_are_gaps(tmp_path):
    (tmp_path / "a.csv").write_text("MLII\n0.5\n\n0.25\n")
    assert read(tmp_path, "a.csv", sampling_rate=360.0).signal.tolist()[::2] == [0.5, 0.25]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample,kind\n1,N\n", "symbol"),
        ("sample,symbol\nx,N\n", "whole numbers"),
        ("sample,symbol\n-1,N\n", "whole"),
    ],
    ids=["no symbol", "words", "negative"],
)
def test_marks_that_are_none_are_refused(record, tmp_path, text, message):
    pl.DataFrame({"MLII": record.signal}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "beats.csv").write_text(text)
    with pytest.raises(RequestError, match=message):
        read(tmp_path, "a.parquet", sampling_rate=360.0, annotation="beats.csv")


def test_edf_is_read_like_wfdb_does_where_all_rates_are_one(record, tmp_path):
    path = tmp_path / "a.edf"
    write_edf(path, {"ECG": record.signal, "ECG2": record.signal / 2}, [360, 360])
    found = read(tmp_path, "a.edf")
    assert (found.lead, found.rate_hz) == ("ECG", 360.0)
    oracle = wfdb_read_edf(str(path))
    assert np.abs(found.signal - oracle.p_signal[:, 0]).max() < 0.0005
    assert np.abs(found.signal - record.signal).max() < 0.0005


def test_edf_signals_of_other_rates_and_annotations_stand_beside_it(record, tmp_path):
    signals = {"EDF Annotations": np.zeros(90 * 20), "Resp": np.zeros(90 * 25), "MLII": record.signal}
    write_edf(tmp_path / "a.edf", signals, [20, 25, 360], unit="uV", kind="EDF+C")
    found = read(tmp_path, "a.edf")
    assert (found.lead, found.rate_hz) == ("MLII", 360.0)
    assert np.abs(found.signal * 1000 - record.signal).max() < 0.0005


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"1" + data[1:], "header is damaged"),
        (lambda data: data[:300], "header is damaged"),
        (lambda data: data[:-10], "blocks of data"),
        (lambda data: data[:192] + b"EDF+D" + data[197:], "interrupted"),
        (lambda data: data[:252] + b"9999" + data[256:], "header is damaged"),
        (lambda data: data[:244] + b"0       " + data[252:], "header is damaged"),
        (lambda data: data[:244] + b"nan     " + data[252:], "header is damaged"),
    ],
    ids=["no EDF", "cut header", "cut data", "EDF+D", "many signals", "no duration", "duration nan"],
)
def test_an_edf_file_that_lies_is_refused(record, tmp_path, change, message):
    write_edf(tmp_path / "a.edf", {"MLII": record.signal}, [360])
    (tmp_path / "a.edf").write_bytes(change((tmp_path / "a.edf").read_bytes()))
    with pytest.raises(RequestError, match=message):
        read_edf(tmp_path / "a.edf", tmp_path, None, "MLII")


def test_an_edf_file_that_was_not_closed_is_read_as_far_as_it_goes(record, tmp_path):
    write_edf(tmp_path / "a.edf", {"MLII": record.signal}, [360])
    data = (tmp_path / "a.edf").read_bytes()
    (tmp_path / "a.edf").write_bytes(data[:236] + b"-1      " + data[244:-100])
    assert len(read(tmp_path, "a.edf").signal) == len(record.signal) - 360


def test_leads_and_units_are_compared_without_regard_to_case():
    assert choose_lead(["V5", " mlii "], None, "MLII") == 1
    assert to_millivolts(np.array([1500.0]), "µV").tolist() == pytest.approx([1.5])
    with pytest.raises(RequestError, match="unit 'kPa'"):
        to_millivolts(np.zeros(1), "kPa")
