"""The steps of the flows: each takes references and configuration, and returns references."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
import polars as pl

from pipelines.fraud_detection import evaluate as protocol_of_test
from pipelines.fraud_detection import explain as explanations
from pipelines.fraud_detection.audit import audit_folds
from pipelines.fraud_detection.config import DataConfig, FeatureConfig, FraudConfig, ProtocolConfig
from pipelines.fraud_detection.data import load_transactions, source_paths
from pipelines.fraud_detection.evidence import EvidenceDocuments, first_summary
from pipelines.fraud_detection.features import compute_features, feature_names
from pipelines.fraud_detection.handles import (
    Divided,
    Featured,
    Fitted,
    FoldParts,
    Ingested,
    opened,
    read_parts,
    stored_parts,
)
from pipelines.fraud_detection.labels import has_labels
from pipelines.fraud_detection.leakage import leakage
from pipelines.fraud_detection.model_card import run_model_card
from pipelines.fraud_detection.protocol import (
    Parts,
    divide,
    folds,
    require_enough,
    unlabelled_periods,
)
from pipelines.fraud_detection.report import run_report
from pipelines.fraud_detection.score import INPUT_CONTRACT, PIPELINE, Scorer
from pipelines.fraud_detection.sequences import sequence_scores
from pipelines.fraud_detection.train import MIN_FRAUDS, Trainer, can_be_supervised, not_known_as_fraud
from shared.contracts.contract import load
from shared.contracts.table import check_table
from shared.data.store import Ref, default_store
from shared.monitoring.profile import reference_profile
from shared.orchestration.bundled import stored_bundle
from shared.orchestration.overrides import as_by_default
from shared.orchestration.run import current_run
from shared.orchestration.step import checkpoint_folder, step
from shared.orchestration.stored import Evidence, Source, identified, stored_folder
from shared.publishing.plain import plain
from shared.training.runtime import single_thread

# Settings that only judge or explain what was learnt.
NOT_LEARNT = (
    "preset",
    "evaluation",
    "explanation.num_checked",
    "explanation.num_orders",
    "explanation.num_planted",
    "explanation.num_features",
)


def identify(source: str, config: DataConfig) -> Source:
    """The source with the digest of all its files."""
    return identified(source, source_paths(source, config))


@step(retries=2)
def ingest(source: Source, config: DataConfig, seed: int) -> Ingested:
    """Read the source and hold every row against the contract; broken rows go to quarantine."""
    transactions = load_transactions(source.name, config, seed)
    checked = check_table(transactions.frame, load(INPUT_CONTRACT))
    valid = checked.require()
    warnings = tuple(_missing_labels(valid))
    return Ingested.of(source, checked, valid, transactions.notes, warnings=warnings)


def _missing_labels(frame: pl.DataFrame) -> Iterator[str]:
    for period in unlabelled_periods(frame):
        yield (
            f"From {period.first_day:%Y-%m-%d} to {period.last_day:%Y-%m-%d} there are {period.num_transactions:,} "
            "transactions and no fraud: their labels are missing, and models learn them as genuine. Set is_fraud to "
            "null there."
        )


@step()
def featurise(ingested: Ingested, config: FeatureConfig, categories: tuple[str, ...]) -> Featured:
    """What was known of each transaction when it came in."""
    store = default_store()
    frame = store.frame(ingested.table)
    labelled = has_labels(frame)
    features = compute_features(frame, config, labelled, categories)
    table = pl.concat([frame, features.drop("transaction_id", "amount")], how="horizontal")
    if "is_fraud" not in table.columns:
        table = table.with_columns(is_fraud=pl.lit(None, dtype=pl.Int64))
    names = feature_names(config, labelled, categories)
    return Featured(table=store.put_frame(table), names=names, labelled=labelled, categories=categories)


@step()
def split(featured: Featured, config: ProtocolConfig, features: FeatureConfig, use_head: bool) -> Divided:
    """Prequential folds with the wait for labels between training and test; then look for leaks in them."""
    table = default_store().frame(featured.table)
    delay = features.label_delay_days
    parts = [divide(table, fold, delay) for fold in folds(table["time"], config, delay)]
    require_enough(parts)
    audit = audit_folds(parts, table, table, features, featured.categories).require()
    enough = all(can_be_supervised(one) for one in parts)
    notes = []
    if featured.labelled and use_head and not enough:
        notes.append(
            f"A training or validation week has fewer than {MIN_FRAUDS} known frauds or genuine transactions: no model "
            "with labels is trained, and the autoencoder is served."
        )
    if featured.labelled:
        notes += _unjudged(parts)
    method = (
        f"{config.num_folds} prequential {'fold' if config.num_folds == 1 else 'folds'}: {config.train_days} days of "
        f"training, {delay} days until labels are known, {config.test_days} days of test without cards known to be "
        "compromised"
    )
    return Divided(
        folds=tuple(stored_parts(one) for one in parts),
        with_head=featured.labelled and use_head and enough,
        method=method,
        audit=audit.to_json(),
        notes=tuple(notes),
    )


def _unjudged(parts: Sequence[Parts]) -> Iterator[str]:
    for one in parts:
        if one.test["is_fraud"].is_null().all():
            yield (
                f"Of no transaction in the test from {one.fold.test_start:%Y-%m-%d} on is it known whether it was "
                "fraud: nothing is measured there."
            )


def learnt(config: FraudConfig) -> FraudConfig:
    """What training looks at; all else is as by default, so that changing it does not train again."""
    return as_by_default(config, NOT_LEARNT)


@step()
def train(ingested: Ingested, featured: Featured, divided: Divided, config: FraudConfig) -> Fitted:
    """Fit the networks of every fold anew."""
    store, run, folder = default_store(), current_run(), checkpoint_folder()
    scorers, records = [], []
    for number, stored in enumerate(divided.folds):
        parts = read_parts(stored)
        place = None if folder is None else folder / f"fold-{number}"
        # threads of networks as small as these wait for each other longer than they work
        with single_thread():
            trainer = Trainer(config, featured.names, place, run.bar())
            fitted = trainer.fit_fold(parts, with_head=divided.with_head)
        usual = explanations.usual_rows(
            not_known_as_fraud(parts.train), featured.names, config.explanation.num_background, config.seed
        )
        last = number == len(divided.folds) - 1
        history = _history(store.frame(ingested.table), stored, config, keep=last)
        scorer = Scorer.of(fitted, usual, history, config, labelled=featured.labelled)
        scorers.append(stored_folder(scorer.save))
        records.append(fitted.record)
        run.say(f"    fold {number + 1} of {len(divided.folds)}, test from {stored.test_start:%Y-%m-%d} on")
    return Fitted(scorers=tuple(scorers), records=store.put_json(plain(records)))


def _history(frame: pl.DataFrame, fold: FoldParts, config: FraudConfig, *, keep: bool) -> pl.DataFrame:
    """What features of the fold's test and of all that comes later look back on; nothing for folds not served."""
    reach = timedelta(days=config.features.windows_days[-1] + config.features.label_delay_days)
    names = ("transaction_id", "time", "customer_id", "terminal_id", "amount", "is_fraud", "label_time")
    columns = [name for name in (*names, *config.data.categories) if name in frame.columns]
    return frame.select(columns).filter(pl.lit(keep) & (pl.col("time") > fold.test_start - reach))


@step()
def evaluate(featured: Featured, divided: Divided, fitted: Fitted, config: FraudConfig) -> Evidence:
    """Every model scores the test of every fold, once."""
    store, predictions = default_store(), []
    for number, (stored, ref) in enumerate(zip(divided.folds, fitted.scorers, strict=True), start=1):
        with opened(ref, config) as scorer:
            train, test = store.frame(stored.train), store.frame(stored.test)
            predictions.append(
                protocol_of_test.predict_fold(
                    scorer,
                    train,
                    test,
                    number,
                    with_head=divided.with_head,
                    sequence_scores=_sequence_scores(featured, stored, number, config),
                )
            )
    table = pl.concat(predictions)
    document, daily = protocol_of_test.evaluation_document(table, config, with_head=divided.with_head)
    document["leakage"] = None
    if divided.with_head:
        whole = store.frame(featured.table)
        document["leakage"] = leakage(whole, read_parts(divided.folds[-1]), featured.names, config)
    document["daily"] = store.put_frame(daily).model_dump(mode="json")
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(table))


def _sequence_scores(
    featured: Featured, stored: FoldParts, number: int, config: FraudConfig
) -> np.ndarray | None:
    if config.model.sequence_length == 1:
        return None
    folder = checkpoint_folder()
    place = None if folder is None else folder / f"fold-{number}"
    trainer = Trainer(config, featured.names, place, current_run().bar())
    return sequence_scores(trainer, default_store().frame(featured.table), read_parts(stored))


@step()
def explain(
    ingested: Ingested, featured: Featured, divided: Divided, fitted: Fitted, config: FraudConfig
) -> Evidence:
    """Explain test transactions of the served model, and check the explanations."""
    store = default_store()
    test = store.frame(divided.folds[-1].test)
    with opened(fitted.scorers[-1], config) as scorer:
        rows = explanations.rows_to_check(scorer, test, config.explanation.num_checked)
        attribution = explanations.checked_explanation(scorer, rows, seed=config.seed)
        errors = scorer.errors(rows)
        document = {
            "attribution": attribution.to_json(),
            "error_sum_gap": float(abs(errors.sum(1) - scorer.anomalies(rows)).max()),
            "sampling": explanations.sampling_agreement(scorer, rows, seed=config.seed),
            "planted": explanations.planted_anomalies(scorer, not_known_as_fraud(test), seed=config.seed),
            "truth": explanations.family_agreement(scorer, test) if ingested.source.generated else None,
            "examples": explanations.examples(scorer, rows, attribution),
        }
    columns = {name: attribution.values[:, at] for at, name in enumerate(attribution.names)}
    columns |= {f"{name}/value": rows[name].to_numpy() for name in attribution.names}
    table = pl.DataFrame({"transaction_id": rows["transaction_id"], **columns})
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(table))


@step()
def assemble(
    ingested: Ingested,
    featured: Featured,
    divided: Divided,
    fitted: Fitted,
    evaluated: Evidence,
    explained: Evidence,
    config: FraudConfig,
) -> Ref:
    """Write report, model card and bundle."""
    store = default_store()
    with opened(fitted.scorers[-1], config) as scorer:
        evidence = _evidence(ingested, divided, fitted, evaluated, explained)
        summary = first_summary(
            ingested.source.name, ingested.contract, _rows(ingested, divided.folds), evidence, config
        )
        served_week = store.frame(divided.folds[-1].test)
        profile = reference_profile(served_week.select(featured.names), scorer.scores(served_week))
        return stored_bundle(
            ingested.facts(PIPELINE, preset=config.preset, seed=config.seed),
            summary,
            profile,
            config=config,
            metrics={
                **evidence.evaluation,
                "explanation": evidence.explanation,
                "cost_curve": evidence.training[-1]["cost_curve"],
            },
            tensors=scorer.tensors(),
            features=scorer.save_features,
            model_card=run_model_card(scorer, summary, evidence),
            report_html=run_report(scorer, summary, evidence),
        )


def _evidence(
    ingested: Ingested, divided: Divided, fitted: Fitted, evaluated: Evidence, explained: Evidence
) -> EvidenceDocuments:
    store = default_store()
    evaluation = dict(store.json(evaluated.document))
    daily = store.frame(Ref.model_validate(evaluation.pop("daily")))
    return EvidenceDocuments(
        evaluation=evaluation,
        explanation=store.json(explained.document),
        training=store.json(fitted.records),
        daily=daily,
        contributions=store.frame(explained.table),
        quarantine=ingested.quarantined_rows(),
        notes=(*ingested.notes, *divided.notes),
        warnings=ingested.warnings,
        split=divided.method,
        audit=divided.audit,
    )


def _rows(ingested: Ingested, parts: Sequence[FoldParts]) -> dict[str, int]:
    """Rows of all folds together; weeks that several folds use count in each."""
    return ingested.counts() | {
        "train": sum(one.train.rows or 0 for one in parts),
        "validation": sum(one.validation.test.rows or 0 for one in parts),
        "test": sum(one.test.rows or 0 for one in parts),
    }
