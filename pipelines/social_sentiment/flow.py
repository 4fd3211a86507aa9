"""The flows: `train` from a source to a published model, `score` from posts to their sentiment and its trend."""

from pipelines.social_sentiment import steps
from pipelines.social_sentiment.config import PRESETS, SentimentConfig
from pipelines.social_sentiment.data import parse_column_map, parse_label_names
from pipelines.social_sentiment.publish import publish
from pipelines.social_sentiment.score_table import score_table
from shared.orchestration.flows import flow, run_of, score_of
from shared.orchestration.overrides import configured
from shared.orchestration.publish import completed
from shared.publishing.summary import RunSummary


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
    return completed(published, bundle)


configure = configured(
    PRESETS, parsers={"data.columns": parse_column_map, "data.label_names": parse_label_names}
)
run = run_of(train, configure)
score = score_of("social_sentiment", score_table)
