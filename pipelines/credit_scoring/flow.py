"""The flows: `train` from a source to a published model, `score` from a table to decisions."""

from pipelines.credit_scoring import steps
from pipelines.credit_scoring.config import PRESETS, CreditConfig
from pipelines.credit_scoring.publish import publish
from pipelines.credit_scoring.score_table import score_table
from shared.data.columns import load_column_map
from shared.orchestration.flows import flow, run_of, score_of
from shared.orchestration.overrides import configured
from shared.orchestration.publish import completed
from shared.publishing.summary import RunSummary


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


configure = configured(PRESETS, parsers={"data.columns": load_column_map})
run = run_of(train, configure)
score = score_of("credit_scoring", score_table)
