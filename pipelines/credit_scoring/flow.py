"""The flows: `train` from a source to a published model, `score` from a table to decisions."""

from collections.abc import Mapping
from typing import Any

from pipelines.credit_scoring import steps
from pipelines.credit_scoring.config import PRESETS, CreditConfig
from pipelines.credit_scoring.publish import publish
from pipelines.credit_scoring.score_table import score_table
from shared.data.columns import load_column_map
from shared.orchestration.flows import flow, run_of, score_of
from shared.orchestration.overrides import preset_config, with_overrides
from shared.orchestration.publish import completed
from shared.publishing.summary import RunSummary

_PARSERS = {"data.columns": load_column_map}


@flow(name="credit_scoring-train", persist_result=False, validate_parameters=False)
def train(source: str, config: CreditConfig) -> RunSummary:
    """Source, contract, split, network, evidence, bundle, registry."""
    ingested = steps.ingest(steps.identify(source, config.data), config.data, config.seed)
    divided = steps.split(ingested, config.data, config.evaluation.repeat_below_rows)
    fitted = steps.train(ingested, divided, steps.learnt(config))
    evaluated = steps.evaluate(ingested, divided, fitted, config)
    explained = steps.explain(ingested, divided, fitted, config)
    bundle = steps.assemble(ingested, divided, fitted, evaluated, explained, config)
    published = publish(divided, fitted, bundle, config)
    return completed(published, bundle)


def configure(preset: str, overrides: Mapping[str, Any]) -> CreditConfig:
    """The preset's configuration with single knobs changed; `data.columns` may name a YAML file."""
    return with_overrides(preset_config(PRESETS, preset), overrides, _PARSERS)


run = run_of(train, configure)
score = score_of("credit_scoring", score_table)
