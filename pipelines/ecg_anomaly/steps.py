"""The steps of the flows: each takes references and configuration, and returns references."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from pipelines.ecg_anomaly import explain as explanations
from pipelines.ecg_anomaly.audit import CHECKS, audit_fold
from pipelines.ecg_anomaly.config import BeatConfig, DataConfig, EcgConfig, ProtocolConfig, SignalConfig
from pipelines.ecg_anomaly.data import load_manifest, source_paths
from pipelines.ecg_anomaly.evaluate import evaluation_document
from pipelines.ecg_anomaly.evidence import EvidenceDocuments, first_summary
from pipelines.ecg_anomaly.generator import generate
from pipelines.ecg_anomaly.handles import (
    Divided,
    FittedFold,
    Ingested,
    Served,
    of_folds,
    opened,
    opened_recordings,
    stored_recordings,
    stored_scorer,
)
from pipelines.ecg_anomaly.held_out import TEST_SCORES, scores_to_keep
from pipelines.ecg_anomaly.ingest import Read
from pipelines.ecg_anomaly.inputs import BeatInputs
from pipelines.ecg_anomaly.labels import class_counts
from pipelines.ecg_anomaly.model_card import run_model_card
from pipelines.ecg_anomaly.predictions import predict_fold
from pipelines.ecg_anomaly.protocol import Division, divide
from pipelines.ecg_anomaly.recordings import Recordings
from pipelines.ecg_anomaly.report import run_report
from pipelines.ecg_anomaly.score import PIPELINE, Scorer
from pipelines.ecg_anomaly.train import Trainer
from pipelines.ecg_anomaly.watched import watched
from shared.data.store import Ref, default_store
from shared.errors import RequestError
from shared.monitoring.profile import ReferenceProfile, reference_profile
from shared.orchestration.bundled import stored_bundle
from shared.orchestration.overrides import as_by_default
from shared.orchestration.run import current_run
from shared.orchestration.step import checkpoint_folder, step
from shared.orchestration.stored import Evidence, Source, identified
from shared.publishing.plain import plain
from shared.training.runtime import single_thread

# Settings that only judge or explain what was learnt.
NOT_LEARNT = ("preset", "evaluation.num_bootstraps", "explanation")


def identify(source: str, config: DataConfig) -> Source:
    """The source with the digest of all its files."""
    return identified(source, source_paths(source, config))


@step(retries=2)
def ingest(source: Source, data: DataConfig, signal: SignalConfig, beats: BeatConfig, seed: int) -> Ingested:
    """Hold the manifest against its contract, read the recordings and bring them to their canonical form.

    Rows that break the contract and recordings that cannot be used go to quarantine, up to the contract's limit.
    """
    read = Read.of(load_manifest(source.name, data, seed), data, signal, beats)
    return Ingested.of(
        source,
        read.checked,
        read.checked.valid,
        read.notes,
        annotated=stored_recordings(read.annotated),
        detected=stored_recordings(read.detected),
    )


@step()
def split(ingested: Ingested, protocol: ProtocolConfig, seed: int) -> Divided:
    """Whole patients into folds, or the division that came with the recordings."""
    with opened_recordings(ingested.annotated) as recordings:
        division = divide(recordings, protocol.num_folds, seed)
        _require_patients(recordings, division, protocol.calibration_folds)
        fold = np.full(recordings.num_records, -1)
        for one in division.folds:
            fold[one.test] = one.number
        fold[division.left_out] = -2
        left_out = [recordings.names[place] for place in division.left_out]
        return Divided(
            fold=tuple(fold.tolist()),
            num_folds=len(division.folds),
            is_given=division.is_given,
            method=_method(recordings, division),
            notes=(f"Left out, because the patient is tested: {', '.join(left_out)}.",) if left_out else (),
        )


def _require_patients(recordings: Recordings, division: Division, num_calibration: int) -> None:
    """The training of every fold is divided once more, to fix the threshold."""
    for fold in division.folds:
        patients = {recordings.patients[record] for record in fold.train}
        if len(patients) < num_calibration:
            raise RequestError(
                f"Expected at least {num_calibration} patients to train on in every fold "
                f"(protocol.calibration_folds). Received {len(patients)}, of {len(set(recordings.patients))} in all: "
                "give more."
            )


def _method(recordings: Recordings, division: Division) -> str:
    patients = len(set(recordings.patients))
    if division.is_given:
        [fold] = division.folds
        return (
            f"Whole patients, as the data say: {len(fold.train)} recordings train, {len(fold.test)} test, "
            f"of {patients} patients"
        )
    return (
        f"{len(division.folds)} folds of whole patients: each of {recordings.num_records} recordings of {patients} "
        "patients is tested once"
    )


def learnt(config: EcgConfig) -> EcgConfig:
    """What training looks at; all else is as by default, so that changing it does not train again."""
    return as_by_default(config, NOT_LEARNT)


@step()
def train_fold(ingested: Ingested, divided: Divided, number: int, config: EcgConfig) -> FittedFold:
    """Fit detector, threshold, classifier and baselines without the test patients of one fold, then judge those."""
    store, fold = default_store(), divided.division().folds[number]
    with opened_recordings(ingested.annotated) as recordings, single_thread():
        trainer = _trainer(recordings, config)
        fitted = trainer.fit(fold.train, f"fold-{number}")
        audit = audit_fold(recordings, fold, fitted.calibration).require()
        predictions = predict_fold(trainer, fitted, fold)
    scorer = Scorer.of(fitted, config)
    with opened_recordings(ingested.detected) as recordings, single_thread():
        tested = pl.col("record").is_in([recordings.names[place] for place in fold.test])
        found = scorer.score_recordings(recordings).filter(tested)
    return FittedFold(
        **stored_scorer(fitted, scorer),
        number=number,
        predictions=store.put_frame(predictions),
        found=store.put_frame(found),
        audit=audit.to_json(),
    )


@step()
def train(ingested: Ingested, divided: Divided, folds: Sequence[FittedFold], config: EcgConfig) -> Served:
    """The detector that is served: fitted to all recordings, or where a test part is given to the others alone."""
    if divided.is_given:
        [only] = folds
        return Served(scorer=only.scorer, record=only.record)
    with opened_recordings(ingested.annotated) as recordings, single_thread():
        fitted = _trainer(recordings, config).fit(np.arange(recordings.num_records), "served")
    return Served(**stored_scorer(fitted, Scorer.of(fitted, config)))


@step()
def evaluate(
    ingested: Ingested, divided: Divided, folds: Sequence[FittedFold], config: EcgConfig
) -> Evidence:
    """All numbers, from the beats of every test recording, each judged by models that have not seen its patient."""
    store = default_store()
    predictions, found = of_folds(folds)
    with opened_recordings(ingested.annotated) as recordings, single_thread():
        tested = np.concatenate([fold.test for fold in divided.division().folds])
        marked = class_counts(recordings.beats.beat_class[recordings.beats_of(tested)])
        document = evaluation_document(predictions, found, marked, config)
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(predictions))


@step()
def explain(ingested: Ingested, folds: Sequence[FittedFold], config: EcgConfig) -> Evidence:
    """Explain beats of test recordings, and check the explanations; on the generator against the truth."""
    store, first = default_store(), folds[0]
    truth = None
    if ingested.source.generated:
        truth = generate(config.data.num_patients, config.data.minutes, config.seed).truth
    with opened_recordings(ingested.annotated) as recordings, opened(first.scorer, config) as scorer:
        document, table = explanations.explain_test(
            scorer, recordings, BeatInputs.of(recordings, config.beats), store.frame(first.predictions), truth
        )
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(table))


@step()
def assemble(
    ingested: Ingested,
    divided: Divided,
    folds: Sequence[FittedFold],
    served: Served,
    evaluated: Evidence,
    explained: Evidence,
    config: EcgConfig,
) -> Ref:
    """Write report, model card and bundle."""
    with (
        opened_recordings(ingested.annotated) as recordings,
        opened(served.scorer, config) as scorer,
    ):
        evidence = _evidence(ingested, divided, folds, served, evaluated, explained, recordings, scorer)
        num_tested = int(sum(len(fold.test) for fold in divided.division().folds))
        learnt_from = recordings.num_records - len(divided.division().left_out)
        rows = {"train": learnt_from - num_tested * divided.is_given, "test": num_tested}
        summary = first_summary(
            ingested.source.name, ingested.contract, ingested.counts() | rows, evidence, config
        )
        return stored_bundle(
            ingested.facts(PIPELINE, preset=config.preset, seed=config.seed),
            summary,
            _profile(ingested, evidence.found),
            config=config,
            metrics={**evidence.evaluation, "explanation": evidence.explanation},
            tensors=scorer.tensors(),
            features=scorer.save_features,
            model_card=run_model_card(scorer, summary, evidence),
            report_html=run_report(config, summary, evidence),
            files={TEST_SCORES: scores_to_keep(evidence.beats)},
        )


def _trainer(recordings: Recordings, config: EcgConfig) -> Trainer:
    inputs = BeatInputs.of(recordings, config.beats)
    return Trainer(config, recordings, inputs, checkpoint_folder(), current_run().bar())


def _evidence(
    ingested: Ingested,
    divided: Divided,
    folds: Sequence[FittedFold],
    served: Served,
    evaluated: Evidence,
    explained: Evidence,
    recordings: Recordings,
    scorer: Scorer,
) -> EvidenceDocuments:
    store = default_store()
    beats, found = of_folds(folds)
    findings = [finding for fold in folds for finding in fold.audit["findings"]]
    return EvidenceDocuments(
        evaluation=store.json(evaluated.document),
        explanation=store.json(explained.document),
        training=store.json(served.record),
        threshold=plain(scorer.thresholds.to_json()),
        recordings=recordings,
        beats=beats,
        found=found,
        explained=store.frame(explained.table),
        quarantine=ingested.quarantined_rows(),
        notes=(*ingested.notes, *divided.notes),
        split=divided.method,
        audit={"clean": not findings, "checks": list(CHECKS), "findings": findings},
    )


def _profile(ingested: Ingested, found: pl.DataFrame) -> ReferenceProfile:
    """What later recordings are compared with: the test recordings, as scoring would see them."""
    with opened_recordings(ingested.detected) as recordings:
        return reference_profile(*watched(recordings, found))
