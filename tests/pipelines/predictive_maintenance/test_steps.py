"""The steps of the flow, called on their own: what they refuse, what they note, what they hand on."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from pipelines.predictive_maintenance import steps
from pipelines.predictive_maintenance.config import FeatureConfig, MaintenanceConfig, TargetConfig, tiny
from pipelines.predictive_maintenance.publish import until
from pipelines.predictive_maintenance.steps import Divided, Ingested
from shared.errors import FieldworkError, RequestError


@pytest.fixture
def ingested(generated, tmp_path) -> Callable[..., Ingested]:
    """The generated fleet, or what a change makes of it, through the first step."""

    def ingest(change: Callable[[pl.DataFrame], pl.DataFrame] = lambda frame: frame) -> Ingested:
        change(generated.frame).write_parquet(tmp_path / "own.parquet")
        config = tiny().data.model_copy(update={"settings": ("load", "ambient_temperature")})
        return steps.ingest.function(steps.identify(str(tmp_path / "own.parquet"), config), config, 0)

    return ingest


def split(ingested: Ingested, config: MaintenanceConfig | None = None) -> Divided:
    config = config or tiny()
    return steps.split.function(ingested, config.protocol, config.features, config.target, config.seed)


def test_a_division_is_handed_on_as_it_was_made(ingested):
    found = ingested()
    divided = split(found)
    division = divided.division()
    fleet = found.fleet()
    assert len(division.folds) == tiny().protocol.num_folds
    assert np.array_equal(
        np.sort(np.concatenate([*division.folds, division.test])), np.arange(fleet.num_units)
    )
    assert divided.forecasts
    assert divided.audit["findings"] == []


def test_handles_are_small_and_survive_json(ingested):
    divided = split(ingested())
    text = divided.model_dump_json()
    assert len(text) < 3000
    assert Divided.model_validate_json(text) == divided


def test_too_few_failures_serve_an_alarm_and_say_why(ingested):
    def few_failures(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(failed=pl.col("failed") * (pl.col("unit_id") < "pump-006"))

    divided = split(ingested(few_failures))
    assert not divided.forecasts
    assert any("too few to learn remaining life from" in note for note in divided.notes)


def test_windows_longer_than_every_life_are_noted(ingested):
    config = tiny().model_copy(update={"features": FeatureConfig(window_length=500)})
    [note] = [note for note in split(ingested(), config).notes if "longer than every life" in note]
    assert "features.window_length" in note
    assert not [note for note in split(ingested()).notes if "longer than every life" in note]


def test_a_cap_within_one_step_is_refused(ingested):
    config = tiny().model_copy(update={"target": TargetConfig(rul_cap=0.5)})
    with pytest.raises(
        RequestError, match=r"target\.rul_cap above the time between two readings, 1 cycles.*0\.5"
    ):
        split(ingested(), config)


def test_a_failure_in_quarantine_is_a_warning(ingested):
    def broken(frame: pl.DataFrame) -> pl.DataFrame:
        first = (pl.col("failed") == 1) & ((pl.col("failed") == 1).cum_sum() <= 3)
        return frame.with_columns(flow_1=pl.when(first).then(float("inf")).otherwise("flow_1"))

    [warning] = ingested(broken).warnings
    assert warning.startswith("3 failures are in quarantine")


def test_a_label_among_the_sensors_stops_the_run(ingested):
    def leaking(frame: pl.DataFrame) -> pl.DataFrame:
        never_repaired = frame.filter(~pl.col("unit_id").str.ends_with("0"))
        return never_repaired.with_columns(remaining=pl.col("time").max().over("unit_id") - pl.col("time"))

    with pytest.raises(FieldworkError, match="remaining is a function of the remaining life"):
        split(ingested(leaking))


def test_two_models_are_asked_at_the_same_moments():
    readings = pl.DataFrame({"unit_id": ["a"] * 3 + ["b"] * 3 + ["c"], "time": [1.0, 2, 3, 1, 2, 3, 1]})
    judged = pl.DataFrame({"unit_id": ["a", "b"], "time": [2.0 - 1e-9, 3.0]})
    assert until(readings, judged).rows() == [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3)]
