"""The flows: `train` from a source to a published model, `score` from a table of readings to forecasts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.predictive_maintenance import steps
from pipelines.predictive_maintenance.config import PRESETS, MaintenanceConfig
from pipelines.predictive_maintenance.data import parse_column_map, parse_units
from pipelines.predictive_maintenance.publish import publish
from pipelines.predictive_maintenance.score_table import score_table
from shared.orchestration.artifacts import show_summary
from shared.orchestration.flows import flow
from shared.orchestration.overrides import preset_config, with_overrides
from shared.orchestration.run import run_flow, timed_score
from shared.orchestration.scoring import ScoreSummary
from shared.orchestration.stored import read_summary
from shared.publishing.summary import RunSummary

_PARSED = {"data.columns": parse_column_map, "data.units": parse_units}


@flow(name="predictive_maintenance-train", persist_result=False, validate_parameters=False)
def train(source: str, config: MaintenanceConfig) -> RunSummary:
    """Source, contract, machines for training and test, networks, evidence, bundle, registry."""
    ingested = steps.ingest(steps.identify(source, config.data), config.data, config.seed)
    divided = steps.split(ingested, config.protocol, config.features, config.target, config.seed)
    fitted = steps.train(ingested, divided, config)
    evaluated = steps.evaluate(ingested, divided, fitted, config)
    explained = steps.explain(ingested, divided, fitted, evaluated, config)
    bundle = steps.assemble(ingested, divided, fitted, evaluated, explained, config)
    published = publish(ingested, divided, fitted, evaluated, bundle, config)
    summary = published.complete(read_summary(bundle))
    show_summary(summary)
    return summary


@flow(name="predictive_maintenance-score", persist_result=False, validate_parameters=False)
def score_flow(input_path: Path, output_path: Path, version: str, explain: bool) -> ScoreSummary:
    """Table, contract, champion, forecasts, drift."""
    return score_table(input_path, output_path, version=version, explain=explain)


def run(
    preset: str, source: str, overrides: Mapping[str, Any], *, use_cache: bool = True, progress: bool = False
) -> RunSummary:
    """Train, evaluate, explain and publish; what the command line and the schedules call."""
    config = configure(preset, overrides)
    return run_flow(train, source, config, use_cache=use_cache, progress=progress)


def score(
    input_path: Path, output_path: Path, *, version: str = "champion", explain: bool = False
) -> BaseModel:
    """Forecast the machines of a table with a published model; drift and quarantine lie beside the output."""
    return timed_score(lambda: score_flow(input_path, output_path, version, explain))


def configure(preset: str, overrides: Mapping[str, Any]) -> MaintenanceConfig:
    """The preset's configuration with single knobs changed; `data.columns` and `data.units` may name a YAML file."""
    parsed = {key: _PARSED[key](value) for key, value in overrides.items() if key in _PARSED}
    return with_overrides(preset_config(PRESETS, preset), {**overrides, **parsed})
