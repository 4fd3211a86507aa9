"""The flows: `train` from a source to a published model, `score` from a table of readings to forecasts."""

from pipelines.predictive_maintenance import steps
from pipelines.predictive_maintenance.config import PRESETS, MaintenanceConfig
from pipelines.predictive_maintenance.data import parse_column_map, parse_units
from pipelines.predictive_maintenance.publish import publish
from pipelines.predictive_maintenance.score_table import score_table
from shared.orchestration.flows import flow, run_of, score_of
from shared.orchestration.overrides import configured
from shared.orchestration.publish import completed
from shared.publishing.summary import RunSummary


@flow(name="predictive_maintenance-train", persist_result=False, validate_parameters=False)
def train(source: str, config: MaintenanceConfig) -> RunSummary:
    """Source, contract, machines for training and test, networks, evidence, bundle, registry."""
    ingested = steps.ingest(steps.identify(source, config.data), config.data, config.seed)
    divided = steps.split(ingested, config.protocol, config.features, config.target, config.seed)
    fitted = steps.train(ingested, divided, steps.learnt(config))
    evaluated = steps.evaluate(ingested, divided, fitted, config)
    explained = steps.explain(ingested, divided, fitted, evaluated, config)
    bundle = steps.assemble(ingested, divided, fitted, evaluated, explained, config)
    published = publish(ingested, divided, fitted, evaluated, bundle, config)
    return completed(published, bundle)


configure = configured(PRESETS, parsers={"data.columns": parse_column_map, "data.units": parse_units})
run = run_of(train, configure)
score = score_of("predictive_maintenance", score_table)
