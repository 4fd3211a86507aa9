"""The flows: `train` from a source to a published model, `score` from recordings to beats with their scores."""

from pipelines.ecg_anomaly import steps
from pipelines.ecg_anomaly.config import PRESETS, EcgConfig
from pipelines.ecg_anomaly.data import parse_column_map
from pipelines.ecg_anomaly.publish import publish
from pipelines.ecg_anomaly.score_files import score_files
from shared.orchestration.flows import flow, run_of, score_of
from shared.orchestration.overrides import configured
from shared.orchestration.publish import completed
from shared.publishing.summary import RunSummary


@flow(name="ecg_anomaly-train", persist_result=False, validate_parameters=False)
def train(source: str, config: EcgConfig) -> RunSummary:
    """Source, contract, signals and beats, folds of patients, detectors, evidence, bundle, registry."""
    identified = steps.identify(source, config.data)
    ingested = steps.ingest(identified, config.data, config.signal, config.beats, config.seed)
    divided = steps.split(ingested, config.protocol, config.seed)
    learnt = steps.learnt(config)
    folds = [steps.train_fold(ingested, divided, number, learnt) for number in range(divided.num_folds)]
    served = steps.train(ingested, divided, folds, learnt)
    evaluated = steps.evaluate(ingested, divided, folds, config)
    explained = steps.explain(ingested, folds, config)
    bundle = steps.assemble(ingested, divided, folds, served, evaluated, explained, config)
    published = publish(served, evaluated, bundle, config)
    return completed(published, bundle)


configure = configured(PRESETS, parsers={"data.columns": parse_column_map})
run = run_of(train, configure)
score = score_of("ecg_anomaly", score_files)
