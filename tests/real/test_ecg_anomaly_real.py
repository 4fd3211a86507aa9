"""What the project promises on MIT-BIH: patients that were not seen, ranked well and seldom alarmed without need."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

DATA = os.environ.get("FIELDWORK_DATA", "")
# Two folds of four patients each; 106, 119, 203 and 223 have most of the ventricular beats, 209 and 118 of the
# supraventricular ones.
RECORDS = ("106", "108", "118", "119", "124", "203", "209", "223")

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="FIELDWORK_DATA names no folder with the public data sets"),
]


@pytest.fixture(scope="module")
def folder() -> Path:
    found = Path(DATA) / "mitdb_ds1"
    if not found.is_dir():
        pytest.skip(f"mitdb_ds1 is not in {DATA}")
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory, fieldwork_in, folder) -> tuple[Any, dict[str, Any]]:
    """A run on some of the records, in a manifest of one's own beside links to them, trained for a moment."""
    own = tmp_path_factory.mktemp("ds1")
    for name in RECORDS:
        for suffix in ("hea", "dat", "atr"):
            (own / f"{name}.{suffix}").write_bytes((folder / f"{name}.{suffix}").read_bytes())
    manifest = {"record": RECORDS, "file": RECORDS, "annotation": [f"{name}.atr" for name in RECORDS]}
    pl.DataFrame(manifest).write_csv(own / "records.csv")
    changes = (
        "training.epochs=1", "training.min_steps=60", "training.head_epochs=1",
        "evaluation.num_bootstraps=50", "explanation.num_checked=20", "explanation.num_steps=8",
    )  # fmt: skip
    options = [part for change in changes for part in ("--set", change)]
    fieldwork = fieldwork_in(own / "home")
    command = ("run", "ecg_anomaly", "--preset", "tiny", "--data", own / "records.csv", *options)
    return fieldwork, fieldwork(*command, "--quiet", "--json", "-").require_success().document


def test_abnormal_beats_of_unseen_patients_are_ranked_above_normal_ones(trained):
    _, document = trained
    metrics = document["metrics"]
    assert document["rows"] == {"in": 8, "quarantined": 0, "train": 8, "test": 8}
    assert metrics["test/auroc_v"]["value"] > 0.9
    assert metrics["test/auroc_s"]["value"] > 0.75
    assert metrics["test/auroc_v"]["value"] > document["baselines"]["pca"]["test/auroc_v"]["value"]


def test_false_alarms_are_within_reach_of_what_is_promised(trained):
    rate = trained[1]["metrics"]["test/false_alarm_rate"]
    assert 0.001 < rate["value"] < 0.04
    assert rate["low"] < 0.01 < rate["high"]


def test_half_an_hour_is_scored_beat_by_beat_as_it_was_annotated(trained, folder, tmp_path):
    fieldwork, _ = trained
    command = ("score", "ecg_anomaly", folder / "101.hea", "--out", tmp_path / "out.parquet")
    fieldwork(*command).require_success()
    alerts = pl.read_parquet(tmp_path / "out.parquet")
    assert alerts.height == pytest.approx(1865, rel=0.01)
    assert alerts["beat_class"].null_count() < 20
    assert alerts["flagged"].mean() < 0.05


def test_a_stream_of_the_first_minutes_is_the_batch(trained, folder):
    from pipelines.ecg_anomaly.config import DataConfig
    from pipelines.ecg_anomaly.data import load_manifest, read_records
    from pipelines.ecg_anomaly.recordings import Recordings
    from pipelines.ecg_anomaly.schema import Record
    from pipelines.ecg_anomaly.score import Scorer

    scorer = Scorer.load(Path(trained[1]["model"]["bundle"]))
    manifest = load_manifest(str(folder / "203.hea"), DataConfig(), 0)
    [record] = read_records(manifest, manifest.frame, DataConfig())
    assert isinstance(record, Record)
    signal = record.signal[: 300 * 360]
    whole = Record("203", "203", record.lead, record.rate_hz, signal)
    expected = scorer.score_recordings(Recordings.of([whole], scorer.config.signal, scorer.beats))
    stream = scorer.stream(record.rate_hz)
    found = [
        beat for start in range(0, len(signal), 777) for beat in stream.push(signal[start : start + 777])
    ]
    found += stream.finish()
    assert [one.beat_time for one in found] == expected["beat_time"].to_list()
    np.testing.assert_allclose([one.score for one in found], expected["score"], rtol=1e-5, atol=1e-6)
    assert len(found) > 400
