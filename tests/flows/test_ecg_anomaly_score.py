"""Scoring with the published model: every beat of every recording that can be used, and what became of the others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.flows.ecg_folders import write_folder

SETTINGS = (
    "evaluation.num_bootstraps=50", "explanation.num_checked=20", "explanation.num_steps=8",
    "threshold.false_alarms=0.05",
)  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory, fieldwork_in):
    """The command in a home with one published model."""
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("published") / "home")
    options = [part for setting in SETTINGS for part in ("--set", setting)]
    fieldwork("run", "ecg_anomaly", "--preset", "tiny", *options, "--quiet").require_success()
    return fieldwork


@pytest.fixture(scope="module")
def holter(tmp_path_factory) -> Path:
    """Four recordings that nobody annotated."""
    folder = tmp_path_factory.mktemp("own") / "holter"
    write_folder(folder, 4, annotated=False)
    return folder


def score(fieldwork: Any, source: Any, out: Any, *options: str) -> Any:
    return fieldwork("score", "ecg_anomaly", source, "--out", out, *options)


def scored(fieldwork: Any, source: Any, folder: Any, *options: str) -> tuple[dict[str, Any], pl.DataFrame]:
    outcome = score(fieldwork, source, folder / "out.parquet", "--json", "-", *options)
    return outcome.require_success().document, pl.read_parquet(folder / "out.parquet")


@pytest.fixture(scope="module")
def explained(published, holter, tmp_path_factory) -> tuple[dict[str, Any], pl.DataFrame]:
    """The folder with heat, scored once for all tests that only look at it."""
    return scored(published, holter, tmp_path_factory.mktemp("explained"), "--explain")


def test_recordings_without_annotations_are_scored_beat_by_beat(explained):
    document, alerts = explained
    assert document["rows"] == {
        "in": 4, "quarantined": 0, "scored": 4, "beats": alerts.height, "flagged": alerts["flagged"].sum(),
    }  # fmt: skip
    assert alerts["record"].n_unique() == 4
    assert alerts["beat_class"].null_count() == alerts.height > 300
    assert alerts["model_version"].unique().to_list() == ["1"]
    assert alerts.unique(["record", "beat"]).height == alerts.height


def test_flagged_beats_say_where_they_are_abnormal(explained):
    _, alerts = explained
    flagged = alerts.filter("flagged")
    assert flagged.height > 0
    assert alerts["heat"].is_not_null().equals(alerts["flagged"])
    heat = json.loads(flagged["heat"][0])
    assert sum(heat["values"]) == pytest.approx(1, abs=0.02)


def test_one_record_is_named_by_its_header_and_scores_as_in_its_folder(
    published, holter, explained, tmp_path
):
    header = sorted(holter.glob("*.hea"))[1]
    document, alerts = scored(published, header, tmp_path)
    assert document["rows"]["in"] == 1
    among = explained[1].filter(record=header.stem)
    np.testing.assert_allclose(alerts["score"], among["score"], rtol=1e-5)
    assert alerts["r_sample"].equals(among["r_sample"])


def test_alerts_can_be_written_as_csv_and_read_back(published, holter, tmp_path):
    score(published, holter, tmp_path / "out.csv").require_success()
    assert pl.read_csv(tmp_path / "out.csv").height > 300


def test_a_broken_recording_goes_to_quarantine_with_the_reason_and_the_rest_is_scored(published, tmp_path):
    names = write_folder(tmp_path / "holter", 3)
    samples = tmp_path / "holter" / f"{names[0]}.dat"
    samples.write_bytes(samples.read_bytes()[:5000])
    document, alerts = scored(published, tmp_path / "holter", tmp_path)
    assert document["rows"]["quarantined"] == 1
    assert alerts["record"].unique(maintain_order=True).to_list() == names[1:]
    assert alerts["beat_class"].null_count() < 0.1 * alerts.height, "annotations lie beside"
    [reason] = pl.read_parquet(document["quarantine"])["broken_rules"]
    assert "cut off" in reason


def test_a_manifest_cannot_name_files_outside_its_folder(published, holter, tmp_path):
    own = tmp_path / "own"
    names = write_folder(own / "holter", 4)
    outside = [f"../../{holter.parent.name}/holter/{names[0]}", *(f"holter/{name}" for name in names)]
    pl.DataFrame({"record": [f"r{number}" for number in range(5)], "file": outside}).write_csv(
        own / "list.csv"
    )
    document, alerts = scored(published, own / "list.csv", tmp_path)
    assert alerts["record"].n_unique() == document["rows"]["scored"] == 4
    [row] = pl.read_parquet(document["quarantine"]).iter_rows(named=True)
    assert row["record"] == "r0"
    assert "outside" in row["broken_rules"]


@pytest.mark.parametrize(
    ("write", "parts"),
    [
        (lambda path: path.write_bytes(b""), ["empty file"]),
        (lambda path: path.write_bytes(path.read_bytes()[:300]), ["cut off"]),
        (lambda path: path.unlink(), ["no such file"]),
        (lambda path: path.write_bytes(bytes(path.stat().st_size)), ["were the electrodes on"]),
    ],
    ids=["empty", "cut-off", "missing", "flat"],
)
def test_a_recording_that_cannot_be_used_is_refused_with_the_reason(published, tmp_path, write, parts):
    [name] = write_folder(tmp_path / "holter", 1)
    write(tmp_path / "holter" / f"{name}.dat")
    outcome = score(published, tmp_path / "holter" / f"{name}.hea", tmp_path / "out.parquet")
    outcome.require_plain_failure(2, name, *parts)
    assert not (tmp_path / "out.parquet").exists()


def test_the_same_recorder_has_not_drifted_and_one_of_ten_times_the_gain_has(published, explained, tmp_path):
    assert explained[0]["drift"]["drifted"] is False
    names = write_folder(tmp_path / "holter", 8)
    for name in names:
        header = tmp_path / "holter" / f"{name}.hea"
        header.write_text(header.read_text().replace("200(0)/mV", "20(0)/mV"))
    document, _ = scored(published, tmp_path / "holter", tmp_path)
    assert "amplitude_mv" in document["drift"]["columns"]


def test_scoring_never_writes_over_its_input(published, tmp_path):
    write_folder(tmp_path / "holter", 1)
    manifest = tmp_path / "out.quarantine.parquet"
    pl.DataFrame({"record": ["a"], "file": ["holter/patient-01"]}).write_parquet(manifest)
    before = manifest.read_bytes()
    score(published, manifest, tmp_path / "out.csv").require_plain_failure(2, manifest.name)
    assert manifest.read_bytes() == before
