"""The steps of the flows: each takes references and configuration, and returns references."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import polars as pl

from pipelines.medical_segmentation.audit import CHECKS, audit_fold
from pipelines.medical_segmentation.cases import Cases
from pipelines.medical_segmentation.config import DataConfig, ImageConfig, MedicalConfig
from pipelines.medical_segmentation.data import load_manifest, source_paths
from pipelines.medical_segmentation.evidence import EvidenceDocuments, first_summary
from pipelines.medical_segmentation.explain import explain_test
from pipelines.medical_segmentation.handles import (
    Divided,
    FittedFold,
    Ingested,
    Served,
    of_folds,
    opened,
    opened_cases,
    stored_cases,
    stored_scorer,
    stored_tables,
)
from pipelines.medical_segmentation.held_out import TEST_RESULTS, results_to_keep
from pipelines.medical_segmentation.ingest import Read, read_again
from pipelines.medical_segmentation.model_card import run_model_card
from pipelines.medical_segmentation.protocol import Division, Fold, divide
from pipelines.medical_segmentation.report import run_report
from pipelines.medical_segmentation.score import PIPELINE, Scorer
from pipelines.medical_segmentation.studies import Study
from pipelines.medical_segmentation.tasks import PIXELS, RESULTS, require_folds, task_of
from pipelines.medical_segmentation.train import Trainer
from pipelines.medical_segmentation.watched import watched_cases
from shared.data.store import Ref, default_store
from shared.monitoring.profile import reference_profile
from shared.orchestration.bundled import stored_bundle
from shared.orchestration.overrides import as_by_default
from shared.orchestration.run import current_run
from shared.orchestration.step import checkpoint_folder, step
from shared.orchestration.stored import Evidence, Source, identified
from shared.orchestration.together import together
from shared.publishing.plain import plain

# Settings that only judge or explain what was learnt.
NOT_LEARNT = ("preset", "evaluation.num_bootstraps", "explanation")


def identify(source: str, config: DataConfig) -> Source:
    """The source with the digest of all its files."""
    return identified(source, source_paths(source, config))


@step(retries=2)
def ingest(source: Source, data: DataConfig, image: ImageConfig, seed: int) -> Ingested:
    """Hold the manifest against its contract, read images and masks, and put them on the grid of the network.

    Rows that break the contract and images that cannot be used go to quarantine, up to the contract's limit.
    """
    read = Read.of(load_manifest(source.name, data, seed), data, image)
    return Ingested.of(
        source,
        read.checked,
        read.checked.valid,
        read.notes,
        cases=stored_cases(read.cases),
        spacing_mm=read.spacing_mm,
    )


@step()
def split(ingested: Ingested, config: MedicalConfig) -> Divided:
    """Whole patients into folds, near-duplicates together, or the division that came with the cases."""
    task = task_of(config)
    with opened_cases(ingested.cases) as cases:
        task.require(cases, config)
        division = divide(cases, config.protocol, config.seed)
        require_folds(task, cases, division)
        return Divided.of(division, _method(cases, division))


def _method(cases: Cases, division: Division) -> str:
    patients = len(set(cases.patients))
    if division.is_given:
        [fold] = division.folds
        return (
            f"As the data say, by whole patients: {len(fold.train)} cases train, {len(fold.test)} test, of {patients} "
            "patients"
        )
    return (
        f"{len(division.folds)} folds of whole patients: each of {cases.num_cases} cases of {patients} patients is "
        "tested once"
    )


def learnt(config: MedicalConfig) -> MedicalConfig:
    """What training looks at; all else is as by default, so that changing it does not train again."""
    return as_by_default(config, NOT_LEARNT)


@step()
@together
def train_fold(ingested: Ingested, divided: Divided, number: int, config: MedicalConfig) -> FittedFold:
    """Fit network, calibration and baselines without the test patients of one fold, then judge those."""
    task, division = task_of(config), divided.opened()
    fold = division.folds[number]
    with opened_cases(ingested.cases) as cases:
        fitted = task.fit(_trainer(cases, config), division, fold, f"fold-{number}", ingested.spacing_mm)
        audit = audit_fold(
            cases, fold, fitted.scorer.intensity, config.image, config.protocol, fitted.learnt
        ).require()
        tables = task.predict(fitted.scorer, _tested(ingested, cases, fold, config), cases, fold)
    return FittedFold(
        **stored_scorer(fitted), number=number, tables=stored_tables(tables), audit=audit.to_json()
    )


def _tested(ingested: Ingested, cases: Cases, fold: Fold, config: MedicalConfig) -> Iterator[Study]:
    """The usable test cases of a fold as read from their files: masks are judged at full size."""
    usable = fold.test[task_of(config).usable(cases)[fold.test]]
    names = [cases.names[case] for case in usable]
    rows = default_store().frame(ingested.table).filter(pl.col("case").is_in(names))
    manifest = load_manifest(ingested.source.name, config.data, config.seed)
    return read_again(manifest, rows, cases, config.data)


@step()
@together
def train(ingested: Ingested, divided: Divided, folds: Sequence[FittedFold], config: MedicalConfig) -> Served:
    """The network that is served: fitted to all cases, or where a test part is given to the others alone."""
    if divided.is_given:
        [only] = folds
        return Served(scorer=only.scorer, record=only.record)
    nothing = np.zeros(0, dtype=np.int64)
    with opened_cases(ingested.cases) as cases:
        everything = Fold(divided.num_folds, np.arange(cases.num_cases), nothing)
        fitted = task_of(config).fit(
            _trainer(cases, config), divided.opened(), everything, "served", ingested.spacing_mm
        )
    return Served(**stored_scorer(fitted))


@step()
def evaluate(folds: Sequence[FittedFold], config: MedicalConfig) -> Evidence:
    """All numbers, from every test case, each judged by a network that has not seen its patient."""
    store, tables = default_store(), of_folds(folds)
    document = task_of(config).document(tables, config)
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(tables[RESULTS]))


@step()
def explain(
    ingested: Ingested, folds: Sequence[FittedFold], evaluated: Evidence, config: MedicalConfig
) -> Evidence:
    """Explain test cases, check the explanations, and keep pictures of the cases that are shown."""
    store = default_store()
    with opened_cases(ingested.cases) as cases, _opened_all(folds, config) as scorers:
        document, pictures = explain_test(scorers, cases, store.frame(evaluated.table))
    return Evidence(document=store.put_json(plain(document)), table=store.put_frame(pictures))


@step()
def assemble(
    ingested: Ingested,
    divided: Divided,
    folds: Sequence[FittedFold],
    served: Served,
    evaluated: Evidence,
    explained: Evidence,
    config: MedicalConfig,
) -> Ref:
    """Write report, model card and bundle."""
    with (
        opened_cases(ingested.cases) as cases,
        opened(served.scorer, config) as scorer,
    ):
        evidence = _evidence(ingested, divided, folds, served, evaluated, explained, cases, scorer)
        rows = ingested.counts() | _counts(divided, cases)
        summary = first_summary(ingested.source.name, ingested.contract, rows, evidence, config)
        profile = reference_profile(*watched_cases(cases, evidence.results))
        return stored_bundle(
            ingested.facts(PIPELINE, preset=config.preset, seed=config.seed),
            summary,
            profile,
            config=config,
            metrics={**evidence.evaluation, "explanation": evidence.explanation},
            tensors=scorer.tensors(),
            features=scorer.save_features,
            model_card=run_model_card(scorer, summary, evidence),
            report_html=run_report(config, summary, evidence),
            files={TEST_RESULTS: results_to_keep(evidence.results, config)},
        )


def _counts(divided: Divided, cases: Cases) -> dict[str, int]:
    """Cases that the served network learnt from, and that were tested."""
    division = divided.opened()
    num_tested = sum(len(fold.test) for fold in division.folds)
    num_train = len(division.folds[0].train) if divided.is_given else cases.num_cases
    return {"train": num_train, "test": num_tested}


def _trainer(cases: Cases, config: MedicalConfig) -> Trainer:
    return Trainer(config, cases, checkpoint_folder(), current_run().bar())


@contextmanager
def _opened_all(folds: Sequence[FittedFold], config: MedicalConfig) -> Iterator[list[Scorer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(opened(fold.scorer, config)) for fold in folds]


def _evidence(
    ingested: Ingested,
    divided: Divided,
    folds: Sequence[FittedFold],
    served: Served,
    evaluated: Evidence,
    explained: Evidence,
    cases: Cases,
    scorer: Scorer,
) -> EvidenceDocuments:
    store, tables = default_store(), of_folds(folds)
    findings = [finding for fold in folds for finding in fold.audit["findings"]]
    return EvidenceDocuments(
        evaluation=store.json(evaluated.document),
        explanation=store.json(explained.document),
        training=store.json(served.record),
        calibrated=None if scorer.calibrated is None else scorer.calibrated.to_json(),
        cases=cases,
        results=tables[RESULTS],
        pixels=tables.get(PIXELS),
        explained=store.frame(explained.table),
        quarantine=ingested.quarantined_rows(),
        notes=(*ingested.notes, *divided.notes),
        split=divided.method,
        audit={"clean": not findings, "checks": list(CHECKS), "findings": findings},
    )
