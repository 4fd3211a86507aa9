"""The flows: `train` from a source to a published model, `score` from images to masks and what is said of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.medical_segmentation import steps
from pipelines.medical_segmentation.config import PRESETS, MedicalConfig
from pipelines.medical_segmentation.data import parse_column_map, parse_structures
from pipelines.medical_segmentation.publish import publish
from pipelines.medical_segmentation.score_files import score_files
from shared.orchestration.artifacts import show_summary
from shared.orchestration.flows import flow
from shared.orchestration.overrides import preset_config, with_overrides
from shared.orchestration.run import run_flow, timed_score
from shared.orchestration.scoring import ScoreSummary
from shared.orchestration.stored import read_summary
from shared.publishing.summary import RunSummary

_PARSERS = {"data.columns": parse_column_map, "data.structures": parse_structures}


@flow(name="medical_segmentation-train", persist_result=False, validate_parameters=False)
def train(source: str, config: MedicalConfig) -> RunSummary:
    """Source, contract, cases, folds of patients, networks, evidence, bundle, registry."""
    identified = steps.identify(source, config.data)
    ingested = steps.ingest(identified, config.data, config.image, config.seed)
    divided = steps.split(ingested, config)
    folds = [steps.train_fold(ingested, divided, number, config) for number in range(divided.num_folds)]
    served = steps.train(ingested, divided, folds, config)
    evaluated = steps.evaluate(folds, config)
    explained = steps.explain(ingested, folds, evaluated, config)
    bundle = steps.assemble(ingested, divided, folds, served, evaluated, explained, config)
    published = publish(served, evaluated, bundle, config)
    summary = published.complete(read_summary(bundle))
    show_summary(summary)
    return summary


@flow(name="medical_segmentation-score", persist_result=False, validate_parameters=False)
def score_flow(input_path: Path, output_path: Path, version: str, explain: bool) -> ScoreSummary:
    """Images, contract, champion, masks and results, drift."""
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
    """Score images with a published model; masks, drift and quarantine lie beside the output."""
    return timed_score(lambda: score_flow(input_path, output_path, version, explain))


def configure(preset: str, overrides: Mapping[str, Any]) -> MedicalConfig:
    """The preset's configuration with single knobs changed; `data.columns` may name a YAML file."""
    parsed = {name: parse(overrides[name]) for name, parse in _PARSERS.items() if name in overrides}
    return with_overrides(preset_config(PRESETS, preset), {**overrides, **parsed})
