"""The flows: `train` from a source to a published model, `score` from a table to recommendations."""

from pipelines.recommender import steps
from pipelines.recommender.config import PRESETS, RecommenderConfig
from pipelines.recommender.data import parse_column_map
from pipelines.recommender.publish import publish
from pipelines.recommender.score_table import score_table
from shared.orchestration.flows import flow, run_of, score_of
from shared.orchestration.overrides import configured
from shared.orchestration.publish import completed
from shared.publishing.summary import RunSummary


@flow(name="recommender-train", persist_result=False, validate_parameters=False)
def train(source: str, config: RecommenderConfig) -> RunSummary:
    """Source, contract, split, models, evidence, bundle, registry."""
    ingested = steps.ingest(steps.identify(source, config.data), config.data, config.seed)
    divided = steps.split(ingested, config.protocol, config.seed)
    fitted = steps.train(ingested, divided, steps.learnt(config))
    evaluated = steps.evaluate(ingested, divided, fitted, config)
    explained = steps.explain(ingested, divided, fitted, config)
    bundle = steps.assemble(ingested, divided, fitted, evaluated, explained, config)
    published = publish(ingested, divided, fitted, bundle, config)
    return completed(published, bundle)


configure = configured(PRESETS, parsers={"data.columns": parse_column_map})
run = run_of(train, configure)
score = score_of("recommender", score_table)
