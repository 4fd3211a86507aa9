"""The two contracts take what they should and refuse what would mislead."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from shared.contracts.arrays import check_arrays
from shared.contracts.contract import load
from shared.contracts.table import check_table


def alerts(**columns) -> pl.DataFrame:
    row = {
        "record": "101", "beat": 1, "patient": "101", "lead": "MLII", "beat_time": 1.25, "r_sample": 450,
        "score": 0.8, "threshold": 0.5, "flagged": True, "p_value": 0.004, "heat": None, "signal_quality": 0.97,
        "beat_class": "V", "model_version": "ecg_anomaly@1", "contract": "ecg_records@1.0.0",
        "scored_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return pl.DataFrame([row | columns])


def test_an_alert_keeps_its_contract_with_and_without_what_may_be_unknown():
    contract = load("ecg_alerts")
    check_table(alerts(), contract).require()
    check_table(alerts(p_value=None, beat_class=None, heat='{"values": [0.1]}'), contract).require()


@pytest.mark.parametrize(
    "columns",
    [
        {"p_value": 0.0},
        {"signal_quality": 1.2},
        {"beat_class": "X"},
        {"beat_time": -1.0},
        {"score": float("nan")},
    ],
    ids=["p value 0", "quality", "class", "time", "score"],
)
def test_an_alert_that_cannot_be_is_refused(columns):
    assert not check_table(alerts(**columns), load("ecg_alerts")).passed


@pytest.mark.parametrize(
    "columns",
    [{"sampling_rate": 50.0}, {"unit": "kPa"}, {"file": " "}, {"record": None}, {"part": "validation"}],
    ids=["rate", "unit", "file", "record", "part"],
)
def test_a_manifest_row_that_cannot_be_used_goes_to_quarantine(columns):
    row = {"record": "a", "file": "a.csv", "sampling_rate": 360.0, "unit": "mV", "part": "train"}
    frame = pl.DataFrame([row, row | {"record": "b"} | columns])
    checked = check_table(frame, load("ecg_records"))
    assert checked.quarantined["row_number"].to_list() == [2]


def test_a_record_named_twice_goes_to_quarantine():
    frame = pl.DataFrame({"record": ["a", "a", "b"], "file": ["x", "y", "z"]})
    assert check_table(frame, load("ecg_records")).quarantined.height == 2


@pytest.mark.parametrize(
    ("signal", "passes"),
    [
        (np.zeros(5, np.float32), True),
        (np.full(5, 500, np.float32), False),
        (np.full(5, np.nan, np.float32), False),
        (np.zeros(5), False),
        (np.zeros((5, 2), np.float32), False),
    ],
    ids=["good", "microvolts", "missing", "float64", "two leads"],
)
def test_a_signal_is_finite_millivolts_of_one_lead(signal, passes):
    assert check_arrays({"signal": signal}, load("ecg_records")).passed == passes
