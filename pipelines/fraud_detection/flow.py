"""The flows: `train` from a source to a published model, `score` from a table to alerts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.fraud_detection import steps
from pipelines.fraud_detection.config import PRESETS, FraudConfig
from pipelines.fraud_detection.data import parse_column_map
from pipelines.fraud_detection.publish import publish
from pipelines.fraud_detection.score_table import score_table
from shared.orchestration.artifacts import show_summary
from shared.orchestration.flows import flow
from shared.orchestration.overrides import preset_config, with_overrides
from shared.orchestration.run import run_flow, timed_score
from shared.orchestration.scoring import ScoreSummary
from shared.orchestration.stored import read_summary
from shared.publishing.summary import RunSummary


@flow(name="fraud_detection-train", persist_result=False, validate_parameters=False)
def train(source: str, config: FraudConfig) -> RunSummary:
    """Source, contract, features, folds, networks, evidence, bundle, registry."""
    ingested = steps.ingest(steps.identify(source, config.data), config.data, config.seed)
    featured = steps.featurise(ingested, config.features, config.data.categories)
    divided = steps.split(featured, config.protocol, config.features, config.model.use_head)
    fitted = steps.train(ingested, featured, divided, config)
    evaluated = steps.evaluate(featured, divided, fitted, config)
    explained = steps.explain(ingested, featured, divided, fitted, config)
    bundle = steps.assemble(ingested, featured, divided, fitted, evaluated, explained, config)
    published = publish(ingested, divided, fitted, bundle, config)
    summary = published.complete(read_summary(bundle))
    show_summary(summary)
    return summary


@flow(name="fraud_detection-score", persist_result=False, validate_parameters=False)
def score_flow(input_path: Path, output_path: Path, version: str, explain: bool) -> ScoreSummary:
    """Table, contract, champion, alerts, drift."""
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
    """Score the transactions of a table with a published model; drift and quarantine lie beside the output."""
    return timed_score(lambda: score_flow(input_path, output_path, version, explain))


def configure(preset: str, overrides: Mapping[str, Any]) -> FraudConfig:
    """The preset's configuration with single knobs changed; `data.columns` may name a YAML file."""
    columns = {key: parse_column_map(value) for key, value in overrides.items() if key == "data.columns"}
    return with_overrides(preset_config(PRESETS, preset), {**overrides, **columns})
