"""The flows: `train` from a source to a published model, `score` from recordings to beats with their scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.ecg_anomaly import steps
from pipelines.ecg_anomaly.config import PRESETS, EcgConfig
from pipelines.ecg_anomaly.data import parse_column_map
from pipelines.ecg_anomaly.publish import publish
from pipelines.ecg_anomaly.score_files import score_files
from shared.orchestration.artifacts import show_summary
from shared.orchestration.flows import flow
from shared.orchestration.overrides import preset_config, with_overrides
from shared.orchestration.run import run_flow, timed_score
from shared.orchestration.scoring import ScoreSummary
from shared.orchestration.stored import read_summary
from shared.publishing.summary import RunSummary


@flow(name="ecg_anomaly-train", persist_result=False, validate_parameters=False)
def train(source: str, config: EcgConfig) -> RunSummary:
    """Source, contract, signals and beats, folds of patients, detectors, evidence, bundle, registry."""
    identified = steps.identify(source, config.data)
    ingested = steps.ingest(identified, config.data, config.signal, config.beats, config.seed)
    divided = steps.split(ingested, config.protocol, config.seed)
    folds = [steps.train_fold(ingested, divided, number, config) for number in range(divided.num_folds)]
    served = steps.train(ingested, divided, folds, config)
    evaluated = steps.evaluate(ingested, divided, folds, config)
    explained = steps.explain(ingested, folds, config)
    bundle = steps.assemble(ingested, divided, folds, served, evaluated, explained, config)
    published = publish(served, evaluated, bundle, config)
    summary = published.complete(read_summary(bundle))
    show_summary(summary)
    return summary


@flow(name="ecg_anomaly-score", persist_result=False, validate_parameters=False)
def score_flow(input_path: Path, output_path: Path, version: str, explain: bool) -> ScoreSummary:
    """Recordings, contract, champion, scores of beats, drift."""
    return score_files(input_path, output_path, version=version, explain=explain)


def run(
    preset: str, source: str, overrides: Mapping[str, Any], *, use_cache: bool = True, progress: bool = False
) -> RunSummary:
    """Train, evaluate, explain and publish; what the command line and the schedules call."""
    config = configure(preset, overrides)
    return run_flow(train, source, config, use_cache=use_cache, progress=progress)


def score(
    input_path: Path, output_path: Path, *, version: str = "champion", explain: bool = False
) -> BaseModel:
    """Score the beats of recordings with a published model; drift and quarantine lie beside the output."""
    return timed_score(lambda: score_flow(input_path, output_path, version, explain))


def configure(preset: str, overrides: Mapping[str, Any]) -> EcgConfig:
    """The preset's configuration with single knobs changed; `data.columns` may name a YAML file."""
    parsed = (
        {"data.columns": parse_column_map(overrides["data.columns"])} if "data.columns" in overrides else {}
    )
    return with_overrides(preset_config(PRESETS, preset), {**overrides, **parsed})
