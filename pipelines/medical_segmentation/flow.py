"""The flows: `train` from a source to a published model, `score` from images to masks and what is said of them."""

from pipelines.medical_segmentation import steps
from pipelines.medical_segmentation.config import PRESETS, MedicalConfig
from pipelines.medical_segmentation.data import parse_column_map, parse_structures
from pipelines.medical_segmentation.publish import publish
from pipelines.medical_segmentation.score_files import score_files
from shared.orchestration.flows import flow, run_of, score_of
from shared.orchestration.overrides import configured
from shared.orchestration.publish import completed
from shared.publishing.summary import RunSummary


@flow(name="medical_segmentation-train", persist_result=False, validate_parameters=False)
def train(source: str, config: MedicalConfig) -> RunSummary:
    """Source, contract, cases, folds of patients, networks, evidence, bundle, registry."""
    identified = steps.identify(source, config.data)
    ingested = steps.ingest(identified, config.data, config.image, config.seed)
    divided = steps.split(ingested, config)
    learnt = steps.learnt(config)
    folds = [steps.train_fold(ingested, divided, number, learnt) for number in range(divided.num_folds)]
    served = steps.train(ingested, divided, folds, learnt)
    evaluated = steps.evaluate(folds, config)
    explained = steps.explain(ingested, folds, evaluated, config)
    bundle = steps.assemble(ingested, divided, folds, served, evaluated, explained, config)
    published = publish(served, evaluated, bundle, config)
    return completed(published, bundle)


configure = configured(
    PRESETS, parsers={"data.columns": parse_column_map, "data.structures": parse_structures}
)
run = run_of(train, configure)
score = score_of("medical_segmentation", score_files)
