"""The steps of the flows: each takes references and configuration, and returns references."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from pipelines.social_sentiment.audit import audit_division
from pipelines.social_sentiment.baselines import TFIDF, Baseline, fit_baselines
from pipelines.social_sentiment.calibrate import Calibration
from pipelines.social_sentiment.config import DataConfig, ProtocolConfig, SentimentConfig
from pipelines.social_sentiment.data import source_paths
from pipelines.social_sentiment.evaluate import evaluation_document
from pipelines.social_sentiment.evidence import EvidenceDocuments, first_summary
from pipelines.social_sentiment.explain import explain_test
from pipelines.social_sentiment.facts import facts_of
from pipelines.social_sentiment.generator import generate
from pipelines.social_sentiment.handles import Divided, Fitted, Ingested, opened
from pipelines.social_sentiment.held_out import TEST_LABELS, labels_to_keep
from pipelines.social_sentiment.ingest import read_posts
from pipelines.social_sentiment.model_card import run_model_card
from pipelines.social_sentiment.periods import TEST_SHARES, shares_to_keep
from pipelines.social_sentiment.predictions import Judged, logits_in, predict_test
from pipelines.social_sentiment.protocol import Division, divide
from pipelines.social_sentiment.report import run_report
from pipelines.social_sentiment.schema import Posts, Truth
from pipelines.social_sentiment.score import PIPELINE, Scorer
from pipelines.social_sentiment.text import prepare
from pipelines.social_sentiment.train import Trainer
from pipelines.social_sentiment.trend import trend_of_test
from pipelines.social_sentiment.watched import watched
from shared.data.store import Ref, default_store
from shared.monitoring.profile import reference_profile
from shared.orchestration.bundled import stored_bundle
from shared.orchestration.overrides import as_by_default
from shared.orchestration.run import current_run
from shared.orchestration.step import checkpoint_folder, step
from shared.orchestration.stored import Evidence, Source, identified, stored_folder
from shared.publishing.plain import plain

# Settings that decide what is learnt from, or judge or explain what was learnt; each network has a seed of its own.
NOT_LEARNT = (
    "preset",
    "seed",
    "data",
    "protocol",
    "training.num_seeds",
    "decision",
    "evaluation",
    "explanation",
)


def identify(source: str, config: DataConfig) -> Source:
    """The source with the digest of all its files."""
    return identified(source, source_paths(source, config))


@step(retries=2)
def ingest(source: Source, config: DataConfig, seed: int) -> Ingested:
    """Read the posts, hash their authors and hold every post against the contract; broken rows go to quarantine."""
    read = read_posts(source.name, config, seed)
    posts = read.posts
    return Ingested.of(source, read.checked, posts.frame, posts.notes, labels=posts.labels)


@step()
def split(ingested: Ingested, config: ProtocolConfig, seed: int) -> Divided:
    """Posts into training, calibration and test, what says the same together; then look for leaks between them."""
    posts = ingested.posts()
    division = divide(posts, config, seed)
    audit = audit_division(posts, division, config).require()
    return Divided.of(division, _method(posts, division), audit.to_json())


def _method(posts: Posts, division: Division) -> str:
    if division.kind == "time":
        how = f"By time, the test from {posts.frame['time'][division.test].sort()[0]:%Y-%m-%d} on"
    else:
        how = {"given": "As the data say", "random": "At random, in one mixture of labels"}[division.kind]
    train, calibration, test = (len(rows) for rows in division.parts().values())
    whom = "nobody who tests trains" if division.authors_apart else "people may be in training and test"
    return (
        f"{how}: {train:,} posts train, {calibration:,} calibrate, {test:,} test; what says the same is in one part, "
        f"and {whom}"
    )


def learnt(config: SentimentConfig) -> SentimentConfig:
    """What training looks at; all else is as by default, so that changing it does not train again."""
    return as_by_default(config, NOT_LEARNT)


@step()
def train(ingested: Ingested, divided: Divided, seed: int, config: SentimentConfig) -> Fitted:
    """A network from the training posts alone, not calibrated yet; config: see `learnt`."""
    posts, rows = ingested.posts(), divided.division().train
    texts = prepare(posts.frame["text"][rows], config.text)
    trainer = Trainer(config, checkpoint_folder(), current_run().bar())
    trained = trainer.fit(texts, _numbers(posts, rows), len(posts.labels), seed=seed, name="network")
    scorer = Scorer.of(trained, Calibration.neutral(len(posts.labels)), posts.labels, config)
    record = default_store().put_json(plain(trained.record))
    return Fitted(seed=seed, scorer=stored_folder(scorer.save), record=record)


@step()
def calibrate(ingested: Ingested, divided: Divided, fitted: Fitted, config: SentimentConfig) -> Fitted:
    """Probabilities, labels and whom to leave to a human, from posts that were neither learnt from nor tested."""
    posts, rows = ingested.posts(), divided.division().calibration
    with opened(fitted) as scorer:
        logits = scorer.logits(posts.frame["text"][rows])
        calibration = Calibration.fit(logits, _numbers(posts, rows), config.decision, config.seed)
        return fitted.with_scorer(replace(scorer, config=config, calibration=calibration))


@step()
def evaluate(
    ingested: Ingested, divided: Divided, fitted: Sequence[Fitted], config: SentimentConfig
) -> Evidence:
    """All numbers, from one look at the test posts by every model; the first network is the one that is served."""
    store, posts, division = default_store(), ingested.posts(), divided.division()
    test = posts.frame[division.test]
    judged = [_judged(one, test["text"]) for one in fitted]
    table = predict_test(
        test,
        prepare(test["text"], config.text),
        _numbers(posts, division.test),
        division.groups[division.test],
        judged[0],
        {one.seed: each for one, each in zip(fitted[1:], judged[1:], strict=True)},
        _baselines(posts, division, config, config.evaluation.baselines),
    )
    document = evaluation_document(table, posts.labels, judged[0].calibration.prior, config)
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(table))


@step()
def trend(ingested: Ingested, divided: Divided, served: Fitted, evaluated: Evidence) -> Evidence:
    """Shares of the labels by topic and day in the test, beside the labels that people gave."""
    store, test = default_store(), _test_posts(ingested, divided)
    with opened(served) as scorer:
        truth = _truth(ingested, scorer.config)
        document, table = trend_of_test(scorer, test, store.frame(evaluated.table), truth)
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(table))


@step()
def explain(ingested: Ingested, divided: Divided, served: Fitted, evaluated: Evidence) -> Evidence:
    """Explain test posts, and check the explanations; on the generator against the words that decided."""
    store, test = default_store(), _test_posts(ingested, divided)
    with opened(served) as scorer:
        truth = _truth(ingested, scorer.config)
        fitted = _baselines(ingested.posts(), divided.division(), scorer.config, ["tfidf"] if truth else [])
        document, table = explain_test(scorer, test, store.frame(evaluated.table), truth, fitted.get(TFIDF))
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(table))


@step()
def assemble(
    ingested: Ingested,
    divided: Divided,
    served: Fitted,
    evaluated: Evidence,
    shares: Evidence,
    explained: Evidence,
    config: SentimentConfig,
) -> Ref:
    """Write report, model card and bundle."""
    test = _test_posts(ingested, divided)
    with opened(served) as scorer:
        evidence = _evidence(ingested, divided, served, evaluated, shares, explained, scorer)
        rows = ingested.counts() | _counts(divided.division())
        summary = first_summary(ingested.source.name, ingested.contract, rows, evidence, config)
        profile = reference_profile(*watched(scorer, test, logits_in(evidence.table)))
        return stored_bundle(
            ingested.facts(PIPELINE, preset=config.preset, seed=config.seed),
            summary,
            profile,
            config=config,
            metrics={
                **evidence.evaluation,
                "trend": evidence.trend,
                "explanation": evidence.explanation,
            },
            tensors=scorer.tensors(),
            features=scorer.save_features,
            model_card=run_model_card(scorer, summary, evidence),
            report_html=run_report(config, summary, evidence),
            files={
                TEST_LABELS: labels_to_keep(evidence.table, test["text"]),
                TEST_SHARES: shares_to_keep(scorer, test, logits_in(evidence.table), evidence.shares),
            },
        )


def _baselines(
    posts: Posts, division: Division, config: SentimentConfig, names: Sequence[str]
) -> Mapping[str, Baseline]:
    texts = prepare(posts.frame["text"][division.train], config.text)
    return fit_baselines(texts, _numbers(posts, division.train), posts.labels, config.seed, names)


def _judged(fitted: Fitted, texts: pl.Series) -> Judged:
    with opened(fitted) as scorer:
        return Judged(scorer.logits(texts), scorer.calibration)


def _numbers(posts: Posts, rows: np.ndarray) -> np.ndarray:
    """Position of the label of each of these posts, int64."""
    places = {label: number for number, label in enumerate(posts.labels)}
    return posts.frame["label"][rows].replace_strict(places, return_dtype=pl.Int64).to_numpy()


def _test_posts(ingested: Ingested, divided: Divided) -> pl.DataFrame:
    return ingested.posts().frame[divided.division().test]


def _truth(ingested: Ingested, config: SentimentConfig) -> Truth | None:
    if not ingested.source.generated:
        return None
    return generate(config.data.num_posts, config.data.num_days, config.seed)[1]


def _counts(division: Division) -> dict[str, int]:
    return {
        "train": len(division.train),
        "validation": len(division.calibration),
        "test": len(division.test),
    }


def _evidence(
    ingested: Ingested,
    divided: Divided,
    served: Fitted,
    evaluated: Evidence,
    shares: Evidence,
    explained: Evidence,
    scorer: Scorer,
) -> EvidenceDocuments:
    store = default_store()
    return EvidenceDocuments(
        evaluation=store.json(evaluated.document),
        explanation=store.json(explained.document),
        training=store.json(served.record),
        calibration=scorer.calibration.summary(),
        posts=plain(facts_of(ingested.posts(), divided.division())),
        trend=store.json(shares.document),
        table=store.frame(evaluated.table),
        explained=store.frame(explained.table),
        shares=store.frame(shares.table),
        quarantine=ingested.quarantined_rows(),
        notes=(*ingested.notes, *divided.notes),
        split=divided.method,
        audit=divided.audit,
    )
