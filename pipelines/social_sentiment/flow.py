"""The flows: `train` from a source to a published model, `score` from posts to their sentiment and its trend."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.social_sentiment import steps
from pipelines.social_sentiment.config import PRESETS, SentimentConfig
from pipelines.social_sentiment.data import parse_column_map, parse_label_names
from pipelines.social_sentiment.publish import publish
from pipelines.social_sentiment.score_table import score_table
from shared.orchestration.artifacts import show_summary
from shared.orchestration.flows import flow
from shared.orchestration.overrides import preset_config, with_overrides
from shared.orchestration.run import run_flow, timed_score
from shared.orchestration.scoring import ScoreSummary
from shared.orchestration.stored import read_summary
from shared.publishing.summary import RunSummary

_PARSED = {"data.columns": parse_column_map, "data.label_names": parse_label_names}


@flow(name="social_sentiment-train", persist_result=False, validate_parameters=False)
def train(source: str, config: SentimentConfig) -> RunSummary:
    """Source, contract, parts without copies, networks, calibration, evidence, trend, bundle, registry."""
    identified = steps.identify(source, config.data)
    ingested = steps.ingest(identified, config.data, config.seed)
    divided = steps.split(ingested, config.protocol, config.seed)
    seeds = range(config.seed, config.seed + config.training.num_seeds)
    networks = [steps.train(ingested, divided, seed, steps.learnt(config)) for seed in seeds]
    fitted = [steps.calibrate(ingested, divided, network, config) for network in networks]
    served = fitted[0]
    evaluated = steps.evaluate(ingested, divided, fitted, config)
    shares = steps.trend(ingested, divided, served, evaluated)
    explained = steps.explain(ingested, divided, served, evaluated)
    bundle = steps.assemble(ingested, divided, served, evaluated, shares, explained, config)
    published = publish(ingested, divided, served, evaluated, bundle, config)
    summary = published.complete(read_summary(bundle))
    show_summary(summary)
    return summary


@flow(name="social_sentiment-score", persist_result=False, validate_parameters=False)
def score_flow(input_path: Path, output_path: Path, version: str, explain: bool) -> ScoreSummary:
    """Table, contract, champion, sentiment of posts, trend, drift."""
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
    """Score the posts of a table with a published model; trend, drift and quarantine lie beside the output."""
    return timed_score(lambda: score_flow(input_path, output_path, version, explain))


def configure(preset: str, overrides: Mapping[str, Any]) -> SentimentConfig:
    """The preset's configuration with single knobs changed; maps may name a YAML file."""
    parsed = {key: parse(overrides[key]) for key, parse in _PARSED.items() if key in overrides}
    return with_overrides(preset_config(PRESETS, preset), {**overrides, **parsed})
