"""The flows: `train` from a source to a published model, `score` from a table to decisions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.credit_scoring import steps
from pipelines.credit_scoring.config import PRESETS, CreditConfig
from pipelines.credit_scoring.publish import publish
from pipelines.credit_scoring.score_table import score_table
from shared.data.columns import load_column_map
from shared.orchestration.artifacts import show_summary
from shared.orchestration.flows import flow
from shared.orchestration.overrides import preset_config, with_overrides
from shared.orchestration.run import run_flow, timed_score
from shared.orchestration.scoring import ScoreSummary
from shared.orchestration.stored import read_summary
from shared.publishing.summary import RunSummary


@flow(name="credit_scoring-train", persist_result=False, validate_parameters=False)
def train(source: str, config: CreditConfig) -> RunSummary:
    """Source, contract, split, network, evidence, bundle, registry."""
    ingested = steps.ingest(steps.identify(source, config.data), config.data, config.seed)
    parts = steps.split(ingested, config.data, config.evaluation.repeat_below_rows)
    fitted = steps.train(ingested, parts, config)
    evaluated = steps.evaluate(ingested, parts, fitted, config)
    explained = steps.explain(ingested, parts, fitted, config)
    bundle = steps.assemble(ingested, parts, fitted, evaluated, explained, config)
    published = publish(parts, fitted, bundle)
    summary = published.complete(read_summary(bundle))
    show_summary(summary)
    return summary


@flow(name="credit_scoring-score", persist_result=False, validate_parameters=False)
def score_flow(input_path: Path, output_path: Path, version: str, explain: bool) -> ScoreSummary:
    """Table, contract, champion, decisions, drift."""
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
    """Score a table with a published model and write decisions beside drift and quarantine."""
    return timed_score(lambda: score_flow(input_path, output_path, version, explain))


def configure(preset: str, overrides: Mapping[str, Any]) -> CreditConfig:
    """The preset's configuration with single knobs changed; `data.columns` may name a YAML file."""
    columns = {key: load_column_map(value) for key, value in overrides.items() if key == "data.columns"}
    return with_overrides(preset_config(PRESETS, preset), {**overrides, **columns})
