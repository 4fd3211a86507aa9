"""The flows: `train` from a source to a published model, `score` from a table to alerts."""

from pipelines.fraud_detection import steps
from pipelines.fraud_detection.config import PRESETS, FraudConfig
from pipelines.fraud_detection.data import parse_column_map
from pipelines.fraud_detection.publish import publish
from pipelines.fraud_detection.score_table import score_table
from shared.orchestration.flows import flow, run_of, score_of
from shared.orchestration.overrides import configured
from shared.orchestration.publish import completed
from shared.publishing.summary import RunSummary


@flow(name="fraud_detection-train", persist_result=False, validate_parameters=False)
def train(source: str, config: FraudConfig) -> RunSummary:
    """Source, contract, features, folds, networks, evidence, bundle, registry."""
    ingested = steps.ingest(steps.identify(source, config.data), config.data, config.seed)
    featured = steps.featurise(ingested, config.features, config.data.categories)
    divided = steps.split(featured, config.protocol, config.features, config.model.use_head)
    fitted = steps.train(ingested, featured, divided, steps.learnt(config))
    evaluated = steps.evaluate(featured, divided, fitted, config)
    explained = steps.explain(ingested, featured, divided, fitted, config)
    bundle = steps.assemble(ingested, featured, divided, fitted, evaluated, explained, config)
    published = publish(ingested, divided, fitted, bundle, config)
    return completed(published, bundle)


configure = configured(PRESETS, parsers={"data.columns": parse_column_map})
run = run_of(train, configure)
score = score_of("fraud_detection", score_table)
